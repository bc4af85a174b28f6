from __future__ import annotations

import numpy as np
import pytest

from llmseq.embeddings.matrix import ItemEmbeddings
from llmseq.models.sequential.config import SASRecConfig
from llmseq.models.sequential.model import CONFIGS
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
    return SASRecConfig(
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


@pytest.fixture
def cold_circle(circle):
    """The circle with two items in its catalogue that no session has."""
    return log_of([row.tolist() for row in map(circle.sessions.__getitem__, range(64))], 14)


@pytest.fixture
def text():
    """Text vectors of 14 items: the circle's 12, which span 11 dimensions, and the two others."""
    vectors = np.random.default_rng(1).normal(size=(14, 20))
    return {"text": ItemEmbeddings(vectors, {"encoder": "made up"})}


@pytest.fixture
def small():
    """Make settings of any network, small enough for a fit in a few hundredths of a second."""

    def make(network, **settings):
        shape = {"hidden_dim": 12} if network == "gru4rec" else {"n_blocks": 1, "n_heads": 2}
        common = {"embedding_dim": 8, "max_length": 6, "dropout": 0.2, "batch_size": 16}
        usual = {"learning_rate": 0.02, "n_epochs": 1, "n_negatives": 5}
        return CONFIGS[network].make({**common, **usual, **shape, **settings}, what=network)

    return make
