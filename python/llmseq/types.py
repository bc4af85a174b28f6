"""Array types and the ragged array that carries sessions through the package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmseq.errors import ShapeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FloatMatrix: TypeAlias = NDArray[np.float32]
FloatVector: TypeAlias = NDArray[np.float64]
ItemArray: TypeAlias = NDArray[np.int32]
OffsetArray: TypeAlias = NDArray[np.int64]
CountArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]
IdArray: TypeAlias = NDArray[np.object_]


@dataclass(frozen=True, eq=False, slots=True)
class Ragged:
    """Rows of different lengths in two flat arrays: row r is ``items[offsets[r]:offsets[r + 1]]``.

    Parameters
    ----------
    items : int32 (n_events,)
        Item indices, row after row.
    offsets : int64 (n_rows + 1,)
        Where each row starts; rises from 0 to ``n_events``.

    Raises
    ------
    ShapeError
        If the offsets do not start at 0, fall, or do not end at the number of items.

    Examples
    --------
    >>> rows = Ragged.from_lists([[4, 1], [], [7]])
    >>> len(rows), rows[0].tolist(), rows.lengths.tolist()
    (3, [4, 1], [2, 0, 1])
    """

    items: ItemArray
    offsets: OffsetArray

    def __post_init__(self) -> None:
        items = np.ascontiguousarray(self.items, dtype=np.int32)
        offsets = np.ascontiguousarray(self.offsets, dtype=np.int64)
        if items.ndim != 1 or offsets.ndim != 1 or offsets.size == 0:
            raise ShapeError(
                f"items and offsets must be flat and offsets not empty, got shapes "
                f"{items.shape} and {offsets.shape}"
            )
        if offsets[0] != 0 or offsets[-1] != items.size:
            raise ShapeError(
                f"offsets must run from 0 to the number of items ({items.size}), "
                f"got {offsets[0]} to {offsets[-1]}"
            )
        if np.any(offsets[1:] < offsets[:-1]):
            row = int(np.argmax(offsets[1:] < offsets[:-1]))
            raise ShapeError(f"offsets must not fall, but they do after row {row}")
        object.__setattr__(self, "items", items)
        object.__setattr__(self, "offsets", offsets)

    @classmethod
    def from_lists(cls, rows: Iterable[Sequence[int]]) -> Self:
        """Make one from any rows of item indices."""
        kept = [np.asarray(row, dtype=np.int32) for row in rows]
        lengths = np.array([row.size for row in kept], dtype=np.int64)
        items = np.concatenate(kept) if kept else np.empty(0, dtype=np.int32)
        return cls(items, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

    @classmethod
    def from_lengths(cls, items: ItemArray, lengths: NDArray[np.integer]) -> Self:
        """Make one from flat items and the length of each row."""
        return cls(items, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

    def __len__(self) -> int:
        return self.offsets.size - 1

    def __getitem__(self, row: int) -> ItemArray:
        return self.items[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> OffsetArray:
        """Length of each row, int64 (n_rows,)."""
        return np.diff(self.offsets)

    @property
    def rows(self) -> OffsetArray:
        """The row that each event belongs to, int64 (n_events,)."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    def event_indices(self, rows: NDArray[np.integer]) -> OffsetArray:
        """Flat positions of the events of the given rows, in that order, int64."""
        lengths = self.lengths[rows]
        starts = np.repeat(self.offsets[:-1][rows], lengths)
        ends = np.cumsum(lengths)
        within = np.arange(int(ends[-1]) if ends.size else 0) - np.repeat(ends - lengths, lengths)
        return np.asarray(starts + within, dtype=np.int64)

    def take(self, rows: NDArray[np.integer]) -> Ragged:
        """Copy the given rows, in that order."""
        return Ragged.from_lengths(self.items[self.event_indices(rows)], self.lengths[rows])

    def keep_events(self, keep: BoolArray) -> Ragged:
        """Copy without the events where ``keep`` (n_events,) is false; rows may become empty."""
        kept_before = np.concatenate([[0], np.cumsum(keep)])
        return Ragged(self.items[keep], kept_before[self.offsets].astype(np.int64))

    def tail(self, n: int) -> Ragged:
        """Copy with at most the last ``n`` events of each row."""
        from_end = np.repeat(self.offsets[1:], self.lengths) - np.arange(self.items.size)
        return self.keep_events(from_end <= n)
