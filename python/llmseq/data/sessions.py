"""Sessions and held-out parts: prompts with the targets that a model has to find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from llmseq.errors import InvalidDataError, ShapeError
from llmseq.types import BoolArray, CountArray, IdArray, ItemArray, OffsetArray, Ragged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, slots=True)
class Sessions:
    """Histories of items, oldest event first; equal times keep file order.

    Parameters
    ----------
    ids : object (n_sessions,)
        External session ids, strings.
    events : Ragged
        Item indices, one row a session.
    times : int64 (n_events,), optional
        Microseconds since 1970 (UTC), not falling inside a session; None where a log has no times.
    users : int32 (n_sessions,), optional
        Code of the person whose session it is; None where the log has no such column.
    """

    ids: IdArray
    events: Ragged
    times: OffsetArray | None = None
    users: ItemArray | None = None

    def __post_init__(self) -> None:
        if self.ids.shape != (len(self.events),):
            raise ShapeError(f"{len(self.events)} sessions but {self.ids.shape} ids")
        if self.times is not None and self.times.shape != self.events.items.shape:
            raise ShapeError(f"{self.n_events} events but {self.times.shape} times")
        if self.users is not None and self.users.shape != (len(self.events),):
            raise ShapeError(f"{len(self.events)} sessions but {self.users.shape} users")

    @classmethod
    def from_lists(cls, rows: Sequence[Sequence[int]], ids: Sequence[str] | None = None) -> Self:
        """Make sessions from item indices; ids default to "0", "1" and so on."""
        names = [str(i) for i in range(len(rows))] if ids is None else list(ids)
        return cls(np.array(names, dtype=object), Ragged.from_lists(rows))

    def __len__(self) -> int:
        return len(self.events)

    def __getitem__(self, row: int) -> ItemArray:
        return self.events[row]

    @property
    def items(self) -> ItemArray:
        """Item index of every event, session after session, int32 (n_events,)."""
        return self.events.items

    @property
    def offsets(self) -> OffsetArray:
        """Where each session starts, int64 (n_sessions + 1,)."""
        return self.events.offsets

    @property
    def lengths(self) -> OffsetArray:
        """Events in each session, int64 (n_sessions,)."""
        return self.events.lengths

    @property
    def n_events(self) -> int:
        """Events in all."""
        return int(self.events.items.size)

    def item_counts(self, n_items: int) -> CountArray:
        """Events of each item, int64 (n_items,)."""
        return np.bincount(self.items, minlength=n_items).astype(np.int64)

    def take(self, rows: NDArray[np.integer]) -> Sessions:
        """Copy the given sessions, in that order."""
        times = None if self.times is None else self.times[self.events.event_indices(rows)]
        users = None if self.users is None else self.users[rows]
        return Sessions(self.ids[rows], self.events.take(rows), times, users)

    def keep_events(self, keep: BoolArray) -> Sessions:
        """Copy without the events where ``keep`` (n_events,) is false; sessions may get empty."""
        times = None if self.times is None else self.times[keep]
        return Sessions(self.ids, self.events.keep_events(keep), times, self.users)

    def tail(self, n: int) -> Sessions:
        """Copy with at most the last ``n`` events of each session."""
        from_end = np.repeat(self.offsets[1:], self.lengths) - np.arange(self.n_events)
        return self.keep_events(from_end <= n)

    def shuffled(self, rng: np.random.Generator) -> Sessions:
        """Copy with the items of each session but its last in random order; times stay in place."""
        key = rng.random(self.n_events)
        key[self.offsets[1:][self.lengths > 0] - 1] = 1.0
        order = np.lexsort((key, np.repeat(np.arange(len(self)), self.lengths)))
        events = Ragged(self.items[order], self.offsets)
        return Sessions(self.ids, events, self.times, self.users)

    def last_times(self) -> OffsetArray:
        """Time of the last event of each session, int64 (n_sessions,); no session may be empty.

        Raises
        ------
        InvalidDataError
            If the sessions have no times, or one of them is empty.
        """
        if self.times is None or np.any(self.lengths == 0):
            raise InvalidDataError("last times need sessions with times and without empty ones")
        return self.times[self.offsets[1:] - 1]


@dataclass(frozen=True, eq=False, slots=True)
class HeldOut:
    """Prompts and, for each, the items that came next.

    Parameters
    ----------
    prompts : Sessions
        What a model may see.
    targets : Ragged
        One or several items for each prompt.
    """

    prompts: Sessions
    targets: Ragged

    def __post_init__(self) -> None:
        if len(self.prompts) != len(self.targets):
            raise ShapeError(f"{len(self.prompts)} prompts but {len(self.targets)} rows of targets")

    def __len__(self) -> int:
        return len(self.prompts)

    @classmethod
    def last_item(cls, sessions: Sessions) -> Self:
        """Hide the last item of each session; sessions of fewer than two events are left out."""
        kept = sessions.take(np.flatnonzero(sessions.lengths >= 2))
        last = np.zeros(kept.n_events, dtype=np.bool_)
        last[kept.offsets[1:] - 1] = True
        return cls(kept.keep_events(~last), kept.events.keep_events(last))

    @classmethod
    def every_position(cls, sessions: Sessions) -> Self:
        """Hide each item but a session's first in turn: the prompt is what stands before it.

        Sessions of L events give L − 1 prompts, in order; ids repeat.
        """
        lengths = sessions.lengths
        rows = np.repeat(np.arange(len(sessions)), np.maximum(lengths - 1, 0))
        first = np.concatenate([[0], np.cumsum(np.maximum(lengths - 1, 0))])[:-1]
        sizes = np.arange(rows.size) - first[rows] + 1  # length of each prompt
        starts = sessions.offsets[:-1][rows]
        ends = np.cumsum(sizes)
        within = np.arange(int(ends[-1]) if ends.size else 0) - np.repeat(ends - sizes, sizes)
        where = np.repeat(starts, sizes) + within
        users = None if sessions.users is None else sessions.users[rows]
        times = None if sessions.times is None else sessions.times[where]
        prompts = Sessions(
            sessions.ids[rows], Ragged.from_lengths(sessions.items[where], sizes), times, users
        )
        targets = Ragged.from_lengths(sessions.items[starts + sizes], np.ones_like(sizes))
        return cls(prompts, targets)
