"""Item embeddings: one vector an item, in catalogue order, and how they were made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from llmseq.errors import InvalidDataError, ShapeError
from llmseq.types import FloatMatrix


@dataclass(frozen=True, eq=False, slots=True)
class ItemEmbeddings:
    """Vectors of every item of a catalogue.

    Parameters
    ----------
    vectors : float32 (n_items, dim)
        Row = item index. Finite.
    origin : mapping
        Plain values: encoder, model, text template, share of items joined, fingerprint.

    Raises
    ------
    ShapeError
        If the vectors are not a matrix.
    InvalidDataError
        If a value is NaN or infinite; the first bad row is named.
    """

    vectors: FloatMatrix
    origin: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        vectors = np.ascontiguousarray(self.vectors, dtype=np.float32)
        if vectors.ndim != 2 or vectors.shape[1] == 0:
            raise ShapeError(f"vectors must be (n_items, dim), got {vectors.shape}")
        bad = ~np.isfinite(vectors).all(axis=1)
        if bad.any():
            raise InvalidDataError(
                f"vector of item index {int(np.argmax(bad))} holds NaN or infinity "
                f"({int(bad.sum())} such rows); make the vectors again or leave those items out"
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
