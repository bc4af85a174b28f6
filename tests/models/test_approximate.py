"""Search by a graph against the exact index: nothing wrong is listed, no list is short."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmseq.core import ItemIndex
from llmseq.errors import ArtifactError, ConfigError, MissingExtraError
from llmseq.models.approximate import HnswIndex, HnswSearch
from llmseq.testing.reference.topk import canonical_scores
from llmseq.types import Ragged

NARROW = HnswSearch(m=4, ef_construction=20, ef=8)
SIMILARITIES = ("dot", "cosine", "euclidean")


def cloud(n: int, dim: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def built(vectors, similarity="cosine", search=NARROW, seed=5) -> HnswIndex:
    return HnswIndex.build(vectors, similarity, search, seed=seed)


@given(
    n_items=st.integers(1, 150),
    similarity=st.sampled_from(SIMILARITIES),
    k=st.integers(1, 40),
    share=st.sampled_from([1.0, 0.8, 0.1, 0.0]),
    equal=st.booleans(),
    seed=st.integers(0, 9),
)
def test_lists_are_full_allowed_and_scored_as_the_exact_index_does(
    n_items, similarity, k, share, equal, seed
):
    rng = np.random.default_rng(seed)
    vectors = cloud(n_items, seed=seed)
    if equal:  # many equal vectors tear a graph apart
        vectors[: n_items // 2] = vectors[0]
    queries = cloud(4, seed=seed + 1)
    allowed = rng.random(n_items) < share
    exclude = Ragged.from_lists([rng.integers(0, n_items, size) for size in (0, 3, 3, 60)])
    items, scores = built(vectors, similarity).search(queries, k, exclude, allowed)
    right, best = ItemIndex(vectors, similarity).search(queries, k, exclude, allowed)
    exact = canonical_scores(queries, vectors, similarity)
    np.testing.assert_array_equal(items < 0, right < 0)
    for row, (listed, of_row) in enumerate(zip(items, scores, strict=True)):
        listed = listed[listed >= 0]
        assert allowed[listed].all()
        assert not np.isin(listed, exclude[row]).any()
        np.testing.assert_array_equal(of_row[: listed.size], exact[row, listed])
        assert list(listed) == sorted(listed, key=lambda item: (-exact[row, item], item))
        assert (of_row <= best[row]).all()


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_a_wide_beam_finds_the_exact_lists_in_the_graph(similarity, monkeypatch):
    vectors, queries = cloud(2000), cloud(30, seed=1)
    index = built(vectors, similarity, HnswSearch(ef=200))
    monkeypatch.setattr(index, "_all", lambda: pytest.fail("scanned"))
    for wanted, found in zip(
        ItemIndex(vectors, similarity).search(queries, 20), index.search(queries, 20), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)


def test_of_equal_scores_the_lower_index_stands_first(monkeypatch):
    vectors = cloud(600)
    near = np.random.default_rng(0).choice(600, 30, replace=False)
    vectors[near] *= 1e-9  # so near to the query that 1 / (1 + distance) is 1 for all of them
    index = built(vectors, "euclidean", HnswSearch(ef=100))
    monkeypatch.setattr(index, "_all", lambda: pytest.fail("scanned"))
    items, scores = index.search(np.zeros((1, 6), dtype=np.float32), 30)
    assert scores.tolist() == [[1.0] * 30]
    assert items[0].tolist() == sorted(near)


def test_the_whole_beam_counts_where_the_nearest_items_may_not_be_listed(monkeypatch):
    vectors, query = cloud(2000), cloud(1, seed=1)
    nearest, _ = ItemIndex(vectors, "cosine").search(query, 44)
    allowed = np.ones(2000, dtype=np.bool_)
    allowed[nearest[0, :40]] = False
    index = built(vectors, search=HnswSearch(ef=64))
    monkeypatch.setattr(index, "_all", lambda: pytest.fail("scanned"))
    assert index.search(query, 4, None, allowed)[0].tolist() == nearest[:, 40:].tolist()


def test_a_narrow_beam_misses_some():
    vectors, queries = cloud(3000, dim=24), cloud(50, dim=24, seed=1)
    found, _ = built(vectors, search=HnswSearch(m=2, ef_construction=2, ef=1)).search(queries, 10)
    wanted, _ = ItemIndex(vectors, "cosine").search(queries, 10)
    shared = np.mean([np.isin(*rows).mean() for rows in zip(wanted, found, strict=True)])
    assert 0.02 < shared < 0.9


def test_a_list_depends_neither_on_the_batch_nor_on_how_many_places_the_beam_has():
    vectors, queries = cloud(1000), cloud(20, seed=1)
    index = built(vectors, search=HnswSearch(m=3, ef_construction=5, ef=16))
    items, _ = index.search(queries, 16)
    for row in range(20):
        alone, _ = index.search(queries[row : row + 1], 4)
        assert alone[0].tolist() == items[row, :4].tolist()


def test_the_seed_decides():
    vectors, queries = cloud(1000, dim=24), cloud(40, dim=24, seed=1)
    search = HnswSearch(m=2, ef_construction=2, ef=2)
    first, again, other = (
        built(vectors, search=search, seed=seed).search(queries, 4)[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_saved_and_opened(tmp_path):
    vectors, queries = cloud(500, dim=24), cloud(40, dim=24, seed=1)
    index = built(vectors)
    index.save(tmp_path / "graph")
    read = HnswIndex.open(tmp_path / "graph", vectors, "cosine", NARROW)
    for wanted, found in zip(index.search(queries, 7), read.search(queries, 7), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_files_that_do_not_hold_the_graph(tmp_path):
    path = tmp_path / "graph"
    vectors = cloud(50)
    built(vectors).save(path)
    with pytest.raises(ArtifactError, match="graph: holds 50 items, the model has 49"):
        HnswIndex.open(path, vectors[:49], "cosine", NARROW)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ArtifactError, match="graph: damaged"):
        HnswIndex.open(path, vectors, "cosine", NARROW)
    path.unlink()
    with pytest.raises(ArtifactError, match="graph: damaged"):
        HnswIndex.open(path, vectors, "cosine", NARROW)


def test_without_hnswlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    with pytest.raises(MissingExtraError, match=r"llmseq\[ann\]"):
        built(cloud(5))


@pytest.mark.parametrize("name", ["m", "ef_construction", "ef"])
def test_settings_that_cannot_be(name):
    with pytest.raises(ConfigError, match=f"{name} = 0"):
        HnswSearch.make({name: 0}, what="search")
