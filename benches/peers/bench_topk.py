"""Exact top-k by inner product, k = 20: the issue of most recommenders' serving time."""

from __future__ import annotations

import numpy as np
import pytest
from arrays import like, prompts, random_vectors, real_items
from rounds import compete
from searchers import Searchers, recall

from llmseq.core import ItemIndex

K = 20


@pytest.fixture(scope="session")
def real():
    return real_items()


def check(found: np.ndarray, right: np.ndarray, items: np.ndarray, queries: np.ndarray) -> None:
    """Peers add up in another order, so only their scores are compared."""
    rows = np.arange(min(50, len(queries)))
    scores = [
        np.einsum("qkd,qd->qk", items[lists[rows]], queries[rows]) for lists in (found, right)
    ]
    np.testing.assert_allclose(*scores, rtol=1e-4, atol=1e-5)


def run(benchmark, items, queries, source, *, rounds=9, hnsw=True) -> None:
    index = ItemIndex(items)
    ours = index.search(queries, K)[0]
    searchers = Searchers(items)
    check(searchers.torch(queries, K), ours, items, queries)
    notes = {"vectors": source}
    fuzzy = searchers.approximate() if hnsw else {}
    for name, search in fuzzy.items():
        notes[f"recall of {name}"] = f"{recall(search(queries, K), ours):.3f}"
    compete(
        benchmark,
        lambda: index.search(queries, K),
        {
            name: lambda search=search: search(queries, K)
            for name, search in {**searchers.exact(), **fuzzy}.items()
        },
        rounds=rounds,
        notes=notes,
        approximate=frozenset(fuzzy),
    )


@pytest.mark.parametrize("kind", ["real", "random"])
def bench_batch_4469_of_12101(benchmark, real, kind) -> None:
    items, source = real
    if kind == "random":
        items, source = random_vectors(len(items), 384), "random"
        queries = random_vectors(4_469, 384, seed=1)
    else:
        queries = prompts(items, 4_469)
    run(benchmark, items, queries, source)


def bench_one_of_12101(benchmark, real) -> None:
    items, source = real
    run(benchmark, items, prompts(items, 1), source, rounds=200)


def bench_batch_2048_of_100k(benchmark, real) -> None:
    items = like(real[0], 100_000)
    run(benchmark, items, prompts(items, 2_048), f"made from {real[1]}", rounds=5, hnsw=False)


@pytest.fixture(scope="module")
def million(real):
    return like(real[0], 1_000_000)


def bench_batch_64_of_1m(benchmark, real, million) -> None:
    run(benchmark, million, prompts(million, 64), f"made from {real[1]}", rounds=5, hnsw=False)


def bench_one_of_1m_mean_of_100(benchmark, real, million) -> None:
    """A hundred different queries, one at a time."""
    index = ItemIndex(million)
    singles = np.split(prompts(million, 100), 100)
    peers = Searchers(million)
    compete(
        benchmark,
        lambda: [index.search(single, K) for single in singles],
        {
            name: lambda search=search: [search(single, K) for single in singles]
            for name, search in peers.exact().items()
            if name != "usearch exact"  # half an hour
        },
        rounds=3,
        notes={"vectors": f"made from {real[1]}", "unit": "100 queries, one after another"},
    )
