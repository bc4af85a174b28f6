"""Both real data sets come in unedited, and Beauty is cut as published."""

from __future__ import annotations

import pytest

from llmseq.data.held_out import hold_out, target_popularity
from llmseq.data.importer import import_dataset
from llmseq.data.split import SplitConfig, split_dataset
from llmseq.data.validation_part import draw_parts

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def beauty(beauty_path):
    return import_dataset(
        beauty_path / "interactions.csv.gz",
        beauty_path / "items.csv.gz",
        split=beauty_path / "split.csv.gz",
        item_times=beauty_path / "item_order.csv.gz",
    )


@pytest.fixture(scope="module")
def movies(shared_data):
    folder = shared_data / "ml-latest-small"
    return import_dataset(
        folder / "ratings.csv.gz",
        folder / "movies.csv.gz",
        session_col="userId",
        item_col="movieId",
        time_col="timestamp",
        id_col="movieId",
        text="{title} ({genres})",
    )


def test_beauty_comes_in_whole(beauty):
    assert (len(beauty.sessions), beauty.sessions.n_events) == (22_363, 198_502)
    assert beauty.n_items == 12_101
    assert beauty.catalogue.titles.count(None) == 7
    assert "★LIMITED SALE★" in beauty.catalogue.titles[1]
    report = beauty.provenance["report"]
    assert report["facts"]["split_labels"] == {"train": 17_890, "test": 4_469, "dropped": 4}
    assert report["dropped"] == []


def test_beauty_is_cut_as_published(beauty):
    split = split_dataset(beauty)
    assert len(split.test) == 4_469
    assert split.test_candidates.sum() == 11_957
    found = split.report["comparison"]["test"]
    assert found["cold_last_items"] == pytest.approx(0.15, abs=0.005)
    assert found["events_lost"] == pytest.approx(0.04, abs=0.005)
    assert found["mean_prompt"] == pytest.approx(10.7, abs=0.05)
    popularity = target_popularity(split.test, split.train.item_counts())
    assert popularity["median_events"] == 9
    assert popularity["under_5_events"] == pytest.approx(0.30, abs=0.005)


def test_beauty_validation_looks_like_test(beauty):
    split = split_dataset(beauty)
    assert split.report["validation"]["drawn"] == "newest-items"
    train = split.train
    parts = draw_parts(train, 0.1, 1e-9, seed=0)
    rest = train.take(parts.fit)
    part = hold_out(train.sessions.take(parts.select), rest.item_counts() > 0)
    found = part.statistics()  # the row of data/README.md, drawn with another seed
    assert found["cold_last_items"] == pytest.approx(0.03, abs=0.01)
    assert found["events_lost"] == pytest.approx(0.01, abs=0.005)
    assert found["mean_prompt"] == pytest.approx(9.3, abs=0.3)
    popularity = target_popularity(part.last_items(), rest.item_counts())
    assert popularity["median_events"] == pytest.approx(9, abs=1)
    assert popularity["under_5_events"] == pytest.approx(0.31, abs=0.03)


def test_movies_come_in_whole(movies):
    assert (len(movies.sessions), movies.sessions.n_events) == (671, 100_004)
    assert movies.n_items == 9_125
    assert movies.catalogue.texts[0].startswith("Toy Story (1995) (Adventure|Animation")
    report = movies.provenance["report"]
    assert report["facts"]["times_read_as"] == "Unix seconds"
    ties = next(entry for entry in report["noticed"] if entry["key"] == "ties")
    assert ties["count"] > 20_000


@pytest.mark.parametrize("method", ["temporal", "leave-last-out"])
def test_movies_can_be_cut(movies, method):
    split = split_dataset(movies, SplitConfig(method=method))
    late = split.report["leakage"]["train_events_after_first_target"]
    assert (late == 0) == (method == "temporal")
    assert len(split.test) > 100
