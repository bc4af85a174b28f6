"""Where targets would stand in the fusion of any lists, counted without fusing them anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llmseq.core import evaluate_lists
from llmseq.types import Ragged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from llmseq.data.sessions import HeldOut
    from llmseq.recommendations import Recommendations
    from llmseq.types import BoolArray, FloatVector, OffsetArray

MAX_SESSIONS = 10_000
"""Of more sessions so many, evenly spaced, are looked at."""


class Ballot:
    """What every list gives to every item, for sessions in which some list holds a target.

    A fused score is a weighted sum of these votes, so one more combination costs one sum and a
    count of the items before each target. Sessions in which no list holds a target are misses.

    Parameters
    ----------
    lists
        By name, for the prompts of ``held_out``, cut to the places that count.
    held_out : HeldOut
    method, c
        As in `fuse_lists`.
    metric
        Such as "ndcg@20": an accuracy metric, which is 0 for a session without a hit.
    """

    def __init__(
        self,
        lists: Mapping[str, Recommendations],
        held_out: HeldOut,
        *,
        method: str,
        c: float,
        metric: str,
    ) -> None:
        self.names = tuple(lists)
        self._metric, self._k = metric, int(metric.partition("@")[2])
        n = len(held_out)
        looked_at = np.unique(np.linspace(0, n - 1, min(n, MAX_SESSIONS)).astype(np.int64))
        targets = held_out.targets.take(looked_at)
        tables = [made.items[looked_at] for made in lists.values()]
        scores = [made.scores[looked_at] for made in lists.values()]
        width = 1 + int(max(table.max(initial=0) for table in (*tables, targets.items)))
        wanted = np.unique(targets.rows.astype(np.int64) * width + targets.items)
        keys = [_keys(table, width) for table in tables]
        served = np.any([np.isin(own, wanted).any(axis=1) for own in keys], axis=0)
        rows = np.flatnonzero(served)
        keys, scores = [own[rows] for own in keys], [own[rows] for own in scores]
        entries = np.unique(np.concatenate([own[own >= 0] for own in keys]))
        session = np.searchsorted(rows, entries // width)
        votes = [_votes(s, own, method=method, c=c) for s, own in zip(scores, keys, strict=True)]
        self._votes = [
            _spread(given, lowest, own, entries, session)
            for (given, lowest), own in zip(votes, keys, strict=True)
        ]
        self._listed = [np.isin(entries, own) for own in keys]  # by which lists an entry is named
        self._looked_at, self._rows = looked_at, looked_at[rows]
        wanted = wanted[np.isin(wanted // width, rows)]
        self._n_targets = np.bincount(np.searchsorted(rows, wanted // width), minlength=rows.size)
        hits = self._hits = np.flatnonzero(np.isin(entries, wanted))
        self._of = session[hits]  # the served session of each listed target
        # For each listed target the entries of its session, one after another.
        starts = np.searchsorted(session, np.arange(rows.size + 1))
        lengths = np.diff(starts)[self._of]
        self._first = np.cumsum(lengths) - lengths
        target = np.repeat(np.arange(hits.size), lengths)
        self._others = np.arange(target.size) - (self._first - starts[self._of])[target]
        self._against = hits[target]
        self._lower = self._others < self._against  # entries of a session rise by item
        self._known: dict[bytes, FloatVector] = {}

    def mean(self, weights: FloatVector, rows: OffsetArray) -> float:
        """Mean of the metric over sessions, for one weight a list (not all 0).

        Parameters
        ----------
        weights : float64 (n_lists,)
        rows : int64
            Which sessions of ``held_out``; those that are not looked at do not count.
        """
        inside = np.isin(self._rows, rows)
        n = int(np.isin(self._looked_at, rows).sum())
        return float(self._values(weights)[inside].sum()) / max(n, 1)

    def _values(self, weights: FloatVector) -> FloatVector:
        """Give the metric of each served session, float64 (n_served,)."""
        key = weights.tobytes()
        if self._rows.size == 0:
            return np.empty(0)
        if key not in self._known:
            self._known[key] = self._of_ranks(self._ranks(weights))
        return self._known[key]

    def _ranks(self, weights: FloatVector) -> OffsetArray:
        """Rank of each listed target, from 1; equal scores: the lower item first."""
        sums = np.zeros(self._votes[0].size)
        named = np.zeros(sums.size, dtype=np.bool_)
        for weight, votes, listed in zip(weights, self._votes, self._listed, strict=True):
            if weight:
                sums += weight * votes
                named |= listed
        fused = np.where(named, sums, -np.inf).astype(np.float32)
        others, own = fused[self._others], fused[self._against]
        before = (others > own) | ((others == own) & self._lower)
        ranks = 1 + np.add.reduceat(before.astype(np.int64), self._first)
        found: OffsetArray = np.where(named[self._hits], ranks, self._k + 1)
        return found

    def _of_ranks(self, ranks: OffsetArray) -> FloatVector:
        """Score lists that hold the targets at these ranks, and other items elsewhere."""
        n, most = self._n_targets.size, int(self._n_targets.max(initial=0))
        lists = np.tile(np.arange(most, most + self._k, dtype=np.int32), (n, 1))
        number = np.arange(self._of.size) - np.searchsorted(self._of, self._of)
        shown = ranks <= self._k
        lists[self._of[shown], ranks[shown] - 1] = number[shown]
        names = np.arange(self._n_targets.sum()) - np.repeat(
            np.cumsum(self._n_targets) - self._n_targets, self._n_targets
        )
        targets = Ragged.from_lengths(names, self._n_targets)
        return evaluate_lists(lists, targets, ks=(self._k,)).per_session[self._metric]


def _keys(items: NDArray[np.int32], width: int) -> NDArray[np.int64]:
    """One number for each session and item, −1 for missing places: (n_sessions, k)."""
    rows = np.arange(items.shape[0], dtype=np.int64)[:, np.newaxis]
    return np.where(items >= 0, rows * width + items, -1)


def _votes(
    scores: NDArray[np.float32], keys: NDArray[np.int64], *, method: str, c: float
) -> tuple[NDArray[np.float64], FloatVector]:
    """Give the votes of each place, (n_sessions, k), and of items outside a list."""
    listed: BoolArray = keys >= 0
    if method == "rrf":
        given = np.where(listed, 1.0 / (c + np.arange(1, keys.shape[1] + 1)), 0.0)
        return given, np.zeros(keys.shape[0])
    values = np.where(listed, scores, 0.0).astype(np.float64)
    n = np.maximum(listed.sum(axis=1, keepdims=True), 1)
    centred = np.where(listed, values - values.sum(axis=1, keepdims=True) / n, 0.0)
    deviation = np.sqrt((centred**2).sum(axis=1, keepdims=True) / n)
    given = np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0)
    return given, given.min(axis=1, initial=0.0)  # a mean of 0: the lowest is never above it


def _spread(
    given: NDArray[np.float64],
    lowest: FloatVector,
    keys: NDArray[np.int64],
    entries: NDArray[np.int64],
    session: NDArray[np.int64],
) -> FloatVector:
    """Put votes where their entries are, float64 (n_entries,)."""
    votes: FloatVector = lowest[session]
    listed = keys >= 0
    votes[np.searchsorted(entries, keys[listed])] = given[listed]
    return votes
