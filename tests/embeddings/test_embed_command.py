"""``llmseq embed``."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from llmseq.cli.main import cli
from llmseq.data.dataset import SessionDataset
from llmseq.data.folder import write_dataset
from llmseq.data.sessions import Sessions
from llmseq.types import Ragged

TITLES = ["red soap", "blue soap", "red balm", "blue balm", "red oil", "red soap", *["oil"] * 4]


@pytest.fixture
def dataset(make_catalogue, tmp_path, monkeypatch):
    monkeypatch.setenv("LLMSEQ_CACHE", str(tmp_path / "cache"))
    catalogue = make_catalogue([*TITLES[:-1], None], brand=["Ivy"] * 10)
    ids = np.array(["s0", "s1"], dtype=object)
    sessions = Sessions(ids, Ragged.from_lists([[0, 1, 2], [3, 4]]))
    write_dataset(SessionDataset(catalogue, sessions), tmp_path / "shop")
    return tmp_path / "shop"


def _run(*words: object):
    return CliRunner().invoke(cli, ["embed", *map(str, words)])


def test_says_what_it_made_and_where(dataset, tmp_path):
    first = _run(dataset, "--encoder", "tfidf")
    assert first.exit_code == 0, first.output
    assert first.stdout.startswith("10 items, 5 dimensions, tfidf, ")
    assert "6 different texts" in first.stdout
    assert "1 items without text got the mean vector" in first.stdout
    assert "fitted on the catalogue's own texts" in first.stdout
    folder = first.stdout.split("in the cache: ")[1].strip()
    assert folder.startswith(str(tmp_path / "cache/embeddings"))
    again = _run(dataset, "--encoder", "tfidf")
    assert "all from the cache" in again.stdout
    other = _run(dataset, "--encoder", "tfidf", "--template", "{title} ({brand})")
    assert "from the cache" not in other.stdout


@pytest.mark.parametrize("suffix", ["parquet", "npy", "safetensors"])
def test_what_it_writes_it_reads(dataset, tmp_path, suffix):
    out = tmp_path / f"out/vectors.{suffix}"
    made = _run(dataset, "--encoder", "tfidf", "--out", out, "--cache", tmp_path / "mine")
    assert f"written: {out}" in made.stdout
    assert f"in the cache: {tmp_path / 'mine'}" in made.stdout
    read = _run(dataset, "--encoder", f"file:{out}")
    assert read.exit_code == 0, read.output
    assert "100.0% of the items joined by id" in read.stdout
    assert "in the cache" not in read.stdout


def test_share_joined_and_ids_of_another_name(dataset, tmp_path):
    np.save(tmp_path / "v.npy", np.ones((10, 3)))
    (tmp_path / "names.txt").write_text("".join(f"item-{row}\n" for row in range(1, 11)))
    made = _run(dataset, "--encoder", f"file:{tmp_path / 'v.npy'}", "--ids", tmp_path / "names.txt")
    assert (
        "90.0% of the items joined by id; 1 without a vector got the mean; "
        "1 ids of the file are not in the catalogue"
    ) in made.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--encoder", "tfdf"], 'unknown encoder "tfdf"; did you mean "tfidf"?'),
        (["--encoder", "tfidf", "--template", "{colour}"], '"{colour}" names "colour"'),
        (["--encoder", "tfidf", "--batch-size", "0"], "batch size must be at least 1"),
        (["--encoder", "tfidf", "--out", "v.pickle"], "v.pickle: vectors are kept in one of"),
        (["--encoder", "file:none.parquet"], "none.parquet: no such file"),
    ],
)
def test_wrong_input_is_one_line_and_code_2(dataset, tmp_path, words, message):
    done = _run(dataset, *words)
    assert done.exit_code == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "cache").exists()


@pytest.mark.filterwarnings("default::llmseq.errors.LlmseqWarning")
def test_a_damaged_cache_warns_and_goes_on(dataset, tmp_path):
    _run(dataset, "--encoder", "tfidf")
    (shard,) = (tmp_path / "cache").rglob("shard-*")
    shard.write_bytes(b"damaged")
    done = _run(dataset, "--encoder", "tfidf")
    assert done.exit_code == 0
    assert done.stderr.startswith("warning: ")
    assert "damaged cache entry" in done.stderr


def test_a_poor_join_is_code_2(dataset, tmp_path):
    ids = [f"B{row}" for row in range(10)]
    table = pl.DataFrame({"item_id": ids, "vector": [[1.0, 2.0]] * 10})
    table.write_parquet(tmp_path / "v.parquet")
    done = _run(dataset, "--encoder", f"file:{tmp_path / 'v.parquet'}")
    assert done.exit_code == 2
    assert "only 0.0% of the 10 items have a vector" in done.stderr
