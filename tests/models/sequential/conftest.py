from __future__ import annotations

import numpy as np
import pytest

from llmseq.models.sequential.config import SequentialConfig
from llmseq.models.sequential.trainer import torch_threads
from llmseq.testing.worlds import log_of


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Tiny networks gain nothing from threads and wait long for a busy core."""
    monkeypatch.setenv("LLMSEQ_NUM_THREADS", "1")
    with torch_threads(1):
        yield


@pytest.fixture
def tiny():
    """Settings of a network that learns the circle in a second."""
    return SequentialConfig(
        embedding_dim=16,
        n_blocks=1,
        n_heads=2,
        max_length=6,
        dropout=0.2,
        learning_rate=0.02,
        batch_size=16,
        n_epochs=6,
    )


@pytest.fixture
def circle():
    """A log of 12 items that follow one another in a circle."""
    starts = np.random.default_rng(3).integers(0, 12, 64)
    lengths = np.random.default_rng(4).integers(2, 10, 64)
    rows = [[int(s + i) % 12 for i in range(n)] for s, n in zip(starts, lengths, strict=True)]
    return log_of(rows, 12)
