from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmseq.core
from llmseq.errors import ConfigError, InvalidDataError, ShapeError
from llmseq.testing import reference
from llmseq.types import Ragged

ONE_TARGET = Ragged.from_lists([[7]])


def discount(rank: int) -> float:
    return 1 / math.log2(rank + 1)


def test_one_target_at_rank_three(kernels):
    means = kernels.evaluate_lists([[4, 1, 7, 2]], ONE_TARGET, ks=(2, 4)).means
    expected = {"ndcg": discount(3), "hr": 1, "mrr": 1 / 3, "recall": 1, "precision": 1 / 4}
    assert means == {f"{name}@2": 0.0 for name in [*expected, "map"]} | {
        f"{name}@4": pytest.approx(value) for name, value in (expected | {"map": 1 / 3}).items()
    }


def test_several_targets(kernels):
    # Hits at ranks 2 and 3; the target 4 stands twice and counts once, so there are three.
    targets = Ragged.from_lists([[7, 4, 5, 4]])
    means = kernels.evaluate_lists([[9, 4, 7, 1]], targets, ks=(4,)).means
    ideal = discount(1) + discount(2) + discount(3)
    assert means["ndcg@4"] == pytest.approx((discount(2) + discount(3)) / ideal)
    assert means["mrr@4"] == 1 / 2
    assert means["recall@4"] == 2 / 3
    assert means["precision@4"] == 2 / 4
    assert means["map@4"] == pytest.approx((1 / 2 + 2 / 3) / 3)


def test_more_targets_than_places(kernels):
    means = kernels.evaluate_lists([[1, 2]], Ragged.from_lists([[1, 2, 3]]), ks=(2,)).means
    assert means["ndcg@2"] == means["map@2"] == 1
    assert means["recall@2"] == 2 / 3


def test_a_cutoff_beyond_the_lists(kernels):
    means = kernels.evaluate_lists([[7]], ONE_TARGET, ks=(10**9,)).means
    assert means["ndcg@1000000000"] == 1
    assert means["precision@1000000000"] == 1e-9


def test_a_session_without_a_list_is_a_miss(kernels):
    targets = Ragged.from_lists([[0], [1]])
    result = kernels.evaluate_lists([[0], [-1]], targets, ks=(1,), popularity=[1, 3])
    assert result.means["ndcg@1"] == result.means["hr@1"] == result.means["serendipity@1"] == 0.5
    assert result.per_session["novelty@1"].tolist()[0] == 2
    assert math.isnan(result.per_session["novelty@1"][1])
    assert math.isnan(result.per_session["popularity_lift@1"][1])
    assert result.means["novelty@1"] == 2


def test_popularity_metrics_by_hand(kernels):
    # Counts 4, 2, 2, 0: total 8, mean 2; item 3 has no count and takes 1.
    result = kernels.evaluate_lists(
        [[0, 3]], Ragged.from_lists([[3]]), ks=(1, 2), popularity=[4, 2, 2, 0], n_items=4
    )
    assert result.means["novelty@1"] == 1
    assert result.means["novelty@2"] == (1 + 3) / 2
    assert result.means["popularity_lift@1"] == 2
    assert result.means["popularity_lift@2"] == 1
    assert result.means["serendipity@1"] == 0
    assert result.means["serendipity@2"] == 1
    assert result.means["coverage@1"] == 1 / 4
    assert result.means["coverage@2"] == 2 / 4
    assert "coverage@1" not in result.per_session


def test_equal_counts_the_lower_index_is_more_popular(kernels):
    for item, serendipity in ((1, 0), (2, 1)):
        result = kernels.evaluate_lists(
            [[item, 0]], Ragged.from_lists([[item]]), ks=(2,), popularity=[9, 5, 5, 1]
        )
        assert result.means["serendipity@2"] == serendipity


@pytest.mark.parametrize(("lists", "gini"), [([[0], [1]], 0), ([[1], [1]], 0.5), ([[-1], [-1]], 0)])
def test_gini_by_hand(kernels, lists, gini):
    targets = Ragged.from_lists([[0], [0]])
    assert kernels.evaluate_lists(lists, targets, ks=(1,), n_items=2).means["gini@1"] == gini


def test_names_and_types(kernels):
    result = kernels.evaluate_lists([[0]], ([0], [0, 1]), popularity=[1], n_items=1)
    names = [
        "ndcg",
        "hr",
        "mrr",
        "recall",
        "precision",
        "map",
        "serendipity",
        "novelty",
        "popularity_lift",
    ]
    per_session = [f"{name}@{k}" for name in names for k in (10, 20)]
    assert list(result.per_session) == per_session
    spread = [f"{name}@{k}" for name in ("coverage", "gini") for k in (10, 20)]
    assert list(result.means) == per_session + spread
    assert all(type(value) is float for value in result.means.values())
    assert all(column.dtype == np.float64 for column in result.per_session.values())


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"lists": np.empty((0, 2), dtype=int)}, InvalidDataError, "no lists"),
        ({"lists": [[1, 1]]}, InvalidDataError, "lists: row 0 holds item 1 twice"),
        ({"lists": [[-1, 1]]}, InvalidDataError, "behind a missing place"),
        ({"lists": [[1, 4]]}, InvalidDataError, "lists: row 0 holds item 4"),
        ({"lists": [1, 2]}, ShapeError, "lists must have 2 dimension"),
        ({"lists": [[1.0, 2.0]]}, InvalidDataError, "lists must hold whole numbers"),
        ({"targets": ([], [0, 0])}, InvalidDataError, "targets: row 0 is empty"),
        ({"targets": ([4], [0, 1])}, InvalidDataError, "targets: row 0 holds item 4"),
        ({"targets": ([1, 1], [0, 1, 2])}, ShapeError, "one row for each of the 1 lists"),
        ({"ks": ()}, ConfigError, "at least one"),
        ({"ks": (0,)}, ConfigError, "ks must be a whole number"),
        ({"ks": (5, 5)}, ConfigError, "ks"),
        ({"n_items": 0}, ConfigError, "n_items must be a whole number"),
        ({"popularity": [1, 1, 1]}, ShapeError, "one count for each of the 4 items"),
        ({"popularity": [1, 1, -1, 1]}, InvalidDataError, "counts of at least 0"),
        ({"popularity": [0, 0, 0, 0]}, InvalidDataError, "no count above 0"),
    ],
)
def test_wrong_input_is_named(kernels, change, error, says):
    arguments = {"lists": [[1, 2]], "targets": ([1], [0, 1]), "ks": (2,), "n_items": 4}
    with pytest.raises(error, match=says):
        kernels.evaluate_lists(**(arguments | change))


@st.composite
def scored_lists(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_items, n_sessions = draw(st.integers(3, 15)), draw(st.integers(1, 12))
    k = draw(st.integers(1, n_items))
    lists = np.array([rng.permutation(n_items)[:k] for _ in range(n_sessions)])
    lists[np.arange(k) >= rng.integers(0, k + 1, n_sessions)[:, None]] = -1
    targets = [rng.integers(0, n_items, rng.integers(1, 5)).tolist() for _ in range(n_sessions)]
    popularity = rng.integers(0, 6, n_items)
    popularity[0] += 1
    return lists, Ragged.from_lists(targets), popularity, n_items


@settings(max_examples=80, deadline=None)
@given(
    case=scored_lists(),
    ks=st.lists(st.integers(1, 20), min_size=1, max_size=3, unique=True),
    with_popularity=st.booleans(),
)
def test_compiled_equals_twin(case, ks, with_popularity):
    lists, targets, popularity, n_items = case
    arguments = {
        "ks": ks,
        "popularity": popularity if with_popularity else None,
        "n_items": n_items,
    }
    compiled = llmseq.core.evaluate_lists(lists, targets, **arguments)
    twin = reference.evaluate_lists(lists, targets, **arguments)
    assert list(compiled.means) == list(twin.means)
    np.testing.assert_array_equal(list(compiled.means.values()), list(twin.means.values()))
    assert list(compiled.per_session) == list(twin.per_session)
    for name, column in compiled.per_session.items():
        np.testing.assert_array_equal(column, twin.per_session[name], err_msg=name)
