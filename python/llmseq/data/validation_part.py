"""Which train sessions stand in for test while choices are made (ARCHITECTURE.md says why)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from llmseq.data.dataset import SessionDataset
    from llmseq.types import FloatVector, OffsetArray

Drawn = Literal["newest", "newest-items", "random"]

_REASONS: dict[Drawn, str] = {
    "newest": "the newest train sessions by their last event",
    "newest-items": (
        "seeded random sessions from the part of train whose newest item is newest, twice the size "
        "of select: sessions have no times, items have"
    ),
    "random": "seeded random train sessions: neither sessions nor items have times",
}


@dataclass(frozen=True, eq=False, slots=True)
class ValidationParts:
    """Rows of train, each in one of three parts, rising.

    Parameters
    ----------
    select, stop, fit : int64
    drawn
        How select and stop were drawn.
    """

    select: OffsetArray
    stop: OffsetArray
    fit: OffsetArray
    drawn: Drawn

    @property
    def why(self) -> str:
        """How, and for what reason, in words."""
        return _REASONS[self.drawn]


def draw_parts(
    train: SessionDataset, select_share: float, stop_share: float, seed: int
) -> ValidationParts:
    """Draw select from train, then stop from the rest in the same way; what remains is fit.

    Newest sessions by time; where only items have times, random ones among those whose newest item
    is newest, twice as many as select has (taking the newest themselves would take the newest items
    out of fit, and a smaller pool for stop would be nearly used up); else random.
    """
    age, drawn = _newness(train)
    rng = np.random.default_rng(seed)
    rest = np.arange(len(train.sessions), dtype=np.int64)
    parts = []
    for share in (select_share, stop_share):
        n = max(1, round(share * rest.size))
        if age is None:
            part = rng.permutation(rest)[:n]
        else:
            newest_last = rest[np.argsort(age[rest], kind="stable")]
            part = newest_last[-n:]
            if drawn == "newest-items":
                pool = newest_last[-2 * max(round(select_share * rest.size), n) :]
                part = rng.permutation(pool)[:n]
        parts.append(np.sort(part))
        rest = np.setdiff1d(rest, part, assume_unique=True)
    return ValidationParts(parts[0], parts[1], rest, drawn)


def _newness(train: SessionDataset) -> tuple[FloatVector | OffsetArray | None, Drawn]:
    """Give each session a number that is larger the newer it is, or None."""
    sessions = train.sessions
    if sessions.times is not None:
        return sessions.last_times(), "newest"
    item_times = train.catalogue.item_times
    if item_times is not None:
        known = np.where(np.isnan(item_times), -np.inf, item_times)[sessions.items]
        newest = np.maximum.reduceat(known, sessions.offsets[:-1])
        if np.isfinite(newest).mean() >= 0.5:
            return newest, "newest-items"
    return None, "random"
