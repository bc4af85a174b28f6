from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmseq.core
from llmseq.errors import ConfigError, InvalidDataError, ShapeError
from llmseq.testing import reference

FIRST = (np.array([[4, 2, -1]]), np.array([[5.0, 3.0, -np.inf]]))
SECOND = (np.array([[2, 7]]), np.array([[9.0, 1.0]]))


def test_reciprocal_ranks_by_hand(kernels):
    items, scores = kernels.fuse_lists([FIRST, SECOND], 4, c=1.0, weights=[1, 2])
    assert items.tolist() == [[2, 7, 4, -1]]
    np.testing.assert_array_equal(scores, np.float32([[1 / 3 + 2 / 2, 2 / 3, 1 / 2, -np.inf]]))


def test_z_scores_by_hand(kernels):
    # 4 has z = 1 in the first and is absent from the second (lowest z −1, weight 2), and so on.
    items, scores = kernels.fuse_lists([FIRST, SECOND], 3, method="zscore", weights=[1, 2])
    assert items.tolist() == [[2, 4, 7]]
    assert scores.tolist() == [[-1 + 2, 1 - 2, -1 - 2]]


def test_equal_scores_have_no_spread(kernels):
    flat = (np.array([[3, 1]]), np.array([[2.0, 2.0]]))
    items, scores = kernels.fuse_lists([flat], 2, method="zscore")
    assert (items.tolist(), scores.tolist()) == ([[1, 3]], [[0.0, 0.0]])


def test_ties_go_to_the_lower_item(kernels):
    lists = [(np.array([[9, 5]]), np.zeros((1, 2))), (np.array([[5, 9]]), np.zeros((1, 2)))]
    assert kernels.fuse_lists(lists, 2)[0].tolist() == [[5, 9]]


def test_weight_zero_leaves_a_list_out(kernels):
    for method in ("rrf", "zscore"):
        items, _ = kernels.fuse_lists([FIRST, SECOND], 3, method=method, weights=[0, 1])
        assert items.tolist() == [[2, 7, -1]]


def test_one_list_keeps_its_order(kernels):
    for method in ("rrf", "zscore"):
        assert kernels.fuse_lists([FIRST], 3, method=method)[0].tolist() == [[4, 2, -1]]


def test_empty_lists(kernels):
    empty = (np.full((1, 2), -1), np.full((1, 2), -np.inf))
    for method in ("rrf", "zscore"):
        assert kernels.fuse_lists([empty, empty], 2, method=method)[0].tolist() == [[-1, -1]]
        assert kernels.fuse_lists([empty, SECOND], 2, method=method)[0].tolist() == [[2, 7]]


@pytest.mark.parametrize(
    ("lists", "change", "error", "says"),
    [
        ([], {}, ConfigError, "at least one list"),
        ([FIRST], {"k": 0}, ConfigError, "k must be a whole number"),
        ([FIRST], {"method": "borda"}, ConfigError, "choose from rrf, zscore"),
        ([FIRST], {"weights": [1, 2]}, ShapeError, "one value for each of the 1 lists"),
        ([FIRST], {"weights": [0]}, ConfigError, "a weight above 0"),
        ([FIRST], {"weights": [-1]}, ConfigError, "weights must be finite and at least 0"),
        ([FIRST], {"weights": [np.nan]}, ConfigError, "weights must be finite and at least 0"),
        ([FIRST], {"c": -1.0}, ConfigError, "c must be finite and at least 0"),
        ([FIRST, (SECOND[0].repeat(2, 0), SECOND[1].repeat(2, 0))], {}, ShapeError, "lists 1"),
        ([(FIRST[0], SECOND[1])], {}, ShapeError, "lists 0: items and scores must both be"),
        (
            [(np.array([[1, 1]]), SECOND[1])],
            {},
            InvalidDataError,
            "lists 0: row 0 holds item 1 twice",
        ),
        ([(np.array([[-1, 1]]), SECOND[1])], {}, InvalidDataError, "behind a missing place"),
        ([(np.array([[1, -2]]), SECOND[1])], {}, InvalidDataError, "holds item -2"),
        ([(SECOND[0], np.array([[1, np.nan]]))], {}, InvalidDataError, "lists 0: row 0 holds"),
    ],
)
def test_wrong_input_is_named(kernels, lists, change, error, says):
    with pytest.raises(error, match=says):
        kernels.fuse_lists(lists, **({"k": 2} | change))


@st.composite
def members(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_sessions, lists = draw(st.integers(1, 4)), []
    for _ in range(draw(st.integers(1, 4))):
        k = draw(st.integers(1, 6))
        items = np.array([rng.permutation(9)[:k] for _ in range(n_sessions)])
        scores = rng.choice([0.5, 0.1, 1e-3, 7.0, -3.25, 1 / 3], size=(n_sessions, k))
        lengths = rng.integers(0, k + 1, n_sessions)
        short = np.arange(k) >= lengths[:, None]
        items[short], scores[short] = -1, -np.inf
        lists.append((items, scores))
    weights = draw(st.lists(st.sampled_from([0.0, 0.3, 1.0, 2.5]), min_size=4))[: len(lists)]
    return lists, [*weights[:-1], 1.0]


@settings(max_examples=80, deadline=None)
@given(
    members=members(),
    k=st.integers(1, 8),
    method=st.sampled_from(["rrf", "zscore"]),
    c=st.sampled_from([0.0, 1.0, 10.0, 60.5]),
)
def test_compiled_equals_twin(members, k, method, c):
    lists, weights = members
    arguments = {"method": method, "weights": weights, "c": c}
    compiled = llmseq.core.fuse_lists(lists, k, **arguments)
    twin = reference.fuse_lists(lists, k, **arguments)
    np.testing.assert_array_equal(compiled[0], twin[0])
    np.testing.assert_array_equal(compiled[1], twin[1])
