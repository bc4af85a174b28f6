"""Twin of ``ItemIndex`` and ``top_k``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llmseq.core import arrays
from llmseq.core.threads import thread_count
from llmseq.errors import ConfigError, InvalidDataError, ShapeError
from llmseq.testing.reference.checks import (
    check_choice,
    check_mask,
    check_matrix,
    check_sessions,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from llmseq.core.arrays import RaggedLike
    from llmseq.types import FloatMatrix, FloatVector, ItemArray

WIDEST = 65_536
SIMILARITIES = ("dot", "cosine", "euclidean")


def canonical_scores(
    queries: FloatMatrix, vectors: FloatMatrix, similarity: str = "dot"
) -> FloatMatrix:
    """All scores, float32 (n_queries, n_items): float64 sums in index order, rounded once."""
    if similarity == "cosine":
        queries, vectors = unit_length(queries), unit_length(vectors)
    left, right = queries.astype(np.float64), vectors.astype(np.float64)
    sums = np.zeros((left.shape[0], right.shape[0]))
    for column in range(left.shape[1]):
        a, b = left[:, column, None], right[None, :, column]
        sums += (a - b) * (a - b) if similarity == "euclidean" else a * b
    if similarity == "euclidean":
        sums = 1 / (1 + np.sqrt(sums))
    with np.errstate(over="ignore", under="ignore"):
        return sums.astype(np.float32) + np.float32(0)


def unit_length(vectors: FloatMatrix) -> FloatMatrix:
    """Rows divided by their length in float64, rounded to float32; zero rows stay."""
    wide = vectors.astype(np.float64)
    squares = np.zeros(wide.shape[0])
    for column in range(wide.shape[1]):
        squares += wide[:, column] * wide[:, column]
    norms: FloatVector = np.sqrt(squares)
    norms[norms == 0] = 1
    with np.errstate(under="ignore"):
        return (wide / norms[:, None]).astype(np.float32)


class ItemIndex:
    """See :class:`llmseq.core.ItemIndex`."""

    def __init__(
        self, vectors: ArrayLike, similarity: str = "dot", *, n_threads: int | None = None
    ) -> None:
        thread_count(n_threads)
        rows = arrays.matrix(vectors, "vectors")
        check_choice("similarity", similarity, SIMILARITIES)
        self.similarity = similarity
        self._vectors = check_matrix(rows, "vectors").copy()
        if self.n_items == 0:
            raise InvalidDataError("an index needs at least one item vector, got none")
        if self.dim > WIDEST:
            raise ConfigError(f"an index takes vectors of at most {WIDEST} values, got {self.dim}")

    @property
    def n_items(self) -> int:
        """Number of items."""
        return int(self._vectors.shape[0])

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return int(self._vectors.shape[1])

    def search(
        self,
        queries: ArrayLike,
        k: int,
        exclude: RaggedLike | None = None,
        candidates: ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> tuple[ItemArray, FloatMatrix]:
        """See :meth:`llmseq.core.ItemIndex.search`."""
        thread_count(n_threads)
        asked = check_matrix(arrays.matrix(queries, "queries"), "queries")
        k = arrays.count(k, "k")
        if asked.shape[1] != self.dim:
            raise ShapeError(f"queries must have {self.dim} columns, got {asked.shape[1]}")
        allowed = np.tile(
            check_mask(arrays.mask(candidates, "candidates"), self.n_items), (asked.shape[0], 1)
        )
        if exclude is not None:
            rows = check_sessions(*arrays.ragged(exclude, "exclude"), self.n_items, "exclude")
            if len(rows) != asked.shape[0]:
                raise ShapeError(f"exclude must have one row for each of {asked.shape[0]} queries")
            allowed[rows.rows, rows.items] = False
        items = np.full((asked.shape[0], k), -1, dtype=np.int32)
        scores = np.full((asked.shape[0], k), -np.inf, dtype=np.float32)
        all_scores = canonical_scores(asked, self._vectors, self.similarity)
        for row, of_row in enumerate(all_scores):
            left = np.flatnonzero(allowed[row])
            best = left[np.argsort(-of_row[left], kind="stable")][:k]
            items[row, : best.size] = best
            scores[row, : best.size] = of_row[best]
        return items, scores


def top_k(
    queries: ArrayLike,
    vectors: ArrayLike,
    k: int,
    *,
    similarity: str = "dot",
    exclude: RaggedLike | None = None,
    candidates: ArrayLike | None = None,
    n_threads: int | None = None,
) -> tuple[ItemArray, FloatMatrix]:
    """See :func:`llmseq.core.top_k`."""
    index = ItemIndex(vectors, similarity, n_threads=n_threads)
    return index.search(queries, k, exclude, candidates, n_threads)
