from __future__ import annotations

import numpy as np
import pytest
import torch

from llmseq.errors import ShapeError
from llmseq.models.sequential.batches import PackedBatch
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


def test_only_the_asked_events_answer():
    hidden = torch.arange(8.0).view(4, 2)
    rows = Ragged.from_lists([[5, 6], [7, 8]])
    every = PackedBatch.pack(rows)
    some = PackedBatch.pack(rows, targets=np.array([9, 9]), asked=np.array([0, 3]))
    assert torch.equal(every.answers(hidden), hidden)
    assert some.answers(hidden).tolist() == [[0, 1], [6, 7]]
    assert some.wanted.tolist() == [9, 9]
