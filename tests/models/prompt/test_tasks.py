"""Questions of Rank: where the true item is on offer when it is asked, at which places."""

from __future__ import annotations

import numpy as np
import pytest

from llmseq.data.sessions import HeldOut
from llmseq.models.prompt.config import PromptConfig
from llmseq.models.prompt.tasks import Questions, fit_seq_sim
from llmseq.models.prompt.titles import Titles
from llmseq.testing.worlds import planted_groups


@pytest.fixture(scope="module")
def world():
    return planted_groups()


def asked(world, **settings):
    config = PromptConfig.make({"task": "rank", "n_choices": 2, **settings}, what="test")
    titles = Titles.of(world.train.catalogue.titles, world.train.item_counts())
    vectors = {"text": world.embeddings}
    seq_sim = fit_seq_sim(config, world.train, vectors, np.random.default_rng(0))
    questions = Questions(config, titles, seq_sim, None)
    made, n_left_out = questions.of(world.train.sessions, np.random.default_rng(1))
    assert n_left_out == 0
    return seq_sim, made


def listed(world, seq_sim, parts):
    sold = world.train.item_counts() > 0
    lists = seq_sim.recommend(parts.prompts, 2, candidates=sold).items
    return {
        (tuple(parts.prompts[row]), int(parts.targets[row][0])): set(lists[row].tolist())
        for row in range(len(parts))
        if parts.targets[row][0] in lists[row]
    }


@pytest.mark.parametrize("learn_from", ["last", "every"])
def test_rank_asks_what_it_will_be_asked(world, learn_from):
    seq_sim, made = asked(world, training={"learn_from": learn_from, "asking_share": 0.5})
    places = {"last": HeldOut.last_item, "every": HeldOut.every_position}[learn_from]
    possible = listed(world, seq_sim, places(world.train.sessions))
    questions = [question for question in made if question.choices is not None]
    found = {
        (tuple(question.history), int(question.answer[0])): set(question.choices.tolist())
        for question in questions
    }
    assert found.items() <= possible.items()
    where = {question.choices.tolist().index(question.answer[0]) for question in questions}
    assert where == {0, 1}  # shuffled
    n_sessions = len(world.train.sessions)
    assert questions
    if learn_from == "last":
        assert found == possible
        assert len(made) == len(questions) < n_sessions
    else:
        assert len({len(history) for history, _ in found}) > 1
        assert len(made) == len(questions) + n_sessions  # each session without choices besides
        assert len(questions) <= n_sessions // 2


def test_the_true_item_is_put_in_where_the_settings_say_so(world):
    _, made = asked(world, put_in=True)
    assert len(made) == len(world.train.sessions)
    for question in made:
        assert question.answer[0] in question.choices
        assert len(set(question.choices.tolist())) == 2
