"""Which models to fuse, and with what weights, by lists whose targets are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from llmseq.models.hybrid.ballot import Ballot
    from llmseq.types import FloatVector, OffsetArray

BEAM = 8
"""Combinations of one size that the next size is made from."""

MAX_DOUBLINGS = 3
PULL = 0.01
"""How much better, relatively, a fusion must be for doubling or halving all of its weights."""


def choose_members(ballot: Ballot, rows: OffsetArray, n_members: int) -> tuple[int, ...]:
    """Find the best combination of so many lists, all of weight 1.

    A beam search: every list alone, then, size by size, the eight best combinations with each
    further list. Adding to the best alone would miss lists that help only together.

    Parameters
    ----------
    rows : int64
        The sessions to look at.
    n_members : int
        At least 1; of fewer lists all are taken.

    Returns
    -------
    tuple of int
        Numbers of lists, rising; of equal combinations the first.
    """
    n_lists = len(ballot.names)
    found: list[tuple[int, ...]] = [(one,) for one in range(n_lists)]
    for size in range(1, min(n_members, n_lists) + 1):
        if size > 1:
            grown = {
                tuple(sorted((*members, more)))
                for members in found
                for more in range(n_lists)
                if more not in members
            }
            found = sorted(grown)
        values = [ballot.mean(equal(members, n_lists), rows) for members in found]
        order = np.argsort(-np.array(values), kind="stable")
        found = [found[at] for at in (order if size == 1 else order[:BEAM])]
    return found[0]


def fit_weights(ballot: Ballot, rows: OffsetArray, members: tuple[int, ...]) -> FloatVector:
    """Double or halve one weight at a time, as long as it pays; equal weights are the start.

    What is raised is the metric times 1 − .01 · the mean of log₂(weight)²: far from equal weights
    it takes more to go further, since a small gain on few sessions is chance more often than not.

    Returns
    -------
    float64 (n_lists,)
        Powers of 2 from 1/8 to 8; 0 for lists that are no members.
    """
    doublings = np.zeros(len(members), dtype=np.int64)

    def weights(doublings: OffsetArray) -> FloatVector:
        given = np.zeros(len(ballot.names))
        given[list(members)] = np.exp2(doublings)
        return given

    def value(doublings: OffsetArray) -> float:
        pull = PULL * float(np.mean(doublings**2))
        return ballot.mean(weights(doublings), rows) * (1.0 - pull)

    best = value(doublings)
    while True:
        steps = [doublings + step * one for one in _units(len(members)) for step in (1, -1)]
        steps = [step for step in steps if np.abs(step).max() <= MAX_DOUBLINGS]
        values = [value(step) for step in steps]
        at = int(np.argmax(values))
        if values[at] <= best:
            return weights(doublings)
        doublings, best = steps[at], values[at]


def equal(members: tuple[int, ...], n_lists: int) -> FloatVector:
    """Weight 1 for members, 0 for others."""
    given = np.zeros(n_lists)
    given[list(members)] = 1.0
    return given


def _units(n: int) -> OffsetArray:
    return np.eye(n, dtype=np.int64)
