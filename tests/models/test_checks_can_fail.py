"""The conformance checks, each against a model that breaks just what the check looks for."""

from __future__ import annotations

import numpy as np
import pytest

from llmseq.core import SessionIndex
from llmseq.data.sessions import Sessions
from llmseq.models.session_knn import SessionKnnRecommender
from llmseq.recommendations import Recommendations
from llmseq.testing import conformance

RIGHT = SessionKnnRecommender.recommend
LOAD = SessionKnnRecommender.load.__func__


def lists_seen_items(self, prompts, k, *, exclude_seen=True, candidates=None):
    return RIGHT(self, prompts, k, exclude_seen=False, candidates=candidates)


def ignores_candidates(self, prompts, k, *, exclude_seen=True, candidates=None):
    return RIGHT(self, prompts, k, exclude_seen=exclude_seen)


def fills_up(self, prompts, k, **options):
    lists = RIGHT(self, prompts, k, **options)
    return Recommendations(np.maximum(lists.items, 0), np.maximum(lists.scores, 0))


def worst_first(self, prompts, k, **options):
    lists = RIGHT(self, prompts, 3, **options)
    return Recommendations(lists.items[:, ::-1], lists.scores[:, ::-1])


def more_places_other_items(self, prompts, k, **options):
    lists = RIGHT(self, prompts, k, **options)
    return Recommendations(lists.items[:, ::-1], lists.scores) if k == 4 else lists


def not_repeatable(self, prompts, k, **options):
    scores = np.random.default_rng().random((len(prompts), k)).astype(np.float32)
    return Recommendations(RIGHT(self, prompts, k, **options).items, np.sort(scores)[:, ::-1])


def writes_into_the_prompts(self, prompts, k, **options):
    lists = RIGHT(self, prompts, k, **options)
    prompts.items[:] = 0
    return lists


def looks_at_the_neighbour(self, prompts, k, **options):
    lists = RIGHT(self, prompts, k, **options)
    return Recommendations(np.roll(lists.items, 1, axis=0), np.roll(lists.scores, 1, axis=0))


def trusts_every_request(self, prompts, k, *, exclude_seen=True, candidates=None):
    return RIGHT(self, Sessions.from_lists([[0]] * len(prompts)), max(k, 1))


def same_for_everybody(self, prompts, k, **options):
    everybody = Sessions.from_lists([[0]] * len(prompts))
    return RIGHT(self, everybody, k, **options)


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        (lists_seen_items, conformance.check_seen),
        (ignores_candidates, conformance.check_candidates),
        (fills_up, conformance.check_short_lists),
        (worst_first, conformance.check_lists),
        (more_places_other_items, conformance.check_lists),
        (not_repeatable, conformance.check_same_seed),
        (writes_into_the_prompts, conformance.check_inputs_unchanged),
        (looks_at_the_neighbour, conformance.check_odd_prompts),
        (trusts_every_request, conformance.check_wrong_requests),
        (same_for_everybody, conformance.check_planted_groups),
        (same_for_everybody, conformance.check_checkerboard),
    ],
    ids=lambda value: value.__name__,
)
def test_a_broken_list_is_found(monkeypatch, broken, check):
    monkeypatch.setattr(SessionKnnRecommender, "recommend", broken)
    with pytest.raises(AssertionError):
        check(conformance.Subject("v-sknn"))


def test_a_model_that_forgets_at_load_is_found(monkeypatch):
    def forgets(cls, path):
        model = LOAD(cls, path)
        kept = conformance.groups_world().train.sessions.take(np.arange(3))
        model._index = SessionIndex(kept.items, kept.offsets, model._index.n_items)
        return model

    monkeypatch.setattr(SessionKnnRecommender, "load", classmethod(forgets))
    with pytest.raises(AssertionError):
        conformance.check_save_and_load(conformance.Subject("v-sknn"))


def test_a_model_that_answers_unfitted_is_found(monkeypatch):
    def nothing(self, prompts, k, **options):
        return Recommendations(np.full((len(prompts), k), -1), np.full((len(prompts), k), -np.inf))

    monkeypatch.setattr(SessionKnnRecommender, "recommend", nothing)
    with pytest.raises(AssertionError, match="NotFittedError"):
        conformance.check_needs_fit(conformance.Subject("v-sknn"))
