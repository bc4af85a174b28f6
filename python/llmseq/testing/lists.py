"""Ranked lists, targets and item facts written by hand, for tests of what is made of lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llmseq.data.sessions import HeldOut, Sessions
from llmseq.models.hybrid.facts import ItemFacts
from llmseq.recommendations import Recommendations
from llmseq.types import Ragged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike


def lists_of(rows: Sequence[Sequence[int]], k: int | None = None) -> Recommendations:
    """Make lists of n items with the scores n, n − 1, … 1.

    Parameters
    ----------
    k
        Places; None: as the longest row needs.
    """
    places = k or max(len(row) for row in rows)
    items = [[*row, *[-1] * (places - len(row))] for row in rows]
    scores = [[*range(len(row), 0, -1), *[-np.inf] * (places - len(row))] for row in rows]
    return Recommendations(
        np.array(items, dtype=np.int32).reshape(-1, places),
        np.array(scores, dtype=np.float32).reshape(-1, places),
    )


def listed(lists: Recommendations) -> list[list[int]]:
    """Give the items of each list without its missing places."""
    return [[int(item) for item in row if item >= 0] for row in lists.items]


def held_out_of(targets: Sequence[Sequence[int]]) -> HeldOut:
    """Make targets for prompts that do not matter."""
    return HeldOut(Sessions.from_lists([[0]] * len(targets)), Ragged.from_lists(targets))


def facts_of(
    n_sessions: Sequence[int], vectors: ArrayLike | None = None, cosines: Sequence[float] = ()
) -> ItemFacts:
    """Make facts of items: sessions that hold each, and unit vectors with cosines of pairs."""
    counts = np.array(n_sessions, dtype=np.int64)
    rows = np.empty((counts.size, 0)) if vectors is None else np.asarray(vectors)
    return ItemFacts(counts, rows.astype(np.float32), np.sort(np.array(cosines, dtype=np.float32)))
