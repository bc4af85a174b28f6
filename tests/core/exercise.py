"""Every kernel once, on small arrays: what tests of threads, paths and memory run.

As a script it runs them on every path of this machine, on one and on two threads and from several
Python threads at once, and exits with 0 only if all results are the same.
"""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from llmseq.core import (
    POOLINGS,
    CooccurrenceIndex,
    ItemIndex,
    SessionIndex,
    cpu_path,
    cpu_paths,
    evaluate_lists,
    fuse_lists,
    pool_sessions,
    top_k,
)
from llmseq.types import Ragged

N_ITEMS, DIM, K = 403, 37, 9  # neither divides by the width of a register


class Kernels:
    """Inputs and indexes that many calls share."""

    def __init__(self, folder: Path, n_threads: int | None = None) -> None:
        rng = np.random.default_rng(5)
        self.vectors = rng.normal(size=(N_ITEMS, DIM)).astype(np.float32)
        self.vectors[7] = 0
        self.train = self._sessions(rng, 700)
        self.prompts = self._sessions(rng, 90)
        self.counts = np.bincount(self.train.items, minlength=N_ITEMS)
        self.mask = rng.random(N_ITEMS) < 0.9
        near = top_k(self.vectors, self.vectors, 4, similarity="cosine", n_threads=n_threads)
        train = (self.train.items, self.train.offsets, N_ITEMS)
        order = np.arange(len(self.train))
        self.dense = {
            name: ItemIndex(self.vectors, name, n_threads=n_threads)
            for name in ("dot", "cosine", "euclidean")
        }
        self.knn = SessionIndex(*train, order=order, followers=True, n_threads=n_threads)
        self.embedded = SessionIndex(*train, vectors=self.vectors, n_threads=n_threads)
        self.pairs = CooccurrenceIndex(
            *train,
            forward=[1.0, 0.5],
            backward=[0.3],
            near=near,
            smoothing=(0.5, 0.3, 0.2),
            n_threads=n_threads,
        )
        self.mapped = []
        for name, index in (("knn", self.knn), ("pairs", self.pairs)):
            index.save(folder / f"{name}.safetensors")
            self.mapped.append(type(index).open(folder / f"{name}.safetensors"))

    @staticmethod
    def _sessions(rng: np.random.Generator, n: int) -> Ragged:
        """Sessions of up to eight items, some of them empty."""
        return Ragged.from_lists(
            [rng.integers(0, N_ITEMS, length) for length in rng.integers(0, 9, n)]
        )

    def everything(self, n_threads: int | None = None) -> list[np.ndarray]:
        """Arrays out of every kernel, among them the saved and mapped ones."""
        prompts = (self.prompts.items, self.prompts.offsets)
        threads = {"n_threads": n_threads}
        pooled = [pool_sessions(self.vectors, *prompts, name, **threads) for name in POOLINGS]
        lists = [
            index.search(pooled[-2], K, exclude=prompts, candidates=self.mask, **threads)
            for index in self.dense.values()
        ]
        lists.append(self.dense["dot"].search(pooled[0], 400, **threads))
        for sampling in ("random", "recent", "idf", "idf_greedy"):
            numbers = {"k": 20, "sample_size": 30, "sampling": sampling}
            lists.append(self.knn.search(*prompts, K, **numbers, **threads))
        lists.append(self.embedded.search(*prompts, K, k=20, sample_size=30, **threads))
        lists.append(self.pairs.search(*prompts, K, candidates=self.mask, **threads))
        knn, pairs = self.mapped
        lists.append(knn.search(*prompts, K, k=20, sample_size=30, **threads))
        lists.append(pairs.search(*prompts, K, **threads))
        lists += [fuse_lists(lists, K, method=method, **threads) for method in ("rrf", "zscore")]
        targets = Ragged.from_lists([[*row, 3] for row in self.prompts])
        scores = [
            evaluate_lists(found, targets, (3, K, 50), self.counts, N_ITEMS, **threads)
            for found, _ in lists
        ]
        return [
            *pooled,
            *(array for pair in lists for array in pair),
            *(np.array(list(score.means.values())) for score in scores),
            *(column for score in scores for column in score.per_session.values()),
        ]


def check_same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    """Raise if one bit differs."""
    for left, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(left, right)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        kernels = Kernels(Path(folder))
        expected = kernels.everything(1)
        for path in cpu_paths():
            os.environ["LLMSEQ_CPU"] = path
            assert cpu_path() == path
            for n_threads in (1, 2):
                check_same(kernels.everything(n_threads), expected)
            with ThreadPoolExecutor(4) as pool:
                for found in pool.map(kernels.everything, [1, 2] * 3):
                    check_same(found, expected)
            with ThreadPoolExecutor(3) as pool:
                made = pool.map(lambda _: Kernels(Path(tempfile.mkdtemp(dir=folder)), 2), range(3))
                for again in made:
                    check_same(again.everything(2), expected)
        del kernels


if __name__ == "__main__":
    main()
