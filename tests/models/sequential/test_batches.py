from __future__ import annotations

import pytest
import torch

from llmseq.errors import InvalidDataError, ShapeError
from llmseq.models.sequential.batches import PackedBatch, TrainingWindows
from llmseq.types import Ragged


def test_sessions_are_packed_end_to_end():
    batch = PackedBatch.pack(Ragged.from_lists([[5, 6, 7], [], [8]]))
    assert batch.items.tolist() == [5, 6, 7, 8]
    assert batch.sessions.tolist() == [0, 0, 0, 2]
    assert batch.ages.tolist() == [2, 1, 0, 0]
    assert batch.newest().tolist() == [2, 3]
    assert batch.longest == 3


def test_a_batch_without_events_is_possible():
    batch = PackedBatch.pack(Ragged.from_lists([[], []]))
    assert (batch.items.numel(), batch.longest) == (0, 1)


def test_targets_must_be_there_for_training():
    with pytest.raises(ShapeError, match="no targets"):
        _ = PackedBatch.pack(Ragged.from_lists([[1]])).wanted


def test_windows_keep_the_newest_events_and_the_item_after_each():
    windows = TrainingWindows(Ragged.from_lists([[0, 1, 2, 3, 4], [9], [7, 8]]), max_length=2)
    assert (len(windows), windows.n_targets) == (2, 3)
    (batch,) = windows.batches(10, torch.Generator().manual_seed(0))
    pairs = sorted(zip(batch.items.tolist(), batch.wanted.tolist(), strict=True))
    assert pairs == [(2, 3), (3, 4), (7, 8)]


def test_an_epoch_meets_every_session_once_in_a_new_order():
    windows = TrainingWindows(Ragged.from_lists([[i, i + 1] for i in range(50)]), max_length=5)
    generator = torch.Generator().manual_seed(1)
    epochs = [
        [item for batch in windows.batches(8, generator) for item in batch.items.tolist()]
        for _ in range(2)
    ]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(50))
    assert epochs[0] != epochs[1]


def test_sessions_that_teach_nothing_are_an_error():
    with pytest.raises(InvalidDataError, match="none of the 2 training sessions has two events"):
        TrainingWindows(Ragged.from_lists([[1], [2]]), max_length=5)
