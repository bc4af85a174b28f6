"""Twin of ``pool_sessions``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from llmseq.core import arrays
from llmseq.core.pooling import POOLINGS
from llmseq.core.threads import thread_count
from llmseq.testing.reference.checks import check_choice, check_matrix, check_sessions

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from llmseq.types import FloatMatrix


def pooling_weight(pooling: str, i: int, n: int) -> float:
    """Weight of the item at position ``i`` from the end (from 1) of a session of length ``n``."""
    scaled = max(1 - (i - 1) / n, 1e-5)
    return {
        "last": float(i == 1),
        "mean": 1.0,
        "constant_linear": max(1 - 0.1 * (i - 1), 1e-5),
        "scaling_linear": scaled,
        "scaling_quadratic": scaled * scaled,
        "scaling_cubic": scaled * scaled * scaled,
        "log": 1 / (math.log(i) + 1),
        "harmonic": 1 / i,
        "harmonic_squared": 1 / (i * i),
    }[pooling]


def pool_sessions(
    item_vectors: ArrayLike,
    items: ArrayLike,
    offsets: ArrayLike,
    pooling: str = "harmonic",
    n_threads: int | None = None,
) -> FloatMatrix:
    """See :func:`llmseq.core.pool_sessions`."""
    thread_count(n_threads)
    vectors = arrays.matrix(item_vectors, "item_vectors")
    flat, starts = arrays.items(items, "items"), arrays.counts(offsets, "offsets")
    check_choice("pooling", pooling, POOLINGS)
    check_matrix(vectors, "item_vectors")
    sessions = check_sessions(flat, starts, vectors.shape[0], "sessions")
    pooled = np.zeros((len(sessions), vectors.shape[1]), dtype=np.float32)
    for row in range(len(sessions)):
        session = sessions[row]
        if session.size == 0:
            continue
        sums = np.zeros(vectors.shape[1])
        total = 0.0
        for place, item in enumerate(session):
            weight = pooling_weight(pooling, session.size - place, session.size)
            total += weight
            sums += weight * vectors[item].astype(np.float64)
        pooled[row] = sums / total
    return pooled
