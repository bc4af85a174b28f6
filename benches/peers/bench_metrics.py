"""Eight metrics at two cut-offs over 200,000 lists of 20."""

from __future__ import annotations

import numpy as np
import pytest
from ranx import Qrels, Run
from ranx import evaluate as ranx_evaluate
from rounds import compete

from llmseq.core import evaluate_lists

N, LENGTH, N_ITEMS = 200_000, 20, 12_101
KS = (10, 20)


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    start = rng.integers(0, N_ITEMS, (N, 1))
    lists = ((start + 7 * np.arange(LENGTH)) % N_ITEMS).astype(np.int32)  # no item twice in a list
    hit = rng.random(N) < 0.3
    targets = np.where(
        hit, lists[np.arange(N), rng.integers(0, LENGTH, N)], rng.integers(0, N_ITEMS, N)
    )
    counts = np.bincount(lists.ravel(), minlength=N_ITEMS).astype(np.int64)
    return lists, targets.astype(np.int32), counts


def by_numpy(lists, targets, counts):
    """As one writes it for one target a session."""
    means = {}
    novelty = -np.log2(np.maximum(counts, 1) / counts.sum())
    for k in KS:
        top = lists[:, :k]
        hits = top == targets[:, None]
        found = hits.any(axis=1)
        rank = np.where(found, hits.argmax(axis=1), 0)
        popular = np.argsort(-counts, kind="stable")[:k]
        means[f"hr@{k}"] = means[f"recall@{k}"] = found.mean()
        means[f"ndcg@{k}"] = (found / np.log2(rank + 2)).mean()
        means[f"mrr@{k}"] = means[f"map@{k}"] = (found / (rank + 1)).mean()
        means[f"precision@{k}"] = found.mean() / k
        means[f"serendipity@{k}"] = (found & ~np.isin(targets, popular)).mean()
        means[f"novelty@{k}"] = novelty[top].mean()
        means[f"coverage@{k}"] = np.unique(top).size / N_ITEMS
    return means


def bench_eight_metrics(benchmark, world) -> None:
    lists, targets, counts = world
    offsets = np.arange(N + 1)

    def ours():
        return evaluate_lists(lists, (targets, offsets), ks=KS, popularity=counts, n_items=N_ITEMS)

    means, expected = ours().means, by_numpy(*world)
    for name, value in expected.items():
        assert means[name] == pytest.approx(value, rel=1e-6), name
    compete(benchmark, ours, {"numpy": lambda: by_numpy(*world)})


def bench_accuracy_metrics_ranx(benchmark, world) -> None:
    """The accuracy metrics alone, which is what ranx has; its inputs are built before."""
    lists, targets, _ = world
    ids = [f"q{row}" for row in range(N)]
    names = [f"i{item}" for item in range(N_ITEMS)]
    qrels = Qrels.from_dict({key: {names[t]: 1} for key, t in zip(ids, targets, strict=True)})
    run = Run.from_dict(
        {
            key: {names[item]: float(LENGTH - place) for place, item in enumerate(row)}
            for key, row in zip(ids, lists, strict=True)
        }
    )
    metrics = [
        f"{name}@{k}"
        for name in ("ndcg", "hit_rate", "mrr", "recall", "precision", "map")
        for k in KS
    ]
    compete(
        benchmark,
        lambda: evaluate_lists(lists, (targets, np.arange(N + 1)), ks=KS),
        {"ranx": lambda: ranx_evaluate(qrels, run, metrics, make_comparable=False)},
        rounds=3,
    )
