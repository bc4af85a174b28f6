"""Fusion of five models' lists of 100 for 4,469 sessions, to lists of 20."""

from __future__ import annotations

import numpy as np
import pytest
from ranx import Run
from ranx import fuse as ranx_fuse
from rounds import compete
from scipy import sparse

from llmseq.core import fuse_lists

N, LENGTH, MODELS, N_ITEMS, C, K = 4_469, 100, 5, 12_101, 10, 20


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(0)
    lists = [
        np.argsort(rng.random((N, 400)), axis=1)[:, :LENGTH].astype(np.int32) * 30
        + rng.integers(0, 30, (N, 1), dtype=np.int32)
        for _ in range(MODELS)
    ]
    scores = -np.sort(-rng.standard_normal((MODELS, N, LENGTH), dtype=np.float32), axis=2)
    return list(zip(lists, scores, strict=True))


def best_of(lists, values):
    """Sum what each list gives, by a sparse matrix; the best K of each row."""
    rows = np.tile(np.repeat(np.arange(N), LENGTH), MODELS)
    columns = np.concatenate([each.ravel() for each in lists])
    total = sparse.coo_array((values, (rows, columns)), shape=(N, N_ITEMS)).tocsr()
    best = np.empty((N, K), dtype=np.int64)
    for row in range(N):
        span = slice(total.indptr[row], total.indptr[row + 1])
        order = np.lexsort((total.indices[span], -total.data[span]))[:K]
        best[row] = total.indices[span][order]
    return best


def bench_reciprocal_rank_of_five(benchmark, pairs) -> None:
    shares = 1 / (C + np.arange(1, LENGTH + 1))

    def by_scipy():
        return best_of([items for items, _ in pairs], np.tile(shares, N * MODELS))

    def ours():
        return fuse_lists(pairs, K, c=C)[0]

    ids = [f"q{row}" for row in range(N)]
    names = [f"i{item}" for item in range(N_ITEMS)]
    runs = [
        Run.from_dict(
            {
                key: dict(zip([names[item] for item in row], of_row, strict=True))
                for key, row, of_row in zip(ids, items, scores.astype(float), strict=True)
            }
        )
        for items, scores in pairs
    ]

    def by_ranx():
        return ranx_fuse(runs, norm=None, method="rrf", params={"k": C})

    # Sums in another order break ties otherwise.
    assert (by_scipy() == ours()).mean() > 0.99
    fused = by_ranx().to_dict()
    for row in range(0, N, 500):
        scores = fused[ids[row]]
        best = sorted(scores, key=lambda name, of=scores: (-of[name], int(name[1:])))[:K]
        assert np.mean([int(name[1:]) for name in best] == ours()[row]) > 0.8
    compete(benchmark, ours, {"numpy and scipy": by_scipy, "ranx": by_ranx}, rounds=5)


def bench_z_scores_of_five(benchmark, pairs) -> None:
    """An item that a list lacks gets the list's lowest score."""

    def by_scipy():
        values = []
        for _, scores in pairs:
            z = scores.astype(np.float64)
            z -= z.mean(axis=1, keepdims=True)
            z /= z.std(axis=1, keepdims=True)
            # The lowest is what all items of the session get: only what is above it decides.
            values.append((z - z[:, -1:]).ravel())
        return best_of([items for items, _ in pairs], np.concatenate(values))

    def ours():
        return fuse_lists(pairs, K, method="zscore")[0]

    assert (by_scipy() == ours()).mean() > 0.99
    compete(benchmark, ours, {"numpy and scipy": by_scipy}, rounds=7)
