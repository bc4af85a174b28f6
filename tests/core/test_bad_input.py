"""What every kernel refuses or converts, at each of its doors."""

from __future__ import annotations

import numpy as np
import pytest

from llmseq.errors import ConfigError, InvalidDataError, ShapeError

N = 4
VECTORS = np.arange(12, dtype=np.float32).reshape(N, 3) - 5
FINE = ([0, 3, 1], [0, 2, 3])


def pooled(kernels, rows):
    return kernels.pool_sessions(VECTORS, *rows)


def excluded(kernels, rows):
    return kernels.top_k(VECTORS[:2], VECTORS, 2, exclude=rows)


def targeted(kernels, rows):
    return kernels.evaluate_lists([[0, 1], [2, 3]], rows, ks=(2,), n_items=N)


def knn_train(kernels, rows):
    return kernels.SessionIndex(*rows, N)


def knn_prompts(kernels, rows):
    return kernels.SessionIndex(*FINE, N).search(*rows, 2, k=1, sample_size=1)


def pair_train(kernels, rows):
    return kernels.CooccurrenceIndex(*rows, N, forward=[1.0])


def pair_prompts(kernels, rows):
    return kernels.CooccurrenceIndex(*FINE, N, forward=[1.0]).search(*rows, 2)


ROWS = [pooled, excluded, targeted, knn_train, knn_prompts, pair_train, pair_prompts]


@pytest.mark.parametrize("call", ROWS)
@pytest.mark.parametrize(
    ("rows", "error", "says"),
    [
        (([0, 4, 1], [0, 2, 3]), InvalidDataError, "row 0 holds item 4, which is not in 0..4"),
        (([0, 3, -1], [0, 2, 3]), InvalidDataError, "row 1 holds item -1"),
        (([0, 2**31, 1], [0, 2, 3]), InvalidDataError, "must fit into int32"),
        (([0.0, 3.0, 1.0], [0, 2, 3]), InvalidDataError, "must hold whole numbers, got float64"),
        (([[0, 3, 1]], [0, 2, 3]), ShapeError, r"must have 1 dimension\(s\), got shape \(1, 3\)"),
        (([0, 3, 1], [0, 3, 2]), ShapeError, "from 0 to the number of items"),
        (([0, 3, 1], [0, 3, 2, 3]), ShapeError, "offsets must not fall, but they do after row 1"),
        (([0, 3, 1], [1, 2, 3]), ShapeError, "from 0 to the number of items"),
        (([0, 3, 1], [0, 2, 2**63 - 1]), ShapeError, "from 0 to the number of items"),
        (([0, 3, 1], [0, -(2**63), 3]), ShapeError, "offsets must not fall"),
        (([0, 3, 1], [0, 2**62, 3]), ShapeError, "offsets must not fall"),
        (([0, 3, 1], np.uint64([0, 2, 2**63])), InvalidDataError, "must fit into int64"),
        (([0, 3, 1], [0.0, 2.0, 3.0]), InvalidDataError, "must hold whole numbers"),
        (([0, 3, 1], []), ShapeError, "offsets"),
    ],
)
def test_wrong_rows(kernels, call, rows, error, says):
    with pytest.raises(error, match=says):
        call(kernels, rows)


@pytest.mark.parametrize("call", ROWS)
def test_rows_of_another_type_or_layout(kernels, call):
    expected = arrays(call(kernels, FINE))
    for convert in (
        lambda values: np.array(values, dtype=np.uint8),
        lambda values: np.array(values, dtype=">i4"),
        lambda values: np.repeat(np.array(values), 2)[::2],
        tuple,
    ):
        found = arrays(call(kernels, (convert(FINE[0]), convert(FINE[1]))))
        for left, right in zip(found, expected, strict=True):
            np.testing.assert_array_equal(left, right)


def arrays(result):
    """Arrays of a result, whatever its kind; an index gives those that it would save."""
    if isinstance(result, np.ndarray):
        return [result]
    if isinstance(result, tuple):
        return list(result)
    if hasattr(result, "means"):
        return [*result.means.values(), *result.per_session.values()]
    lists = [result.search(*FINE, 2)] if hasattr(result, "n_pairs") else []
    if not lists and hasattr(result, "n_sessions"):
        lists = [result.search(*FINE, 2, k=2, sample_size=2)]
    return [array for pair in lists for array in pair]


def pool_of(kernels, matrix):
    return kernels.pool_sessions(matrix, *FINE)


def index_of(kernels, matrix):
    return kernels.ItemIndex(matrix).search(VECTORS, 3)


def cosine_of(kernels, matrix):
    return kernels.ItemIndex(matrix, "cosine").search(VECTORS, 3)


def queries_of(kernels, matrix):
    return kernels.ItemIndex(VECTORS).search(matrix, 3)


def embedded_of(kernels, matrix):
    index = kernels.SessionIndex(*FINE, N, vectors=matrix)
    return index.search(*FINE, 2, k=2, sample_size=2)


MATRICES = [pool_of, index_of, cosine_of, queries_of, embedded_of]


@pytest.mark.parametrize("call", MATRICES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_row_that_is_not_finite_is_named(kernels, call, value):
    matrix = VECTORS.copy()
    matrix[2, 1] = value
    matrix[3, 0] = np.nan
    with pytest.raises(InvalidDataError, match="must be finite, but row 2"):
        call(kernels, matrix)


@pytest.mark.parametrize("call", MATRICES)
def test_float64_beyond_float32_is_not_finite(kernels, call):
    matrix = VECTORS.astype(np.float64)
    matrix[1, 2] = 1e39
    with pytest.raises(InvalidDataError, match="must be finite, but row 1"):
        call(kernels, matrix)


@pytest.mark.parametrize("call", MATRICES)
@pytest.mark.parametrize(
    ("matrix", "error"),
    [(np.empty((N, 0)), ShapeError), (VECTORS[0], ShapeError), ([["a"]], InvalidDataError)],
)
def test_wrong_matrices(kernels, call, matrix, error):
    with pytest.raises(error):
        call(kernels, matrix)


@pytest.mark.parametrize("call", MATRICES)
def test_matrices_of_another_type_or_layout(kernels, call):
    expected = arrays(call(kernels, VECTORS))
    for matrix in (
        VECTORS.astype(np.float64),
        VECTORS.astype(np.int8),
        VECTORS.astype(">f4"),
        np.asfortranarray(VECTORS),
        np.repeat(np.repeat(VECTORS, 2, axis=0), 3, axis=1)[::2, ::3],
        np.flip(np.flip(VECTORS).copy()),
        VECTORS.tolist(),
    ):
        before = np.array(matrix)
        for left, right in zip(arrays(call(kernels, matrix)), expected, strict=True):
            np.testing.assert_array_equal(left, right)
        np.testing.assert_array_equal(matrix, before)


def knn_of(kernels, k_items, **changes):
    numbers = {"k": 1, "sample_size": 1} | changes
    return kernels.SessionIndex(*FINE, N).search(*FINE, k_items, **numbers)


LISTS = (np.int32([[0, 1], [2, 3]]), np.float32([[2, 1], [4, 3]]))
COUNTS = {
    "top_k": lambda kernels, k: kernels.top_k(VECTORS, VECTORS, k),
    "knn items": lambda kernels, k: knn_of(kernels, k),
    "knn neighbours": lambda kernels, k: knn_of(kernels, 2, k=k),
    "knn sample": lambda kernels, k: knn_of(kernels, 2, sample_size=k),
    "knn last_n": lambda kernels, k: knn_of(kernels, 2, last_n=k or 0),
    "pairs": lambda kernels, k: kernels.CooccurrenceIndex(*FINE, N, forward=[1.0]).search(*FINE, k),
    "fusion": lambda kernels, k: kernels.fuse_lists([LISTS], k),
    "metrics": lambda kernels, k: kernels.evaluate_lists(LISTS[0], ([0, 1], [0, 1, 2]), ks=(k,)),
}


@pytest.mark.parametrize("call", COUNTS.values(), ids=COUNTS)
@pytest.mark.parametrize("k", [0, -1, 2**31, 2**64, 1.5, "two", None])
def test_a_wrong_k(kernels, call, k):
    with pytest.raises(ConfigError, match="must be a whole number"):
        call(kernels, k)


def test_a_list_longer_than_memory(kernels):
    if kernels.__name__ == "llmseq.core":
        with pytest.raises(ConfigError, match="do not fit into memory"):
            kernels.top_k(np.ones((2**20, 1)), [[1.0]], 2**31 - 1)


def test_an_empty_catalogue(kernels):
    nothing, none = np.empty((0, 3)), ([], [0])
    with pytest.raises(InvalidDataError, match="at least one item vector"):
        kernels.ItemIndex(nothing)
    assert kernels.pool_sessions(nothing, [], [0, 0]).tolist() == [[0, 0, 0]]
    with pytest.raises(InvalidDataError, match=r"row 0 holds item 0, which is not in 0\.\.0"):
        kernels.pool_sessions(nothing, [0], [0, 1])
    with pytest.raises(ConfigError, match="n_items must be a whole number"):
        kernels.SessionIndex(*none, 0)
    with pytest.raises(ConfigError, match="n_items must be a whole number"):
        kernels.CooccurrenceIndex(*none, 0, forward=[1.0])
    with pytest.raises(ConfigError, match="n_items must be a whole number"):
        kernels.evaluate_lists(LISTS[0], ([0, 1], [0, 1, 2]), n_items=0)


def test_zero_vectors_have_no_direction(kernels):
    vectors = np.array([[0, 0, 0], [1, 2, 2], [0, 0, 0], [-1, 0, 0]], dtype=np.float32)
    items, scores = kernels.top_k([[1, 0, 0], [0, 0, 0]], vectors, 4, similarity="cosine")
    assert items.tolist() == [[1, 0, 2, 3], [0, 1, 2, 3]]
    np.testing.assert_array_equal(scores, np.float32([[1 / 3, 0, 0, -1], [0, 0, 0, 0]]))


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite(kernels, score):
    wrong = (LISTS[0], np.float32([[2, 1], [4, score]]))
    for weights in ([1, 1], [1, 0]):
        with pytest.raises(InvalidDataError, match="lists 1: row 1 holds"):
            kernels.fuse_lists([LISTS, wrong], 2, weights=weights)


def test_the_first_wrong_list_is_named_on_any_number_of_threads(kernels):
    """Rows are looked at in parallel; the message is that of looking from the first on."""
    items = np.tile(np.int32([0, 1]), (3_000, 1))
    items[[1_500, 2_999]] = 2
    items[700] = [-1, 0]
    targets = (np.zeros(3_000, dtype=np.int32), np.arange(3_001))
    for n_threads in (1, 2, 5):
        threads = {"n_threads": n_threads}
        with pytest.raises(InvalidDataError, match="lists: row 700 holds an item behind"):
            kernels.evaluate_lists(items, targets, **threads)
        members = [(items[:700], np.zeros((700, 2))), (items[1_000:1_700], np.zeros((700, 2)))]
        with pytest.raises(InvalidDataError, match="lists 1: row 500 holds item 2 twice"):
            kernels.fuse_lists(members, 2, **threads)
