from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmseq.experiment.attribution import ranks_of, trace_hits
from llmseq.testing.lists import lists_of
from llmseq.testing.strategies import ragged, ranked_lists
from llmseq.types import Ragged


def test_hits_are_traced_to_the_members_that_had_them() -> None:
    whole = lists_of([[1, 2], [3, 4], [5, 6], [7, 8]])
    members = {
        "a": lists_of([[1, 9], [9, 8, 4], [], [9, 7]], k=3),
        "b": lists_of([[9, 1], [9, 8, 4], [5], [9, 9 + 1, 8]], k=3),
    }
    targets = Ragged.from_lists([[1], [4], [5], [9]])  # the last is no hit of the whole
    traced = trace_hits(whole, members, targets, k=2)
    assert traced["n_hits"] == 3
    assert traced["nobody"] == pytest.approx(1 / 3)  # 4 stands third with both
    first, second = traced["members"]
    assert (first["name"], first["had"], first["only"]) == ("a", pytest.approx(1 / 3), 0)
    assert first["mean_rank"] == pytest.approx((1 + 3) / 2)
    assert (second["had"], second["only"]) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert second["mean_rank"] == pytest.approx((2 + 3 + 1) / 3)


def test_without_a_hit_there_is_nothing_to_share() -> None:
    traced = trace_hits(lists_of([[1]]), {"a": lists_of([[1]])}, Ragged.from_lists([[2]]), k=1)
    assert (traced["n_hits"], traced["nobody"]) == (0, 0)
    assert traced["members"] == [{"name": "a", "had": 0.0, "only": 0.0, "mean_rank": None}]


@given(st.data(), st.integers(1, 5))
def test_shares_as_a_loop_counts_them(data: st.DataObject, k: int) -> None:
    draw = data.draw
    lists = {n: draw(ranked_lists(n_sessions=4, n_items=6, k=4)) for n in ("whole", "a", "b")}
    targets = draw(ragged(6, min_rows=4, max_rows=4, min_length=1, max_length=2))
    traced = trace_hits(lists["whole"], {n: lists[n] for n in "ab"}, targets, k=k)
    hits = [
        (row, int(item))
        for row in range(4)
        for item in targets[row]
        if item in lists["whole"].items[row, :k]
    ]
    assert traced["n_hits"] == len(hits)
    had = {n: [item in lists[n].items[row, :k] for row, item in hits] for n in "ab"}
    share = len(hits) or 1
    for member, other in zip(traced["members"], "ba", strict=True):
        own = had[member["name"]]
        assert member["had"] == pytest.approx(sum(own) / share)
        only = [mine and not theirs for mine, theirs in zip(own, had[other], strict=True)]
        assert member["only"] == pytest.approx(sum(only) / share)
    nobody = [not (a or b) for a, b in zip(had["a"], had["b"], strict=True)]
    assert traced["nobody"] == pytest.approx(sum(nobody) / share)


def test_ranks_count_from_one_and_missing_is_zero() -> None:
    lists = lists_of([[4, 2], [7]], k=2)
    ranks = ranks_of(lists, Ragged.from_lists([[2, 9], [7]]))
    np.testing.assert_array_equal(ranks, [2, 0, 1])
