from __future__ import annotations

import pytest
import torch

from llmseq.errors import InvalidDataError
from llmseq.models.sequential.batches import MASK
from llmseq.models.sequential.windows import ClozeWindows, NextItemWindows
from llmseq.types import Ragged


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_windows_keep_the_newest_events_and_the_item_after_each():
    windows = NextItemWindows(Ragged.from_lists([[0, 1, 2, 3, 4], [9], [7, 8]]), max_length=2)
    assert len(windows) == 2
    (batch,) = windows.batches(10, seeded())
    assert batch.wanted.numel() == 3
    pairs = sorted(zip(batch.items.tolist(), batch.wanted.tolist(), strict=True))
    assert pairs == [(2, 3), (3, 4), (7, 8)]
    assert batch.asked is None


def test_next_item_targets_are_counted_without_first_events():
    windows = NextItemWindows(Ragged.from_lists([[0, 1, 2, 2], [9], [2, 1]]), max_length=2)
    # The windows are [1, 2, 2] and [2, 1]; asked are 2, 2 and 1.
    assert windows.target_counts(4).tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize("kind", ["next item", "cloze"])
def test_an_epoch_meets_every_session_once_in_a_new_order(kind):
    rows = Ragged.from_lists([[i, i + 1] for i in range(50)])
    windows = NextItemWindows(rows, 5) if kind == "next item" else ClozeWindows(rows, 5, 1e-9)
    generator = seeded(1)
    epochs = [
        [
            item
            for batch in windows.batches(8, generator)
            for item in batch.items.tolist()
            if item != MASK
        ]
        for _ in range(2)
    ]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(50))
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("make", [NextItemWindows, lambda rows, n: ClozeWindows(rows, n, 0.5)])
def test_sessions_that_teach_nothing_are_an_error(make):
    with pytest.raises(InvalidDataError, match="none of the 2 training sessions has two events"):
        make(Ragged.from_lists([[1], [2]]), 5)


@pytest.mark.parametrize("mask_prob", [1e-9, 0.3, 1.0])
def test_cloze_hides_items_and_asks_for_them(mask_prob):
    rows = [[i, i + 1, i + 2, i + 3] for i in range(0, 200, 10)]
    windows = ClozeWindows(Ragged.from_lists(rows), 3, mask_prob)
    whole = []
    for batch in windows.batches(7, seeded()):
        assert torch.equal(batch.asked, torch.nonzero(batch.items == MASK).flatten())
        hidden_in = set(batch.sessions[batch.asked].tolist())
        assert hidden_in == set(batch.sessions.tolist())  # each session asks
        items = batch.items.clone()
        items[batch.asked] = batch.wanted
        whole += items.view(-1, 3).tolist()
    assert sorted(whole) == [row[1:] for row in rows]  # the newest three of each session


def test_where_chance_hid_none_the_newest_event_is_hidden():
    windows = ClozeWindows(Ragged.from_lists([[1, 2, 3], [4, 5]]), 5, 1e-9)
    (batch,) = windows.batches(2, seeded())
    assert batch.ages[batch.asked].tolist() == [0, 0]
    assert sorted(batch.wanted.tolist()) == [3, 5]


@pytest.mark.parametrize("mask_prob", [0.2, 0.7])
def test_cloze_hides_its_share(mask_prob):
    windows = ClozeWindows(Ragged.from_lists([list(range(100))] * 100), 100, mask_prob)
    (batch,) = windows.batches(100, seeded(4))
    assert batch.wanted.numel() / 10_000 == pytest.approx(mask_prob, abs=0.02)


def test_cloze_hides_other_events_in_each_epoch_and_the_same_from_the_same_seed():
    windows = ClozeWindows(Ragged.from_lists([list(range(40))]), 40, 0.5)
    generator, same = seeded(2), seeded(2)
    first, second = (next(windows.batches(1, generator)).asked.tolist() for _ in range(2))
    again = next(windows.batches(1, same)).asked.tolist()
    assert first == again
    assert first != second


def test_cloze_may_ask_every_event():
    windows = ClozeWindows(Ragged.from_lists([[0, 1, 2, 2], [9], [2, 1]]), 3, 0.4)
    assert windows.target_counts(4).tolist() == [0, 2, 3, 0]  # [1, 2, 2] and [2, 1]
