"""Sessions and what is hidden of them."""

from __future__ import annotations

import numpy as np
import pytest

from llmseq.data.sessions import HeldOut, Sessions
from llmseq.errors import InvalidDataError
from llmseq.types import Ragged


def rows(ragged):
    return [ragged[row].tolist() for row in range(len(ragged))]


@pytest.fixture
def sessions():
    return Sessions(
        np.array(["a", "b", "c", "d"], dtype=object),
        Ragged.from_lists([[5, 6, 7], [8], [], [1, 1]]),
        np.array([10, 20, 30, 5, 7, 9]),
        np.array([0, 1, 1, 2], dtype=np.int32),
    )


def test_last_item(sessions):
    held = HeldOut.last_item(sessions)
    assert held.prompts.ids.tolist() == ["a", "d"]
    assert rows(held.prompts) == [[5, 6], [1]]
    assert rows(held.targets) == [[7], [1]]
    assert held.prompts.times.tolist() == [10, 20, 7]
    assert held.prompts.users.tolist() == [0, 2]


def test_every_position(sessions):
    held = HeldOut.every_position(sessions)
    assert held.prompts.ids.tolist() == ["a", "a", "d"]
    assert rows(held.prompts) == [[5], [5, 6], [1]]
    assert rows(held.targets) == [[6], [7], [1]]
    assert held.prompts.times.tolist() == [10, 10, 20, 7]


def test_tail_and_last_times(sessions):
    assert rows(sessions.tail(2)) == [[6, 7], [8], [], [1, 1]]
    assert sessions.tail(1).times.tolist() == [30, 5, 9]
    assert sessions.take(np.array([0, 1, 3])).last_times().tolist() == [30, 5, 9]
    with pytest.raises(InvalidDataError, match="last times need"):
        sessions.last_times()


def test_shuffling_keeps_each_session_and_its_last_item():
    lists = [[*range(50)], [7], [], [3, 1, 2], [9, 9, 4]]
    made = Sessions.from_lists(lists).shuffled(np.random.default_rng(0))
    for row, items in enumerate(lists):
        found = made[row].tolist()
        assert sorted(found) == sorted(items)
        assert found[-1:] == items[-1:]
    assert made[0].tolist() != lists[0]
