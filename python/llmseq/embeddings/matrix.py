"""Item embeddings: one vector an item, in catalogue order, and how they were made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from llmseq.errors import InvalidDataError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmseq.types import BoolArray, FloatMatrix


@dataclass(frozen=True, eq=False, slots=True)
class ItemEmbeddings:
    """Vectors of every item of a catalogue.

    Parameters
    ----------
    vectors : float32 (n_items, dim)
        Row = item index. Finite.
    origin : mapping
        Plain values that follow from the inputs alone: encoder, text template, share of items
        joined, fingerprint, notes.
    filled : bool (n_items,), optional
        Items that had no text or no vector: theirs is the mean of the others, and reductions put
        them in the middle. None: there are none.

    Raises
    ------
    ShapeError
        If the vectors are not a matrix, or ``filled`` is not as long as it is high.
    InvalidDataError
        If a value is NaN or infinite; the first bad row is named.
    """

    vectors: FloatMatrix
    origin: Mapping[str, Any] = field(default_factory=dict)
    filled: BoolArray | None = None

    def __post_init__(self) -> None:
        vectors = np.ascontiguousarray(self.vectors, dtype=np.float32)
        if vectors.ndim != 2 or vectors.shape[1] == 0:
            raise ShapeError(f"vectors must be (n_items, dim), got {vectors.shape}")
        bad = non_finite_rows(vectors)
        if bad.any():
            raise InvalidDataError(
                f"vector of item index {int(np.argmax(bad))} holds NaN or infinity "
                f"({int(bad.sum())} such rows); make the vectors again or leave those items out"
            )
        if self.filled is not None and self.filled.shape != vectors.shape[:1]:
            raise ShapeError(
                f"filled must be ({vectors.shape[0]},), one an item, got {self.filled.shape}"
            )
        object.__setattr__(self, "vectors", vectors)

    @property
    def n_items(self) -> int:
        """Items, one row each."""
        return int(self.vectors.shape[0])

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return int(self.vectors.shape[1])


def non_finite_rows(vectors: FloatMatrix) -> BoolArray:
    """Rows that hold NaN or infinity, bool (n_rows,)."""
    return np.asarray(~np.isfinite(vectors).all(axis=1))


def unit_rows(vectors: FloatMatrix) -> FloatMatrix:
    """Scale every row to length one; zero rows stay zero. A new float32 array.

    Examples
    --------
    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32)).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    lengths[lengths == 0.0] = 1.0
    return np.asarray(vectors / lengths[:, None], dtype=np.float32)
