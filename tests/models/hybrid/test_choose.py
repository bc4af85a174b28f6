"""The fast count of fused ranks, and the search over combinations, against naive loops."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmseq.data.sessions import HeldOut, Sessions
from llmseq.models.hybrid import ballot as ballot_module
from llmseq.models.hybrid.ballot import Ballot
from llmseq.models.hybrid.choose import choose_members, fit_weights
from llmseq.testing import reference
from llmseq.testing.lists import held_out_of, lists_of
from llmseq.testing.strategies import ragged, ranked_lists
from llmseq.types import Ragged

NAMES = ["a", "b", "c"]
N = 5
METRICS = st.sampled_from(["ndcg@3", "hr@2", "mrr@20", "recall@4", "precision@3", "map@5"])


def make_ballot(lists, truth, *, method="rrf", c=10.0, metric="ndcg@20"):
    return Ballot(lists, truth, method=method, c=c, metric=metric)


def naive(lists, truth, weights, *, method, metric, rows):
    """Fuse with the NumPy twin, score with the NumPy twin."""
    k = int(metric.split("@")[1])
    fused, _ = reference.fuse_lists(
        [(made.items, made.scores) for made in lists.values()], k, method=method, weights=weights
    )
    scored = reference.evaluate_lists(fused[rows], truth.targets.take(rows), ks=(k,))
    return scored.means[metric]


@st.composite
def problems(draw):
    lists = {name: draw(ranked_lists(n_sessions=N, n_items=7, k=4)) for name in NAMES}
    targets = draw(ragged(7, min_rows=N, max_rows=N, min_length=1, max_length=3))
    truth = HeldOut(Sessions.from_lists([[0]] * N), targets)
    rows = np.flatnonzero(draw(st.lists(st.booleans(), min_size=N, max_size=N)))
    return lists, truth, rows if rows.size else np.arange(N)


@given(
    problems(),
    METRICS,
    st.sampled_from(["rrf", "zscore"]),
    st.lists(st.sampled_from([0.0, 0.5, 1.0, 4.0]), min_size=3, max_size=3).filter(any),
)
def test_counted_ranks_are_those_of_the_fused_lists(problem, metric, method, weights):
    lists, truth, rows = problem
    ballot = make_ballot(lists, truth, method=method, metric=metric)
    for _ in range(2):  # the second time from memory
        found = ballot.mean(np.array(weights), rows)
        wanted = naive(lists, truth, weights, method=method, metric=metric, rows=rows)
        assert found == pytest.approx(wanted)


@given(problems(), st.integers(1, 4))
def test_no_combination_of_a_size_is_better(problem, size):
    lists, truth, rows = problem
    ballot = make_ballot(lists, truth)
    chosen = choose_members(ballot, rows, size)
    assert len(set(chosen)) == len(chosen) == min(size, 3)
    assert list(chosen) == sorted(chosen)

    def value(members):
        weights = [float(at in members) for at in range(3)]
        return naive(lists, truth, weights, method="rrf", metric="ndcg@20", rows=rows)

    best = max(value(members) for members in combinations(range(3), len(chosen)))
    assert value(chosen) == pytest.approx(best)


@given(problems())
def test_fitted_weights_are_never_worse_than_equal_ones(problem):
    lists, truth, rows = problem
    ballot = make_ballot(lists, truth)
    weights = fit_weights(ballot, rows, (0, 2))
    assert weights[1] == 0
    assert set(np.log2(weights[[0, 2]])) <= {float(step) for step in range(-3, 4)}
    equal = ballot.mean(np.array([1.0, 0.0, 1.0]), rows)
    assert ballot.mean(weights, rows) >= equal


def test_two_that_only_help_together_are_found():
    # "first" and "second" have every answer, but each has it behind something else.
    lists = {
        "strong": lists_of([[1], [2], [90], [91]]),
        "first": lists_of([[80, 1], [81, 2], [82, 3], [83, 4]]),
        "second": lists_of([[70, 1], [71, 2], [72, 3], [73, 4]]),
    }
    ballot = make_ballot(lists, held_out_of([[1], [2], [3], [4]]), c=0.0, metric="hr@1")
    assert choose_members(ballot, np.arange(4), 1) == (0,)
    assert choose_members(ballot, np.arange(4), 2) == (1, 2)


def test_lists_without_a_target_are_worth_nothing():
    lists = {"a": lists_of([[1], [2]]), "b": lists_of([[], []], k=1)}
    ballot = make_ballot(lists, held_out_of([[5], [6]]))
    assert ballot.mean(np.array([1.0, 1.0]), np.arange(2)) == 0.0
    assert choose_members(ballot, np.arange(2), 2) == (0, 1)
    assert ballot.mean(np.array([1.0, 1.0]), np.empty(0, dtype=np.int64)) == 0.0


def test_of_many_sessions_some_are_looked_at(monkeypatch):
    monkeypatch.setattr(ballot_module, "MAX_SESSIONS", 3)
    lists = {"a": lists_of([[1]] * 5)}
    truth = HeldOut(Sessions.from_lists([[0]] * 5), Ragged.from_lists([[1], [2], [2], [2], [1]]))
    ballot = make_ballot(lists, truth, metric="hr@1")  # looks at 0, 2 and 4
    assert ballot.mean(np.ones(1), np.arange(5)) == pytest.approx(2 / 3)
    assert ballot.mean(np.ones(1), np.array([1, 2, 3])) == 0.0
