"""Ranked lists: the one thing that models make and evaluation reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llmseq.errors import ShapeError

if TYPE_CHECKING:
    from llmseq.types import FloatMatrix, ItemArray


@dataclass(frozen=True, eq=False, slots=True)
class Recommendations:
    """Best first; equal scores: lower item index first; never a filler item.

    Parameters
    ----------
    items : int32 (n_sessions, k)
        Item indices; −1 where a list is short, only at its end.
    scores : float32 (n_sessions, k)
        Comparable within a list; −inf where ``items`` is −1.

    Raises
    ------
    ShapeError
        If the two shapes differ or are not two-dimensional, or a −1 stands before an item.

    Examples
    --------
    >>> lists = Recommendations(np.array([[3, 1]]), np.array([[0.9, 0.2]]))
    >>> lists.k, lists.items.dtype
    (2, dtype('int32'))
    """

    items: ItemArray
    scores: FloatMatrix

    def __post_init__(self) -> None:
        items = np.ascontiguousarray(self.items, dtype=np.int32)
        scores = np.ascontiguousarray(self.scores, dtype=np.float32)
        if items.ndim != 2 or items.shape != scores.shape:
            raise ShapeError(
                f"items and scores must both be (n_sessions, k), got {items.shape} and "
                f"{scores.shape}"
            )
        short = items < 0
        if np.any(short[:, :-1] & ~short[:, 1:]):
            row = int(np.argmax(np.any(short[:, :-1] & ~short[:, 1:], axis=1)))
            raise ShapeError(f"list {row} has a missing place before an item")
        object.__setattr__(self, "items", items)
        object.__setattr__(self, "scores", scores)

    def __len__(self) -> int:
        return int(self.items.shape[0])

    @property
    def k(self) -> int:
        """Places in a list."""
        return int(self.items.shape[1])

    def top(self, k: int) -> Recommendations:
        """Cut every list after ``k`` places."""
        return Recommendations(self.items[:, :k], self.scores[:, :k])
