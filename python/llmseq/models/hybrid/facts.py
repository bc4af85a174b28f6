"""What hybrids know of items: how many train sessions hold each, and how alike texts are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from llmseq.embeddings.matrix import unit_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llmseq.data.dataset import SessionDataset
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.types import BoolArray, CountArray, FloatMatrix, ItemArray

MAX_PAIRS = 100_000
"""Of more pairs of items so many are drawn for quantiles of their cosine."""


@dataclass(frozen=True, eq=False, slots=True)
class ItemFacts:
    """Popularity and text likeness of items.

    Parameters
    ----------
    n_sessions : int64 (n_items,)
        Train sessions that hold each item.
    vectors : float32 (n_items, D)
        Text vectors of unit length; D is 0 where texts are not needed.
    cosines : float32 (n_pairs,)
        Of pairs of items, rising; all pairs, or a sample of them.
    """

    n_sessions: CountArray
    vectors: FloatMatrix
    cosines: FloatMatrix

    @classmethod
    def count(cls, train: SessionDataset) -> Self:
        """Count sessions, without vectors."""
        sessions = train.sessions
        seen = np.unique(sessions.events.rows.astype(np.int64) * train.n_items + sessions.items)
        counts = np.bincount(seen % train.n_items, minlength=train.n_items).astype(np.int64)
        nothing = np.empty(0, dtype=np.float32)
        return cls(counts, nothing.reshape(train.n_items, 0), nothing)

    def with_vectors(self, embeddings: ItemEmbeddings, *, rng: np.random.Generator) -> Self:
        """Add text vectors and cosines of pairs of items; ``rng`` draws the pairs, if too many."""
        vectors = unit_rows(embeddings.vectors)
        pairs = _pairs(self.n_items, rng)
        return replace(self, vectors=vectors, cosines=np.sort(_cosines(vectors, *pairs)))

    @property
    def n_items(self) -> int:
        """Items in the catalogue."""
        return self.n_sessions.size

    def popular(self, items: ItemArray, quantile: float) -> BoolArray:
        """Whether items are at least as popular as a quantile of those in any train session.

        Parameters
        ----------
        items : int32, any shape
            −1 is not popular.
        """
        known = self.n_sessions[self.n_sessions > 0]
        if known.size == 0:
            return np.zeros(items.shape, dtype=np.bool_)
        least = np.quantile(known, quantile)
        popular: BoolArray = (items >= 0) & (self.n_sessions[items] >= least)
        return popular

    def cosine_at(self, quantile: float) -> np.float32:
        """Cosine that this share of all pairs of items is at or below; 1 without pairs."""
        if self.cosines.size == 0:
            return np.float32(1.0)
        return np.float32(np.quantile(self.cosines, quantile, method="lower"))


def _pairs(n_items: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every pair of different items once, or so many at random that quantiles hardly differ."""
    if n_items * (n_items - 1) // 2 <= MAX_PAIRS:
        first, second = np.triu_indices(n_items, k=1)
        return first.astype(np.int64), second.astype(np.int64)
    first = rng.integers(n_items, size=MAX_PAIRS)
    return first, (first + rng.integers(1, n_items, size=MAX_PAIRS)) % n_items


def _cosines(
    vectors: FloatMatrix, first: NDArray[np.int64], second: NDArray[np.int64], chunk: int = 8192
) -> FloatMatrix:
    """Dots of pairs of rows, summed in float64 and rounded once: float32 (n_pairs,)."""
    dots = [
        np.einsum(
            "pd,pd->p",
            vectors[first[at : at + chunk]],
            vectors[second[at : at + chunk]],
            dtype=np.float64,
        )
        for at in range(0, first.size, chunk)
    ]
    return np.concatenate(dots or [np.empty(0)]).astype(np.float32)
