"""The main job on real logs: at reduced size in every run, in full by `make test-real`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from llmseq.data.folder import test_scorings as scorings
from llmseq.data.folder import write_dataset
from llmseq.data.importer import import_dataset
from llmseq.experiment.run import Run, compare

if TYPE_CHECKING:
    from pathlib import Path

    from llmseq.data.dataset import SessionDataset

pytestmark = [pytest.mark.realdata, pytest.mark.slow]

SMALL = {"n_epochs": 2, "embedding_dim": 32}
LEAST_ON_BEAUTY = {
    "popularity": 0.0048,
    "v-sknn": 0.041,
    "llmseqsim": 0.048,
    "sasrec": 0.057,
    "llm2sasrec": 0.062,
    "fusion": 0.070,
}


def import_beauty(path: Path, out: Path | None = None) -> SessionDataset:
    return import_dataset(
        path / "interactions.csv.gz",
        path / "items.csv.gz",
        split=path / "split.csv.gz",
        item_times=path / "item_order.csv.gz",
        out=out,
    )


def values(run: Run, metric: str = "ndcg@20") -> dict[str, float]:
    return {model.name: model.metrics[metric] for model in run.leaderboard.models}


def test_beauty_reduced(beauty_path: Path, tmp_path: Path) -> None:
    whole = import_beauty(beauty_path)
    some = np.sort(np.random.default_rng(0).permutation(len(whole.sessions))[:2_000])
    write_dataset(whole.take(some), tmp_path / "beauty")
    run = compare(
        tmp_path / "beauty",
        tmp_path / "run",
        encoder="tfidf",
        score="validation",
        refit_winner=False,
        settings={"sasrec": SMALL, "llm2sasrec": SMALL},
    )
    ndcg = values(run)
    assert set(ndcg) >= set(LEAST_ON_BEAUTY)
    assert ndcg["llmseqsim"] > 3 * ndcg["popularity"]
    assert ndcg["fusion"] > ndcg["popularity"]
    assert not scorings(tmp_path / "beauty")
    assert run.report_path.stat().st_size > 10_000


def test_movielens_imports_and_compares(shared_data: Path, tmp_path: Path) -> None:
    movies = shared_data / "ml-latest-small"
    import_dataset(
        movies / "ratings.csv.gz",
        movies / "movies.csv.gz",
        session_col="userId",
        item_col="movieId",
        time_col="timestamp",
        id_col="movieId",
        text="{title} ({genres})",
        out=tmp_path / "movies",
    )
    run = compare(
        tmp_path / "movies",
        tmp_path / "run",
        encoder="tfidf",
        models=["popularity", "v-sknn", "llmseqsim", "fusion"],
    )
    assert run.leaderboard.protocol.split == "temporal"
    assert all(value > 0 for value in values(run).values())
    ((item, _score), *_others) = run.winner().recommend([["1", "260"]], k=5)[0]
    assert item not in {"1", "260"}


@pytest.mark.full
def test_beauty_in_full(beauty_path: Path, tmp_path: Path) -> None:
    import_beauty(beauty_path, tmp_path / "beauty")
    run = compare(tmp_path / "beauty", tmp_path / "run", encoder="minilm")
    ndcg = values(run)
    short = {name: ndcg[name] for name, least in LEAST_ON_BEAUTY.items() if ndcg[name] < least}
    assert not short, f"below the least that is asked: {short}"
    assert len(scorings(tmp_path / "beauty")) == 1
