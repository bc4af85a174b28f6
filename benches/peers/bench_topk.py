"""Exact top-k by inner product, k = 20: what a recommender's answer takes."""

from __future__ import annotations

import os

import faiss
import numpy as np
import pytest
from arrays import like, random_vectors, real
from rounds import compete
from searchers import Searchers, recall

from llmseq.core import ItemIndex, cpu_path

K = 20
ONLY_AVX2 = os.environ.get("FAISS_OPT_LEVEL") == "avx2"


def check(found: np.ndarray, right: np.ndarray, items: np.ndarray, queries: np.ndarray) -> None:
    """Peers add up in another order, so only their scores are compared."""
    rows = np.arange(min(50, len(queries)))
    scores = [
        np.einsum("qkd,qd->qk", items[lists[rows]], queries[rows]) for lists in (found, right)
    ]
    np.testing.assert_allclose(*scores, rtol=1e-4, atol=1e-5)


def restricted() -> dict[str, str]:
    return {"all restricted to": cpu_path()} if ONLY_AVX2 else {}


def run(benchmark, items, queries, source, *, rounds=9, hnsw=False, slow=True) -> None:
    index = ItemIndex(items)
    ours = index.search(queries, K)[0]
    searchers = Searchers(items)
    check(searchers.torch(queries, K), ours, items, queries)
    notes = {"vectors": source, **restricted()}
    fuzzy = searchers.approximate() if hnsw and not ONLY_AVX2 else {}
    for name, search in fuzzy.items():
        notes[f"recall of {name}"] = f"{recall(search(queries, K), ours):.3f}"
    exact = searchers.exact()
    if not slow:
        del exact["usearch exact"]  # minutes
    compete(
        benchmark,
        lambda: index.search(queries, K),
        {
            name: lambda search=search: search(queries, K)
            for name, search in {**exact, **fuzzy}.items()
        },
        rounds=rounds,
        notes=notes,
        approximate=frozenset(fuzzy),
    )


def run_one_by_one(benchmark, items, source, *, rounds, warm=0) -> None:
    """A hundred different queries, one at a time; ``warm``: after as many hundreds before them."""
    index = ItemIndex(items)
    searchers = Searchers(items)
    singles = np.split(real().prompts[:100], 100)
    compete(
        benchmark,
        lambda: [index.search(single, K) for single in singles],
        {
            name: lambda search=search: [search(single, K) for single in singles]
            for name, search in searchers.exact().items()
            if name not in {"usearch exact", "faiss flat"}  # the slowest for one query
        },
        rounds=rounds,
        warm=warm,
        notes={"vectors": source, "unit": "100 queries, one after another", **restricted()},
    )


def bench_batch_4469_of_12101_titles(benchmark) -> None:
    data = real()
    run(benchmark, data.items, data.prompts, f"{data.source}: titles, prompts", hnsw=True)


def bench_batch_4469_of_12101_random(benchmark) -> None:
    queries = random_vectors(4_469, 384, seed=1)
    run(benchmark, random_vectors(12_101, 384), queries, "random", slow=False)


def bench_one_of_12101(benchmark) -> None:
    data = real()
    run(benchmark, data.items, data.prompts[:1], data.source, rounds=100, hnsw=True, slow=False)


def bench_one_of_12101_mean_of_100(benchmark) -> None:
    data = real()
    run_one_by_one(benchmark, data.items, data.source, rounds=20)


def bench_one_of_12101_in_a_stream(benchmark) -> None:
    """As the one before, of a server that is never idle: caches and clocks are as they stay."""
    data = real()
    run_one_by_one(benchmark, data.items, data.source, rounds=20, warm=10)


@pytest.mark.skipif(ONLY_AVX2, reason="the catalogue of real titles is enough")
def bench_batch_2048_of_100k(benchmark) -> None:
    data = real()
    items = like(data.items, 100_000)
    run(benchmark, items, data.prompts[:2_048], f"made from {data.source}", rounds=5, slow=False)


@pytest.fixture(scope="module")
def million():
    return like(real().items, 1_000_000)


@pytest.mark.skipif(ONLY_AVX2, reason="the catalogue of real titles is enough")
def bench_batch_64_of_1m(benchmark, million) -> None:
    data = real()
    run(benchmark, million, data.prompts[:64], f"made from {data.source}", rounds=5, slow=False)


@pytest.mark.skipif(ONLY_AVX2, reason="the catalogue of real titles is enough")
def bench_one_of_1m_mean_of_100(benchmark, million) -> None:
    run_one_by_one(benchmark, million, f"made from {real().source}", rounds=5)


@pytest.mark.skipif(ONLY_AVX2, reason="no kernel runs")
def bench_open_of_1m(benchmark, million, tmp_path) -> None:
    """From a file to an index that can be searched; ours is mapped, faiss' is read."""
    ItemIndex(million).save(tmp_path / "items.safetensors")
    faiss.write_index(Searchers(million).flat, str(tmp_path / "items.faiss"))
    compete(
        benchmark,
        lambda: ItemIndex.open(tmp_path / "items.safetensors"),
        {"faiss read_index": lambda: faiss.read_index(str(tmp_path / "items.faiss"))},
        rounds=5,
        notes={"files": "in the page cache"},
    )
