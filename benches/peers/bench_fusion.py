"""Reciprocal-rank fusion of five models' lists of 100."""

from __future__ import annotations

import numpy as np
from rounds import compete
from scipy import sparse

from llmseq.core import fuse_lists

N, LENGTH, MODELS, N_ITEMS, C, K = 4_469, 100, 5, 12_101, 10, 20


def bench_reciprocal_rank_of_five(benchmark) -> None:
    rng = np.random.default_rng(0)
    lists = [
        np.argsort(rng.random((N, 400)), axis=1)[:, :LENGTH].astype(np.int32) * 30
        + rng.integers(0, 30, (N, 1), dtype=np.int32)
        for _ in range(MODELS)
    ]
    scores = 1 / (C + np.arange(1, LENGTH + 1))
    falling = np.tile(np.arange(LENGTH, 0, -1, dtype=np.float32), (N, 1))
    pairs = [(each, falling) for each in lists]

    def by_scipy():
        rows = np.tile(np.repeat(np.arange(N), LENGTH), MODELS)
        values = np.tile(scores, N * MODELS)
        columns = np.concatenate([each.ravel() for each in lists])
        total = sparse.coo_array((values, (rows, columns)), shape=(N, N_ITEMS)).tocsr()
        best = np.empty((N, K), dtype=np.int64)
        for row in range(N):
            span = slice(total.indptr[row], total.indptr[row + 1])
            order = np.lexsort((total.indices[span], -total.data[span]))[:K]
            best[row] = total.indices[span][order]
        return best

    same = by_scipy() == fuse_lists(pairs, K, c=C)[0]
    assert same.mean() > 0.99  # sums in another order break ties otherwise
    compete(benchmark, lambda: fuse_lists(pairs, K, c=C), {"numpy and scipy": by_scipy})
