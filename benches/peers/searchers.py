"""What a user would pick instead for top-k by inner product."""

from __future__ import annotations

import os
from collections.abc import Callable

import faiss
import hnswlib
import numpy as np
import torch
from implicit.cpu.topk import topk as implicit_topk
from usearch.index import MetricKind
from usearch.index import search as usearch_search

Search = Callable[[np.ndarray, int], np.ndarray]

THREADS = int(os.environ.get("LLMSEQ_NUM_THREADS", "2"))
_SCORES_AT_ONCE = 50_000_000  # 200 MB: what numpy and torch hold of the score matrix


class Searchers:
    """Indexes over the same items; every search gives the items (n_queries, k), best first."""

    def __init__(self, items: np.ndarray, *, n_threads: int = THREADS) -> None:
        self.items = items
        self.n_threads = n_threads
        self.rows = max(1, _SCORES_AT_ONCE // len(items))
        self.tensor = torch.from_numpy(items)
        self.flat = faiss.IndexFlatIP(items.shape[1])
        self.flat.add(items)
        faiss.omp_set_num_threads(n_threads)
        torch.set_num_threads(n_threads)

    def exact(self) -> dict[str, Search]:
        return {
            "numpy": self.numpy,
            "torch": self.torch,
            "faiss flat": lambda queries, k: self.flat.search(queries, k)[1],
            "implicit": self.implicit,
            "usearch exact": self.usearch,
        }

    def approximate(self) -> dict[str, Search]:
        """HNSW with usual settings: M 16, ef_construction 200, ef 100."""
        index = hnswlib.Index("ip", self.items.shape[1])
        index.init_index(len(self.items), ef_construction=200, M=16)
        index.set_num_threads(self.n_threads)
        index.add_items(self.items)
        index.set_ef(100)
        return {"hnswlib": lambda queries, k: index.knn_query(queries, k)[0].astype(np.int64)}

    def numpy(self, queries: np.ndarray, k: int) -> np.ndarray:
        found = []
        for start in range(0, len(queries), self.rows):
            scores = queries[start : start + self.rows] @ self.items.T
            best = np.argpartition(scores, -k, axis=1)[:, -k:]
            order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
            found.append(np.take_along_axis(best, order, axis=1))
        return np.concatenate(found)

    def torch(self, queries: np.ndarray, k: int) -> np.ndarray:
        with torch.inference_mode():
            parts = torch.from_numpy(queries).split(self.rows)
            return torch.cat([(part @ self.tensor.T).topk(k).indices for part in parts]).numpy()

    def implicit(self, queries: np.ndarray, k: int) -> np.ndarray:
        return implicit_topk(self.items, queries, k, num_threads=self.n_threads)[0]

    def usearch(self, queries: np.ndarray, k: int) -> np.ndarray:
        found = usearch_search(
            self.items, queries, k, MetricKind.IP, exact=True, threads=self.n_threads
        )
        return found.keys.reshape(len(queries), k)


def recall(found: np.ndarray, right: np.ndarray) -> float:
    """Share of the right items that were found."""
    pairs = zip(found, right, strict=True)
    return float(np.mean([np.isin(want, got).mean() for got, want in pairs]))
