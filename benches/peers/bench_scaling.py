"""Top-k of 64 queries by size of the catalogue and number of threads: data of the plot."""

from __future__ import annotations

import pytest
from arrays import like, real
from rounds import compete
from searchers import Searchers

from llmseq.core import ItemIndex

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
K = 20


@pytest.fixture(scope="module")
def largest():
    return like(real().items, SIZES[-1])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", SIZES)
def bench_64_queries(benchmark, largest, size, threads) -> None:
    items = largest[:size]
    queries = real().prompts[:64]
    index = ItemIndex(items)
    searchers = Searchers(items, n_threads=threads)
    compete(
        benchmark,
        lambda: index.search(queries, K, n_threads=threads),
        {
            "torch": lambda: searchers.torch(queries, K),
            "faiss flat": lambda: searchers.exact()["faiss flat"](queries, K),
        },
        rounds=5,
        notes={"size": str(size), "threads": str(threads)},
    )
