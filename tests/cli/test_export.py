"""A run's lists for other tools: what is written, and that it gives the run's own figures."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from llmseq.data.folder import read_dataset, write_dataset
from llmseq.data.split import split_dataset
from llmseq.data.synthetic import make_shop
from llmseq.experiment import export
from llmseq.experiment.run import compare

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

PAGE = Path(__file__).parents[2] / "docs" / "data.md"
MODELS = ["popularity", "v-sknn", "llmseqsim"]


@pytest.fixture(scope="module", params=["test", "validation"])
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a dataset and a run on it."""
    folder = tmp_path_factory.mktemp("export")
    write_dataset(make_shop(n_sessions=300, n_items=120, seed=7), folder / "shop")
    words = {"encoder": "tfidf", "n_threads": 1, "refit_winner": False, "score": request.param}
    compare(folder / "shop", folder / "run", models=MODELS, k=[5, 10], **words)
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_exported_lists_give_the_figures_of_the_run(
    llmseq: Callable[..., Result], runs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "lists"
    result = llmseq("export", runs / "run", "--out", out)
    assert result.exit_code == 0, result.output
    board = json.loads((runs / "run" / "leaderboard.json").read_text())
    part = board["protocol"]["scored_on"]
    assert result.stdout.startswith(
        f"{board['protocol']['n_sessions']} lists, scored on {part}, of"
    )
    assert {file.stem for file in (out / "lists").iterdir()} == set(MODELS)
    for model in board["models"]:
        words = ["--recommendations", out / "lists" / f"{model['name']}.csv"]
        for name, file in (("targets", "targets"), ("catalogue", "items"), ("train", "train")):
            words += [f"--{name}", out / f"{file}.csv"]
        scored = json.loads(llmseq("evaluate", *words, "--k", "5,10", "--format", "json").stdout)
        own = {name: value for name, value in model["metrics"].items() if "diversity" not in name}
        assert len(own) >= 20
        assert {name: scored[name] for name in own} == pytest.approx(own, rel=1e-12)
        assert scored["notes"] == []


def test_the_command_it_names_works(
    llmseq: Callable[..., Result], runs: Path, tmp_path: Path
) -> None:
    told = llmseq("export", runs / "run", "--models", "v-sknn", "--out", tmp_path / "lists").stdout
    [command] = [line for line in told.splitlines() if line.startswith("Next: llmseq ")]
    assert llmseq(*shlex.split(command)[2:]).exit_code == 0


def test_the_command_of_the_page_works(
    llmseq: Callable[..., Result], runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [words] = re.findall(
        r"^    llmseq (export .*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    shutil.copytree(runs / "run", tmp_path / "runs" / "first")
    monkeypatch.chdir(tmp_path)
    result = llmseq(*words.split())
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("form", ["rectools", "lenskit"])
def test_tables_by_user(
    llmseq: Callable[..., Result], runs: Path, tmp_path: Path, form: str
) -> None:
    out = tmp_path / "lists"
    result = llmseq("export", runs / "run", "--models", "v-sknn", "--format", form, "--out", out)
    assert result.exit_code == 0, result.output
    lists = rows(out / "lists" / "v-sknn.csv")
    assert list(lists[0]) == ["user_id", "item_id", "rank", "score"]
    table = pl.read_parquet(runs / "run" / "recommendations" / "v-sknn.parquet")
    assert [(row["user_id"], row["item_id"], int(row["rank"])) for row in lists] == table.select(
        "session_id", "item_id", pl.col("rank").cast(int)
    ).rows()
    assert (
        np.array([row["score"] for row in lists], np.float32).tolist() == table["score"].to_list()
    )
    assert list(rows(out / "targets.csv")[0]) == ["user_id", "item_id"]
    assert list(rows(out / "train.csv")[0]) == ["user_id", "item_id"]
    dataset = read_dataset(runs / "shop")
    assert [row["item_id"] for row in rows(out / "items.csv")] == dataset.catalogue.ids.tolist()
    split = split_dataset(dataset)
    n_train = {len(split.train.sessions.items), len(split.fit.sessions.items)}
    assert len(rows(out / "train.csv")) in n_train


def test_trec_has_falling_scores_in_the_order_of_the_lists(
    llmseq: Callable[..., Result], runs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "lists"
    result = llmseq("export", runs / "run", "--format", "trec", "--out", out)
    assert result.exit_code == 0, result.output
    assert sorted(file.name for file in out.iterdir()) == ["lists", "targets.trec"]
    qrels = [line.split() for line in (out / "targets.trec").read_text().splitlines()]
    assert {(len(row), row[1], row[3]) for row in qrels} == {(4, "0", "1")}
    for name in MODELS:
        lines = [line.split() for line in (out / "lists" / f"{name}.trec").read_text().splitlines()]
        made = pl.DataFrame(
            lines, schema=["session", "q0", "item", "rank", "score", "tag"], orient="row"
        )
        assert set(made["tag"]) == {name}
        assert set(made["q0"]) == {"Q0"}
        table = pl.read_parquet(runs / "run" / "recommendations" / f"{name}.parquet")
        assert made["item"].to_list() == table["item_id"].to_list()
        scores = made["score"].cast(pl.Float32).to_numpy()
        inside = made["session"].to_numpy()[1:] == made["session"].to_numpy()[:-1]
        assert (np.diff(scores)[inside] < 0).all()
        assert np.allclose(scores, table["score"].to_numpy(), rtol=1e-5, atol=1e-30)


def test_equal_scores_fall_by_the_least_step() -> None:
    scores = np.array([0.5, 0.5, 0.5, 0.1, 0.0, 0.0], np.float32)
    made = export._falling(scores, np.array([1, 2, 3, 4, 1, 2]))
    step = np.nextafter(np.float32(0.5), np.float32(0))
    least = np.nextafter(np.float32(0), np.float32(-1))
    assert made.tolist() == [
        0.5,
        step,
        np.nextafter(step, np.float32(0)),
        scores[3],
        0.0,
        least,
    ]


def test_it_says_that_lists_are_of_the_first_seed(
    llmseq: Callable[..., Result], runs: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs / "run", run)
    text = (run / "spec.toml").read_text()
    assert "n_seeds = 1" in text
    (run / "spec.toml").write_text(text.replace("n_seeds = 1", "n_seeds = 3"))
    told = llmseq("export", run, "--out", tmp_path / "lists").stderr
    assert "the lists are of the first of 3 seeds" in told


def test_wrong_input_says_what_to_do_and_leaves_nothing(
    llmseq: Callable[..., Result], runs: Path, tmp_path: Path
) -> None:
    def says(*words: object) -> str:
        before = set(tmp_path.iterdir())
        result = llmseq("export", *words)
        assert result.exit_code == 2, result.output
        assert result.stderr.count("\n") == 1
        assert set(tmp_path.iterdir()) == before
        return result.stderr

    run, out = tmp_path / "run", tmp_path / "lists"
    shutil.copytree(runs / "run", run)
    told = says(run, "--models", "v-knn", "--out", out)
    assert 'no lists of "v-knn"; did you mean "v-sknn"?' in told
    assert "It has those of: llmseqsim, popularity, v-sknn" in told
    assert "holds no lists; give the folder of a finished `llmseq compare`" in says(
        runs / "shop", "--out", out
    )
    assert "is there already; choose another --out" in says(run, "--out", run)
    text = (run / "spec.toml").read_text()
    (run / "spec.toml").write_text(text.replace(str(runs / "shop"), str(tmp_path / "gone")))
    assert "gone is not there; say where it is with --dataset" in says(run, "--out", out)
    write_dataset(make_shop(n_sessions=300, n_items=120, seed=8), tmp_path / "other")
    assert "other: is not the dataset that" in says(
        run, "--dataset", tmp_path / "other", "--out", out
    )
    result = llmseq("export", run, "--dataset", runs / "shop", "--out", out)
    assert result.exit_code == 0, result.output


def test_ids_with_spaces_are_refused_for_trec(runs: Path) -> None:
    del runs
    table = pl.DataFrame({"session_id": ["a b"], "item_id": ["x"]})
    with pytest.raises(export.ConfigError, match=r'session_id "a b" holds white space.*as csv'):
        export._qrels(table)
