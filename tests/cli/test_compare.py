from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from llmseq.cli import options
from llmseq.data.folder import read_dataset
from llmseq.errors import ConfigError
from llmseq.experiment.artifacts import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

CHEAP = ("--models", "popularity,v-sknn,llmseqsim", "--encoder", "tfidf", "--threads", 1)


def test_compare_shows_leaderboard_verdict_and_where_things_are(
    llmseq: Callable[..., Result], shop_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    result = llmseq("compare", shop_folder, "--out", out, *CHEAP, "--set", "v-sknn.k=20")
    assert result.exit_code == 0, result.output
    assert "shop, scored on test" in result.stdout
    assert "LLMSeqSim" in result.stdout
    assert "the best model with text" in result.stdout
    assert f"report  {out}/report.html" in result.stdout
    board = json.loads((out / "leaderboard.json").read_text())
    assert {model["name"]: model for model in board["models"]}["v-sknn"]["config"]["k"] == 20
    report = out / "report.html"
    report.unlink()
    again = llmseq("report", out)
    assert (again.exit_code, again.stdout) == (0, f"{report}\n")
    assert report.exists()


def test_options_reach_the_spec(
    llmseq: Callable[..., Result], shop_folder: Path, tmp_path: Path
) -> None:
    words = ["--k", "5,7", "--seen", "keep", "--score", "validation", "--no-refit", "--seed", 3]
    words += ["--seeds", 2, "--baseline", "popularity", "--test-share", 0.3]
    out = tmp_path / "run"
    result = llmseq("compare", shop_folder, "--out", out, *CHEAP, *words)
    assert result.exit_code == 0, result.output
    spec = RunFolder(out).read_spec()
    assert spec is not None
    assert (spec.ks, spec.primary, spec.seen, spec.score) == (
        (5, 7),
        "ndcg@7",
        "keep",
        "validation",
    )
    assert (spec.refit_winner, spec.seed, spec.n_seeds) == (False, 3, 2)
    assert (spec.baseline, spec.split.test_share, spec.n_threads) == ("popularity", 0.3, 1)
    assert not (out / "models" / "winner").exists()


def test_a_further_encoder_is_a_further_model(
    llmseq: Callable[..., Result], shop_folder: Path, tmp_path: Path
) -> None:
    ids = read_dataset(shop_folder).catalogue.ids.tolist()
    (tmp_path / "mine.ids.txt").write_text("\n".join(ids))
    np.save(tmp_path / "mine.npy", np.random.default_rng(0).normal(size=(len(ids), 8)))
    words = ["--encoder", f"file:{tmp_path}/mine.npy", "--set", "llmseqsim@mine.pooling=last"]
    out = tmp_path / "run"
    result = llmseq("compare", shop_folder, "--out", out, *CHEAP, *words, "--score", "validation")
    assert result.exit_code == 0, result.output
    assert "LLMSeqSim (mine)" in result.stdout
    spec = RunFolder(out).read_spec()
    assert spec is not None
    assert spec.encoders == ("tfidf", f"file:{tmp_path}/mine.npy")
    assert spec.model("llmseqsim@mine").settings == {"pooling": "last"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--models", "v-sknm"], 'unknown model "v-sknm"; did you mean "v-sknn"?'),
        (["--models", ","], "expected names separated by commas"),
        (["--encoder", "word2vec"], 'unknown encoder "word2vec"'),
        (["--k", "0"], "k must be at least 1, got 0"),
        (["--k", "ten"], "--k takes whole numbers"),
        (["--set", "sasrec.dropot=1"], 'model sasrec: unknown setting "dropot"'),
        (["--set", "sasrec"], '--set takes for example "sasrec.dropout=0.5", got "sasrec"'),
        (["--preset", "slow"], 'unknown preset "slow"'),
        (["--seeds", "0"], "n_seeds = 0"),
        (["--score", "train"], "'train' is not one of"),
        (["--models", "popularity,fusion"], "at least two of the compared models"),
        (["--split", "file"], "split"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(
    llmseq: Callable[..., Result], shop_folder: Path, tmp_path: Path, words: Any, says: str
) -> None:
    out = tmp_path / "run"
    result = llmseq("compare", shop_folder, "--out", out, *words)
    assert result.exit_code == 2, result.output
    assert says in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert not out.exists()


def test_datasets_and_run_folders_that_cannot_be_used(
    llmseq: Callable[..., Result], shop_folder: Path, tmp_path: Path
) -> None:
    missing = llmseq("compare", tmp_path / "nowhere", "--out", tmp_path / "run")
    assert (missing.exit_code, "no such dataset folder" in missing.stderr) == (2, True)
    foreign = llmseq("compare", shop_folder, "--out", shop_folder)
    assert (foreign.exit_code, "is no run folder" in foreign.stderr) == (2, True)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "spec.toml").write_text("= damaged")
    damaged = llmseq("compare", shop_folder, "--out", tmp_path / "run", *CHEAP)
    assert (damaged.exit_code, "spec.toml: damaged" in damaged.stderr) == (2, True)
    (shop_folder / "events.parquet").write_bytes(b"damaged")
    broken = llmseq("compare", shop_folder, "--out", tmp_path / "other", *CHEAP)
    assert (broken.exit_code, "events.parquet: damaged" in broken.stderr) == (2, True)
    assert not (tmp_path / "other").exists()


def test_a_second_process_is_refused(
    llmseq: Callable[..., Result], shop_folder: Path, tmp_path: Path
) -> None:
    with RunFolder(tmp_path / "run").lock():
        result = llmseq("compare", shop_folder, "--out", tmp_path / "run", *CHEAP)
    assert result.exit_code == 2
    assert "another process is working in this run folder" in result.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_a_failure(
    llmseq: Callable[..., Result], shop_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    result = llmseq("compare", shop_folder, "--out", tmp_path / "closed" / "run", *CHEAP)
    assert result.exit_code == 1


def test_a_full_disk_is_a_failure_and_leaves_nothing_half_written(
    llmseq: Callable[..., Result],
    shop_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*args: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device", "lists.safetensors")

    monkeypatch.setattr("llmseq.experiment.bench.save_file", full)
    result = llmseq("compare", shop_folder, "--out", tmp_path / "run", *CHEAP)
    assert (result.exit_code, "No space left on device" in result.stderr) == (1, True)
    left = [path.name for path in (tmp_path / "run" / "stages").iterdir()]
    assert left
    assert not [name for name in left if name.startswith(".")]


def test_a_damaged_run_cannot_be_reported(llmseq: Callable[..., Result], tmp_path: Path) -> None:
    assert llmseq("report", tmp_path).exit_code == 2
    (tmp_path / "leaderboard.json").write_text("{")
    result = llmseq("report", tmp_path)
    assert (result.exit_code, "leaderboard.json: damaged" in result.stderr) == (2, True)


def test_values_of_settings() -> None:
    pairs = ["a=1", "b=0.5", "c=true", "d=[1, 2]", "e.f=pca", 'e.g="x y"', "h=1e-3", "i="]
    assert options.settings(pairs, example="a=1") == {
        "a": 1,
        "b": 0.5,
        "c": True,
        "d": [1, 2],
        "e": {"f": "pca", "g": "x y"},
        "h": 0.001,
        "i": "",
    }


@pytest.mark.parametrize("pairs", [["a"], ["=1"], ["a..b=1"], ["a=1", "a.b=2"]])
def test_settings_that_cannot_be_read(pairs: list[str]) -> None:
    with pytest.raises(ConfigError, match="--set"):
        options.settings(pairs, example="a=1")


def test_a_spec_names_its_dataset(
    llmseq: Callable[..., Result], shop_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('models = [{ name = "popularity" }]\nencoder = "none"\n')
    result = llmseq("compare", "--spec", path, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "name the dataset folder to compare on; " in result.stderr
    path.write_text(f'dataset = "{shop_folder}"\n' + path.read_text())
    result = llmseq("compare", "--spec", path, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    result = llmseq("compare", "--spec", path, "--preset", "quick")
    assert "give either --spec" in result.stderr
    path.write_text("colour = 3\n" + path.read_text())
    result = llmseq("compare", "--spec", path, "--out", tmp_path / "other")
    assert result.exit_code == 2
    assert 'comparison: unknown setting "colour"' in result.stderr
    assert not (tmp_path / "other").exists()
