"""Filters of sessions and items: length limits, the k-core, items that nobody met."""

from __future__ import annotations

import numpy as np

from llmseq.data.catalogue import Catalogue
from llmseq.data.sessions import Sessions
from llmseq.types import Ragged


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


def used_items(catalogue: Catalogue, sessions: Sessions) -> tuple[Catalogue, Sessions]:
    """Leave out the items without an event; the others keep their order and get new indices."""
    used = sessions.item_counts(catalogue.n_items) > 0
    index = np.cumsum(used, dtype=np.int32) - 1
    events = Ragged(index[sessions.items], sessions.offsets)
    kept = Sessions(sessions.ids, events, sessions.times, sessions.users)
    return Catalogue(catalogue.table.filter(used)), kept
