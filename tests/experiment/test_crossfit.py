from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmseq.data.sessions import HeldOut, Sessions
from llmseq.experiment.crossfit import N_FOLDS, cross_fit, folds_of
from llmseq.models.hybrid.filter import FilterConfig
from llmseq.models.hybrid.fuse import FusionConfig
from llmseq.testing.lists import facts_of, held_out_of, lists_of
from llmseq.types import Ragged

FACTS = facts_of([1] * 9)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@given(st.integers(0, 40))
def test_folds_are_of_nearly_one_size(n: int) -> None:
    sizes = np.bincount(folds_of(held_out_of([[1]] * n), rng()), minlength=1)
    assert sizes.sum() == n
    assert sizes.max() - sizes.min() <= (1 if n else 0)
    assert sizes.size == (min(n, N_FOLDS) or 1)


def test_sessions_of_one_person_stay_together() -> None:
    users = np.array([0, 1, 0, 2, 1, 0, 3], dtype=np.int32)
    plain = Sessions.from_lists([[0]] * 7)
    prompts = Sessions(plain.ids, plain.events, users=users)
    folds = folds_of(HeldOut(prompts, Ragged.from_lists([[1]] * 7)), rng())
    assert all(len(set(folds[users == user])) == 1 for user in range(4))
    assert len(set(folds)) == 4


def test_each_fold_is_served_by_a_choice_of_the_others() -> None:
    # Each of the two models is right on one fold only. All together they are equally good.
    lists = {"sknn": lists_of([[1], [1], [5], [5]]), "v-sknn": lists_of([[5], [5], [1], [1]])}
    folds = np.array([0, 0, 1, 1])
    fit = cross_fit(
        FusionConfig(n_members=1),
        lists,
        held_out_of([[1]] * 4),
        FACTS,
        folds=folds,
        metric="hr@1",
    )
    assert [config.members for config in fit.folds] == [("v-sknn",), ("sknn",)]
    assert fit.config.members == ("sknn",)
    assert fit.lists.items[:, 0].tolist() == [5, 5, 5, 5]  # wrong everywhere: honest
    assert fit.in_sample.items[:, 0].tolist() == [1, 1, 5, 5]


def test_looking_at_targets_of_a_fold_does_not_change_its_list() -> None:
    draws = np.random.default_rng(4)
    rows = [draws.permutation(9)[:4].tolist() for _ in range(20)]
    lists = {
        name: lists_of([draws.permutation(row).tolist() for row in rows])
        for name in ("sknn", "v-sknn", "sasrec")
    }
    targets = [[int(draws.integers(9))] for _ in range(20)]
    folds = folds_of(held_out_of(targets), rng())
    config = FusionConfig(n_members=2, weighting="fitted")

    def fitted(targets: list[list[int]]) -> Any:
        truth = held_out_of(targets)
        return cross_fit(config, lists, truth, FACTS, folds=folds, metric="ndcg@3")

    before = fitted(targets)
    for fold in range(N_FOLDS):
        changed = [
            [(target[0] + 1) % 9] if folds[row] == fold else target
            for row, target in enumerate(targets)
        ]
        inside = folds == fold
        after = fitted(changed)
        assert after.folds[fold] == before.folds[fold]
        np.testing.assert_array_equal(after.lists.items[inside], before.lists.items[inside])


def test_what_leaves_nothing_open_is_the_same_in_every_fold() -> None:
    fit = cross_fit(
        FilterConfig(popularity_quantile=0.0),
        {"member": lists_of([[3, 1], [2]], k=2)},
        held_out_of([[1], [2]]),
        FACTS,
        folds=np.array([0, 1]),
        metric="ndcg@20",
    )
    assert set(map(id, fit.folds)) == {id(fit.config)}
    np.testing.assert_array_equal(fit.lists.items, fit.in_sample.items)


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_sessions_to_leave_any_out(n: int) -> None:
    lists = {"sknn": lists_of([[1]] * n, k=1), "v-sknn": lists_of([[2]] * n, k=1)}
    truth = held_out_of([[2]] * n)
    fit = cross_fit(
        FusionConfig(n_members=1), lists, truth, FACTS, folds=folds_of(truth, rng()), metric="hr@1"
    )
    assert len(fit.lists) == n
    assert fit.folds == (fit.config,)
