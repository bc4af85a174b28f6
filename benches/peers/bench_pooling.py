"""Session vectors: harmonic means of item vectors."""

from __future__ import annotations

import numpy as np
import torch
from arrays import random_vectors
from rounds import compete
from scipy import sparse

from llmseq.core import pool_sessions

N_SESSIONS, N_ITEMS, DIM = 50_000, 12_101, 384


def bench_harmonic_50k_sessions(benchmark) -> None:
    rng = np.random.default_rng(0)
    vectors = random_vectors(N_ITEMS, DIM)
    lengths = rng.integers(2, 15, N_SESSIONS)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    items = rng.integers(0, N_ITEMS, offsets[-1]).astype(np.int32)
    from_end = np.repeat(offsets[1:], lengths) - np.arange(offsets[-1])
    weights = (1 / from_end).astype(np.float32)
    totals = np.add.reduceat(weights, offsets[:-1])
    weights /= np.repeat(totals, lengths)
    matrix = sparse.csr_array((weights, items, offsets), shape=(N_SESSIONS, N_ITEMS))
    tensors = [torch.from_numpy(array) for array in (items.astype(np.int64), offsets[:-1], weights)]
    table = torch.from_numpy(vectors)

    def by_torch():
        return torch.nn.functional.embedding_bag(
            tensors[0], table, tensors[1], mode="sum", per_sample_weights=tensors[2]
        ).numpy()

    def ours():
        return pool_sessions(vectors, items, offsets, "harmonic")

    source = vectors[items]  # memory of its own: zeros nobody wrote would all be one page
    read = np.ones_like(source)
    peers = {
        "numpy reduceat": lambda: np.add.reduceat(vectors[items] * weights[:, None], offsets[:-1]),
        "scipy sparse": lambda: matrix @ vectors,
        "torch embedding_bag": by_torch,
    }
    for peer in peers.values():
        np.testing.assert_allclose(peer(), ours(), rtol=1e-4, atol=1e-5)
    compete(
        benchmark,
        ours,
        {**peers, "copy of as many rows": lambda: np.copyto(read, source)},
        approximate=frozenset({"copy of as many rows"}),  # not a peer: a yardstick
    )
