"""Hold the last items of sessions out, against the items that are known in train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from llmseq.data.sessions import HeldOut, Sessions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmseq.types import BoolArray, CountArray, Ragged

_LONGEST = 500  # events: every position of a session takes memory by the square of its length


@dataclass(frozen=True, eq=False, slots=True)
class HeldOutPart:
    """Sessions held out whole, and what was left of them.

    Parameters
    ----------
    raw : Sessions
        As they came.
    warm : bool (n_items,)
        Items with an event in what models learn from.
    kept : Sessions
        Without cold items, at least two events each.
    """

    raw: Sessions
    warm: BoolArray
    kept: Sessions

    def last_items(self) -> HeldOut:
        """Hide the last item of each session that was kept."""
        return HeldOut.last_item(self.kept)

    def every_position(self) -> HeldOut:
        """Ask for every item but the first of the newest 500 events of each session."""
        return HeldOut.every_position(self.kept.tail(_LONGEST))

    def dropped(self) -> dict[str, int]:
        """Count what is gone: events of cold items, and sessions that became too short."""
        return {
            "cold_events": int((~self.warm[self.raw.items]).sum()),
            "sessions": len(self.raw) - len(self.kept),
        }

    def statistics(self) -> dict[str, Any]:
        """Describe the part by figures that do not show how popular its targets are."""
        held_out = self.last_items()
        cold = ~self.warm[self.raw.items]
        ends = self.raw.offsets[1:][self.raw.lengths > 0] - 1
        return {
            "sessions": len(held_out),
            "mean_prompt": _mean(held_out.prompts.lengths),
            "cold_last_items": _mean(cold[ends]),
            "events_lost": _mean(cold),
        }


def hold_out(
    sessions: Sessions, warm: BoolArray, *, keep_cold: bool = False, only_last_event: bool = False
) -> HeldOutPart:
    """Remove cold items, then sessions with fewer than two events left.

    Parameters
    ----------
    warm : bool (n_items,)
        Items with an event in what models learn from.
    keep_cold : bool
        Keep the cold items.
    only_last_event : bool
        Drop sessions whose last event is cold instead of taking the one before it as the target:
        needed where train holds all events but the last.
    """
    kept = sessions
    if not keep_cold:
        is_warm = warm[sessions.items]
        if only_last_event:
            kept = sessions.take(np.flatnonzero(is_warm[sessions.offsets[1:] - 1]))
            is_warm = warm[kept.items]
        kept = kept.keep_events(is_warm)
    return HeldOutPart(sessions, warm, kept.take(np.flatnonzero(kept.lengths >= 2)))


def seen_share(held_out: HeldOut) -> float:
    """Share of targets that stand in their own prompt: what exclusion of seen items hides."""
    return _mean(in_own_row(held_out.prompts.events, held_out.targets))


def in_own_row(rows: Ragged, targets: Ragged) -> BoolArray:
    """Whether each target is among the items of its row, bool (n_targets,)."""
    lengths = rows.lengths[targets.rows]
    wanted = np.repeat(targets.items, lengths)
    found = rows.items[rows.event_indices(targets.rows)] == wanted
    which = np.repeat(np.arange(targets.items.size), lengths)
    return np.bincount(which[found], minlength=targets.items.size) > 0


def target_popularity(held_out: HeldOut, counts: CountArray) -> Mapping[str, float]:
    """How often targets occur in train: of test to be shown only once all choices are made.

    Parameters
    ----------
    counts : int64 (n_items,)
        Events of each item in train.

    Returns
    -------
    mapping
        ``median_events`` of a target, and ``under_5_events``, the share of rarer ones.
    """
    events = counts[held_out.targets.items]
    return {
        "median_events": float(np.median(events)) if events.size else 0.0,
        "under_5_events": _mean(events < 5),
    }


def _mean(values: BoolArray | CountArray) -> float:
    return float(values.mean()) if values.size else 0.0
