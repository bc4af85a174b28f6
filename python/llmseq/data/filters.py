"""Filters of sessions: length limits and the k-core."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from llmseq.data.sessions import Sessions


def drop_long(sessions: Sessions, max_length: int) -> Sessions:
    """Copy without the sessions of more than ``max_length`` events (robots, tills, tests)."""
    return sessions.take(np.flatnonzero(sessions.lengths <= max_length))


def core(sessions: Sessions, n_items: int, min_length: int, min_item_count: int) -> Sessions:
    """Drop short sessions and rare items until neither is left.

    The result is the largest set of events in which each session has at least ``min_length``
    events and each item at least ``min_item_count``; it does not depend on the order of dropping.

    Parameters
    ----------
    sessions : Sessions
    n_items : int
        Items in the catalogue.
    min_length, min_item_count : int
        Both 5 is the five-core.

    Returns
    -------
    Sessions
        Sessions left empty are gone; the order is kept.
    """
    items, rows = sessions.items, sessions.events.rows
    keep = np.ones(items.size, dtype=np.bool_)
    while True:
        item_counts = np.bincount(items[keep], minlength=n_items)
        lengths = np.bincount(rows[keep], minlength=len(sessions))
        wrong = (item_counts[items] < min_item_count) | (lengths[rows] < min_length)
        if not np.any(wrong & keep):
            break
        keep &= ~wrong
    kept = sessions.keep_events(keep)
    return kept.take(np.flatnonzero(kept.lengths))
