"""V-SKNN on Beauty beside scipy, and SKNNEmb: the 4,469 prompts in one call, one thread
unless a name says otherwise (scipy has one).

    pytest benches/bench_knn.py     # Beauty from LLMSEQ_SHARED_DATA or ../shared/data
    python benches/bench_knn.py     # one prompt at a time: median, 90th and 99th percentile

Targets are never read: prompts are those of the test part, lists are compared with scipy's alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.sparse as sp

from llmseq.core import CooccurrenceIndex, SessionIndex
from llmseq.data.importer import import_dataset
from llmseq.data.split import split_dataset

if TYPE_CHECKING:
    from llmseq.data.split import Split
    from llmseq.types import FloatMatrix, ItemArray, Ragged

SHARED = Path(os.environ.get("LLMSEQ_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
PUBLISHED = {"k": 320, "sample_size": 1530, "sampling": "random", "prompt_decay": "harmonic"}
DEFAULTS = {
    "k": 200,
    "sample_size": 1500,
    "sampling": "idf",
    "prompt_decay": "quadratic",
    "backward": 0.25,
    "idf_weighting": True,
}
K = 320
N_LISTED = 20


class ScipyVsknn:
    """V-SKNN of sparse matrix products, as it is usually written.

    Cosine of the prompt's harmonic weights and a session's 0/1 vector; the k nearest vote.
    """

    def __init__(self, train: Ragged, n_items: int) -> None:
        ones = np.ones(train.items.size, dtype=np.float32)
        held = sp.csr_matrix((ones, train.items, train.offsets), shape=(len(train), n_items))
        held.sum_duplicates()
        held.data[:] = 1
        self.held = held
        lengths = np.sqrt(np.maximum(held.getnnz(axis=1), 1)).astype(np.float32)
        self.by_item = (sp.diags(1 / lengths) @ held).T.tocsr().astype(np.float32)

    def search(self, prompts: Ragged, n_listed: int, *, k: int) -> ItemArray:
        """Rank items for prompts without repeats, int32 (n_prompts, n_listed)."""
        lists = []
        for start in range(0, len(prompts), 1000):
            block = prompts.take(np.arange(start, min(start + 1000, len(prompts))))
            near = self._nearest((self._weights(block) @ self.by_item).tocsr(), k)
            lists.append(self._top((near @ self.held).toarray(), block, n_listed))
        return np.concatenate(lists)

    def _weights(self, prompts: Ragged) -> sp.csr_matrix:
        from_end = np.repeat(prompts.offsets[1:], prompts.lengths) - np.arange(prompts.items.size)
        weights = (1 / from_end).astype(np.float32)
        shape = (len(prompts), self.held.shape[1])
        return sp.csr_matrix((weights, prompts.items, prompts.offsets), shape=shape)

    @staticmethod
    def _nearest(similarity: sp.csr_matrix, k: int) -> sp.csr_matrix:
        values = similarity.data
        for start, end in zip(similarity.indptr, similarity.indptr[1:], strict=False):
            if end - start > k:
                row = values[start:end]
                row[row < np.partition(row, -k)[-k]] = 0
        similarity.eliminate_zeros()
        return similarity

    @staticmethod
    def _top(scores: FloatMatrix, prompts: Ragged, n_listed: int) -> ItemArray:
        scores[prompts.rows, prompts.items] = -np.inf
        best = np.argpartition(-scores, n_listed, axis=1)[:, :n_listed]
        values = np.take_along_axis(scores, best, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        return np.take_along_axis(best, order, axis=1).astype(np.int32)


def read_beauty() -> Split:
    folder = SHARED / "beauty"
    dataset = import_dataset(
        folder / "interactions.csv.gz",
        folder / "items.csv.gz",
        split=folder / "split.csv.gz",
        item_times=folder / "item_order.csv.gz",
    )
    return split_dataset(dataset)


@pytest.fixture(scope="module")
def beauty():
    if not (SHARED / "beauty").is_dir():
        pytest.skip(f"no Beauty files at {SHARED / 'beauty'}")
    return read_beauty()


@pytest.fixture(scope="module")
def train(beauty):
    return beauty.train.sessions.events


@pytest.fixture(scope="module")
def prompts(beauty):
    return beauty.test.prompts.events


@pytest.fixture(scope="module")
def n_items(beauty):
    return beauty.train.n_items


@pytest.fixture(scope="module")
def index(train, n_items):
    return SessionIndex(train.items, train.offsets, n_items)


def vsknn(index, prompts, *, n_threads=1, **settings):
    asked = {"k": K, "sample_size": index.n_sessions, "prompt_decay": "harmonic"} | settings
    return index.search(prompts.items, prompts.offsets, N_LISTED, n_threads=n_threads, **asked)[0]


@pytest.mark.benchmark(group="V-SKNN, 4,469 prompts, all possible neighbours")
def test_vsknn_llmseq(benchmark, index, prompts):
    benchmark(vsknn, index, prompts)


@pytest.mark.benchmark(group="V-SKNN, 4,469 prompts, all possible neighbours")
def test_vsknn_llmseq_all_cores(benchmark, index, prompts):
    benchmark(vsknn, index, prompts, n_threads=None)


@pytest.mark.benchmark(group="V-SKNN, 4,469 prompts, all possible neighbours")
def test_vsknn_scipy(benchmark, index, train, prompts, n_items):
    peer = ScipyVsknn(train, n_items)
    peers = benchmark.pedantic(peer.search, (prompts, N_LISTED), {"k": K}, rounds=3)
    ours = vsknn(index, prompts)
    agree = [np.isin(a, b).mean() for a, b in zip(ours, peers, strict=True) if a[-1] >= 0]
    assert np.mean(agree) > 0.97  # ties at the k-th neighbour all stay in scipy's version


@pytest.mark.benchmark(group="V-SKNN, 4,469 prompts, published settings")
def test_vsknn_published(benchmark, index, prompts):
    benchmark(vsknn, index, prompts, **PUBLISHED)


@pytest.mark.benchmark(group="V-SKNN, 4,469 prompts, default settings")
def test_vsknn_defaults(benchmark, index, prompts):
    benchmark(vsknn, index, prompts, **DEFAULTS)


@pytest.mark.benchmark(group="build")
def test_build_session_index(benchmark, train, n_items):
    benchmark(SessionIndex, train.items, train.offsets, n_items, n_threads=1)


@pytest.mark.benchmark(group="build")
def test_build_cooccurrence_index(benchmark, train, n_items):
    forward = np.arange(1.0, 21.0) ** -0.8
    benchmark(
        CooccurrenceIndex,
        train.items,
        train.offsets,
        n_items,
        forward=forward,
        backward=0.25 * forward,
        n_threads=1,
    )


@pytest.mark.benchmark(group="SKNNEmb, 4,469 prompts, 256 dimensions")
def test_sknnemb(benchmark, train, prompts, n_items):
    vectors = np.random.default_rng(0).normal(size=(n_items, 256)).astype(np.float32)
    index = SessionIndex(train.items, train.offsets, n_items, vectors=vectors)
    benchmark(vsknn, index, prompts, **(PUBLISHED | {"prompt_decay": None}))


@pytest.mark.benchmark(group="V-SKNN, one prompt")
def test_one_prompt(benchmark, index, prompts):
    one = prompts.take(np.array([0]))
    benchmark(vsknn, index, one, **PUBLISHED)


def main() -> None:
    """Ask every prompt by itself, as a server does, and print what that took."""
    from knn_scale import percentiles

    beauty = read_beauty()
    train, prompts = beauty.train.sessions.events, beauty.test.prompts.events
    index = SessionIndex(train.items, train.offsets, beauty.train.n_items)
    each = [prompts.take(np.array([row])) for row in range(len(prompts))]
    for name, settings in (("published", PUBLISHED), ("defaults", DEFAULTS)):
        vsknn(index, prompts, **settings)  # warms up
        found = percentiles(
            lambda row, of=settings: vsknn(index, each[row], **of), range(len(each))
        )
        print(name, {share: round(taken, 4) for share, taken in found.items()})


if __name__ == "__main__":
    main()
