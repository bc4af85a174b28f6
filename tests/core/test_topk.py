from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import llmseq._core
import llmseq.core
from llmseq.core import SessionIndex
from llmseq.core.index_files import write_index
from llmseq.errors import ArtifactError, ConfigError, InvalidDataError, ShapeError
from llmseq.testing import reference
from llmseq.types import Ragged

SIMILARITIES = ("dot", "cosine", "euclidean")


@pytest.fixture(params=llmseq.core.cpu_paths())
def path(request, monkeypatch):
    """Each set of instructions of this machine."""
    monkeypatch.setenv("LLMSEQ_CPU", request.param)
    return request.param


VECTORS = np.array([[3.0, 4.0], [0.0, 1.0], [6.0, 8.0], [0.0, 0.0]], dtype=np.float32)
INF = np.inf


def assert_same(left, right):
    np.testing.assert_array_equal(left[0], right[0])
    np.testing.assert_array_equal(left[1], right[1])
    assert left[0].dtype == right[0].dtype == np.int32
    assert left[1].dtype == right[1].dtype == np.float32


@pytest.mark.parametrize(
    ("similarity", "items", "scores"),
    [
        ("dot", [2, 0, 1, 3], [24, 12, 3, 0]),
        ("cosine", [1, 0, 2, 3], [1, 0.8, 0.8, 0]),
        ("euclidean", [1, 3, 0, 2], [1 / 3, 1 / 4, 1 / (1 + np.sqrt(10)), 1 / (1 + np.sqrt(61))]),
    ],
)
def test_by_hand(kernels, similarity, items, scores):
    index = kernels.ItemIndex(VECTORS, similarity)
    assert (index.n_items, index.dim, index.similarity) == (4, 2, similarity)
    found, found_scores = index.search([[0.0, 3.0]], 4)
    assert found.tolist() == [items]
    np.testing.assert_allclose(found_scores, [scores], rtol=1e-6)


def test_ties_go_to_the_lower_index(kernels):
    vectors = np.tile(np.float32([0.1, 0.7, -0.3]), (500, 1))
    for similarity in SIMILARITIES:
        items, _ = kernels.top_k([[0.3, 0.2, 0.9]], vectors, 7, similarity=similarity)
        assert items.tolist() == [list(range(7))]


def test_negative_zero_equals_zero(kernels):
    items, scores = kernels.top_k([[-1.0]], [[0.0], [-0.0], [1.0]], 3)
    assert items.tolist() == [[0, 1, 2]]
    assert not np.signbit(scores[0, 0])


def test_scores_round_once_from_float64(kernels):
    # In float32 the sum 1 + 2⁻²⁴ + 2⁻²⁴ would stay 1.
    vectors = np.float32([[1.0, 2.0**-24, 2.0**-24], [1.0, 0.0, 0.0]])
    items, scores = kernels.top_k(np.ones((1, 3)), vectors[::-1], 2)
    assert items.tolist() == [[1, 0]]
    assert scores[0, 0] == np.float32(1 + 2.0**-23)


def test_short_lists(kernels):
    items, scores = kernels.top_k([[1.0, 0.0]], VECTORS, 6, exclude=([2, 0, 2], [0, 3]))
    assert items.tolist() == [[1, 3, -1, -1, -1, -1]]
    assert scores.tolist() == [[0, 0, -INF, -INF, -INF, -INF]]


def test_candidates_and_exclusions(kernels):
    mask = np.array([True, False, True, True])
    exclude = Ragged.from_lists([[], [2], [0, 2, 3]])
    items, _ = kernels.top_k(np.ones((3, 2)), VECTORS, 2, exclude=exclude, candidates=mask)
    assert items.tolist() == [[2, 0], [0, 3], [-1, -1]]


def test_a_zero_query_scores_zero(kernels):
    items, scores = kernels.top_k([[0.0, 0.0]], VECTORS, 2, similarity="cosine")
    assert (items.tolist(), scores.tolist()) == ([[0, 1]], [[0.0, 0.0]])


def test_no_query(kernels):
    items, scores = kernels.top_k(np.empty((0, 2)), VECTORS, 3)
    assert items.shape == scores.shape == (0, 3)


def test_scores_beyond_float32_still_rank(kernels):
    vectors = np.float32([[1e30], [3e38], [-3e38]])
    items, scores = kernels.top_k([[3e38]], vectors, 3)
    assert items.tolist() == [[0, 1, 2]]
    assert scores.tolist() == [[INF, INF, -INF]]


def test_a_partial_sum_beyond_float32_does_not_hide_an_item(kernels):
    # In float32 the first two products would make the sum −inf; it is the best.
    vectors = np.tile(np.float32([-3e38, -3e38, 3e38, 3e38]), (300, 1))
    vectors[:-1, 3] = 1e38
    items, _ = kernels.top_k([[1.5, 1.5, 1.5, 1.5]], vectors, 1)
    assert items.tolist() == [[299]]


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"k": 0}, ConfigError, "k must be a whole number from 1 to"),
        ({"k": 2.5}, ConfigError, "k must be a whole number"),
        ({"k": 2**31}, ConfigError, "k must be a whole number from 1 to"),
        ({"similarity": "manhattan"}, ConfigError, "choose from dot, cosine, euclidean"),
        ({"vectors": np.empty((0, 2))}, InvalidDataError, "at least one item vector"),
        (
            {"vectors": [[0.0, 0.0], [INF, 0.0]]},
            InvalidDataError,
            "vectors must be finite, but row 1",
        ),
        ({"queries": [[0.0, np.nan]]}, InvalidDataError, "queries must be finite, but row 0"),
        ({"queries": [[0.0]]}, ShapeError, "queries must have 2 columns"),
        ({"queries": [0.0, 1.0]}, ShapeError, "queries must have 2 dimension"),
        ({"exclude": ([0], [0, 1, 1])}, ShapeError, "exclude must have one row for each of"),
        ({"exclude": ([4], [0, 1])}, InvalidDataError, "exclude: row 0 holds item 4"),
        ({"exclude": [0, 1]}, ShapeError, "exclude must be a Ragged or a pair"),
        ({"candidates": np.ones(3, dtype=bool)}, ShapeError, "candidates must hold one value"),
        ({"candidates": [0, 1, 2, 3]}, InvalidDataError, "candidates must hold booleans"),
    ],
)
def test_wrong_input_is_named(kernels, change, error, says):
    arguments = {"queries": [[0.0, 3.0]], "vectors": VECTORS, "k": 2} | change
    with pytest.raises(error, match=says):
        kernels.top_k(**arguments)


def test_other_types_and_layouts_are_converted(kernels):
    rng = np.random.default_rng(3)
    vectors, queries = rng.normal(size=(60, 8)), rng.normal(size=(5, 8))
    expected = kernels.top_k(queries.astype(np.float32), vectors.astype(np.float32), 4)
    assert_same(kernels.top_k(queries, vectors, 4), expected)
    assert_same(
        kernels.top_k(np.asfortranarray(queries), vectors.repeat(2, axis=0)[::2], 4), expected
    )


def test_the_index_keeps_a_copy(kernels):
    vectors = VECTORS.copy()
    index = kernels.ItemIndex(vectors)
    vectors[:] = 0
    assert index.search([[0.0, 3.0]], 1)[0].tolist() == [[2]]


FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.sampled_from(
    [0.0, -0.0, 1.0, -1.0, 0.1, 1e-45, 3e38, -3e38]
)


@settings(max_examples=80, deadline=None)
@given(data=st.data(), similarity=st.sampled_from(SIMILARITIES), k=st.integers(1, 6))
def test_compiled_equals_twin_on_any_values(data, similarity, k):
    n_items, dim = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 5))
    vectors = data.draw(arrays(np.float32, (n_items, dim), elements=FLOATS))
    queries = data.draw(arrays(np.float32, (data.draw(st.integers(1, 4)), dim), elements=FLOATS))
    mask = data.draw(st.none() | arrays(np.bool_, n_items))
    rows = st.lists(st.lists(st.integers(0, n_items - 1), max_size=4), min_size=len(queries))
    exclude = data.draw(st.none() | rows.map(lambda r: Ragged.from_lists(r[: len(queries)])))
    arguments = {"similarity": similarity, "exclude": exclude, "candidates": mask}
    compiled = llmseq.core.top_k(queries, vectors, k, **arguments)
    assert_same(compiled, reference.top_k(queries, vectors, k, **arguments))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    dim=st.sampled_from([1, 2, 17, 64]),
    noise=st.sampled_from([0.0, 1e-8, 1e-7, 1e-5, 1.0]),
    scale=st.sampled_from([1e-25, 1e-20, 1e-3, 1.0, 1e5, 1e18, 1e20]),
    similarity=st.sampled_from(SIMILARITIES),
)
def test_the_scan_loses_nothing_among_near_ties(seed, dim, noise, scale, similarity):
    """Hundreds of items around a few points: differences far below what float32 sums resolve."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(3, dim))
    vectors = centres[rng.integers(0, 3, 700)] * (1 + noise * rng.normal(size=(700, dim)))
    vectors[rng.integers(0, 700, 5)] *= 100
    vectors, queries = (vectors * scale).astype(np.float32), rng.normal(size=(3, dim)) * scale
    queries[0] = vectors[5]
    compiled = llmseq.core.top_k(queries, vectors, 10, similarity=similarity)
    assert_same(compiled, reference.top_k(queries, vectors, 10, similarity=similarity))


def test_many_queries_and_blocks_equal_the_twin():
    rng = np.random.default_rng(11)
    vectors = rng.normal(size=(3001, 96)).astype(np.float32)
    queries = rng.normal(size=(131, 96)).astype(np.float32)
    for similarity in SIMILARITIES:
        for k in (1, 20, 300):
            compiled = llmseq.core.top_k(queries, vectors, k, similarity=similarity)
            assert_same(compiled, reference.top_k(queries, vectors, k, similarity=similarity))


def spread(n: int, dim: int, seed: int) -> np.ndarray:
    """Vectors with directions of falling weight: an index looks at the first of them first."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, dim)) / (1 + np.arange(dim) / 8)).astype(np.float32)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_every_path_equals_the_twin(path, similarity):
    vectors, queries = spread(1500, 100, seed=1), spread(40, 100, seed=2)
    mask = np.arange(1500) % 3 > 0
    exclude = Ragged.from_lists([[row, row * 7, 1499] for row in range(40)])
    for k in (1, 20, 700):
        arguments = {"similarity": similarity, "exclude": exclude, "candidates": mask}
        compiled = llmseq.core.top_k(queries, vectors, k, **arguments)
        assert_same(compiled, reference.top_k(queries, vectors, k, **arguments))


@pytest.mark.parametrize("n_queries", [1, 2, 3, 20])
def test_threads_that_share_a_large_catalogue_find_the_same(path, n_queries):
    n_items = 66_000  # in 8 bits more than the cache is taken to hold: two queries read fronts
    vectors, queries = spread(n_items, 136, seed=1), spread(n_queries, 136, seed=2)
    exclude = Ragged.from_lists([[row, n_items - 1] for row in range(n_queries)])
    index = llmseq.core.ItemIndex(vectors)
    assert index.arrays()["fronts"].size
    alone = index.search(queries, 20, exclude=exclude, n_threads=1)
    for n_threads in (2, 3):
        assert_same(index.search(queries, 20, exclude=exclude, n_threads=n_threads), alone)
    if path == llmseq.core.cpu_paths()[-1]:
        assert_same(alone, reference.top_k(queries, vectors, 20, exclude=exclude))


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_calls_that_follow_one_another_find_the_same(path, similarity):
    """A helper that stays awake between them does half of each."""
    vectors, queries = spread(4_100, 24, seed=1), spread(300, 24, seed=2)
    mask = np.arange(4_100) % 5 > 0
    exclude = Ragged.from_lists([[row, row * 9, 4_099] for row in range(300)])
    index = llmseq.core.ItemIndex(vectors, similarity)
    for k in (1, 20, 3_000):
        together = index.search(queries, k, exclude, mask, n_threads=1)
        alone = [
            index.search(queries[[row]], k, Ragged.from_lists([exclude[row]]), mask, n_threads=2)
            for row in range(300)
        ]
        assert_same([np.concatenate(part) for part in zip(*alone, strict=True)], together)
    if sys.platform == "linux" and llmseq.core.thread_count() > 1:
        names = [task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")]
        assert "llmseq-helper" in names


@pytest.mark.parametrize("dim", [8_320, 8_324, 65_536])
def test_the_largest_dots_of_wide_vectors_fit(path, dim):
    rng = np.random.default_rng(3)
    signs = np.where(rng.random((150, 1)) < 0.5, -1, 1).astype(np.float32)
    rows = signs * (1 + rng.random((150, dim), dtype=np.float32) / 1_000)
    rows[::2] *= rng.random((75, 1), dtype=np.float32)
    for similarity in SIMILARITIES:
        compiled = llmseq.core.top_k(rows[:3], rows, 2, similarity=similarity)
        assert_same(compiled, reference.top_k(rows[:3], rows, 2, similarity=similarity))


def test_an_unknown_path_names_those_that_are_here(monkeypatch):
    monkeypatch.setenv("LLMSEQ_CPU", "abacus")
    with pytest.raises(ConfigError, match=r"LLMSEQ_CPU must be a path of this machine \(portable"):
        llmseq.core.top_k([[1.0]], [[1.0]], 1)


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("dim", [7, 100])
def test_a_saved_index_gives_the_same_lists(tmp_path, similarity, dim):
    vectors, queries = spread(900, dim, seed=3), spread(30, dim, seed=4)
    index = llmseq.core.ItemIndex(vectors, similarity)
    index.save(str(tmp_path / "items.index"))
    opened = llmseq.core.ItemIndex.open(str(tmp_path / "items.index"))
    assert (opened.n_items, opened.dim, opened.similarity) == (900, dim, similarity)
    left_out = Ragged.from_lists([[3], *[[]] * 29])
    assert_same(opened.search(queries, 20), index.search(queries, 20))
    assert_same(opened.search(queries, 5, left_out), index.search(queries, 5, left_out))


def damaged(arrays: dict[str, np.ndarray], what: str) -> dict[str, np.ndarray]:
    changed = {name: values.copy() for name, values in arrays.items()}
    match what:
        case "an item twice":
            changed["order"][0] = changed["order"][1]
        case "an item too many":
            changed["order"][0] = 10_000
        case "short rows":
            changed["rows"] = changed["rows"][:-1]
        case "short panels":
            changed["panels"] = changed["panels"][:-1]
        case "another width":
            changed["numbers"][1] = 3
        case "no centre":
            del changed["centre"]
        case "no numbers":
            changed["numbers"] = changed["numbers"][:2]
    return changed


@pytest.mark.parametrize(
    "what",
    [
        "an item twice",
        "an item too many",
        "short rows",
        "short panels",
        "another width",
        "no centre",
        "no numbers",
    ],
)
def test_a_damaged_file_is_an_error(tmp_path, what):
    index = llmseq.core.ItemIndex(spread(300, 12, seed=5))
    parts = index._index.arrays()
    metadata = index.metadata()
    write_index(tmp_path / "good", parts, metadata)
    assert llmseq.core.ItemIndex.open(tmp_path / "good").n_items == 300
    write_index(tmp_path / "bad", damaged(parts, what), metadata)
    with pytest.raises(ArtifactError, match=r"bad: damaged"):
        llmseq.core.ItemIndex.open(tmp_path / "bad")


def test_a_file_cut_short_or_of_another_kind_is_an_error(tmp_path):
    path = tmp_path / "items.index"
    llmseq.core.ItemIndex(spread(50, 4, seed=6)).save(path)
    content = path.read_bytes()
    for length in (0, 7, 100, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ArtifactError, match=r"items\.index"):
            llmseq.core.ItemIndex.open(path)
    with pytest.raises(ArtifactError, match="cannot be read"):
        llmseq.core.ItemIndex.open(tmp_path / "absent")
    SessionIndex([0], [0, 1], 1).save(path)
    with pytest.raises(ArtifactError, match="holds no llmseq item index"):
        llmseq.core.ItemIndex.open(path)
    arrays = llmseq.core.ItemIndex(spread(50, 4, seed=6))._index.arrays()
    write_index(path, arrays, {"format": "llmseq item index", "version": "0"})
    with pytest.raises(ArtifactError, match="of version 0"):
        llmseq.core.ItemIndex.open(path)


def test_vectors_too_wide_for_the_sums_are_refused(kernels):
    with pytest.raises(ConfigError, match="at most 65536 values"):
        kernels.top_k(np.zeros((1, 65_537)), np.zeros((2, 65_537)), 1)


def test_queries_far_from_all_items_still_rank():
    vectors = spread(200, 6, seed=7) * np.float32(1e-20)
    queries = np.float32([[1e18] * 6, [3e38, -3e38, 0, 0, 0, 0]])
    for similarity in SIMILARITIES:
        compiled = llmseq.core.top_k(queries, vectors, 9, similarity=similarity)
        assert_same(compiled, reference.top_k(queries, vectors, 9, similarity=similarity))
