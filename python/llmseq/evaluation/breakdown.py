"""Results by kind of session: prompt length, popularity of the target, warm and cold items."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from llmseq.errors import ConfigError, ShapeError
from llmseq.evaluation.significance import N_DRAWS, Interval, bootstrap_interval

if TYPE_CHECKING:
    from llmseq.data.sessions import HeldOut
    from llmseq.types import CountArray, FloatVector, IdArray, ItemArray, OffsetArray

LENGTHS = (1, 2, 4, 6, 11)
"""Where the classes of prompt length begin: 1, 2–3, 4–5, 6–10, 11+."""


@dataclass(frozen=True, eq=False, slots=True)
class Grouping:
    """Which class each session is in.

    Parameters
    ----------
    by : str
        What the classes are of, for example ``"prompt length"``.
    labels : tuple of str
        Names of the classes, in order.
    codes : int64 (n_sessions,)
        Index into ``labels``; −1: in none.
    """

    by: str
    labels: tuple[str, ...]
    codes: OffsetArray


@dataclass(frozen=True, slots=True)
class Slice:
    """A metric on one class of sessions; the interval is None below two sessions or people."""

    label: str
    n_sessions: int
    mean: float
    interval: Interval | None


def break_down(
    values: FloatVector,
    grouping: Grouping,
    groups: ItemArray | IdArray | None = None,
    *,
    rng: np.random.Generator,
    n_draws: int = N_DRAWS,
) -> tuple[Slice, ...]:
    """Mean and bootstrap interval of a metric in each class that has sessions.

    Parameters
    ----------
    values : float64 (n_sessions,)
        A metric of each session.
    grouping : Grouping
        Of the same sessions.
    groups : (n_sessions,), optional
        Whose session it is.

    Raises
    ------
    ShapeError
        If values and grouping are not of the same sessions.
    """
    if values.shape != grouping.codes.shape:
        raise ShapeError(f"{values.shape} values but classes of {grouping.codes.shape} sessions")
    slices = []
    for code, label in enumerate(grouping.labels):
        inside = grouping.codes == code
        n = int(inside.sum())
        if n == 0:
            continue
        people = None if groups is None else groups[inside]
        n_drawn = n if people is None else np.unique(people).size
        interval = (
            bootstrap_interval(values[inside], people, rng=rng, n_draws=n_draws)
            if n_drawn > 1
            else None
        )
        slices.append(Slice(label, n, float(values[inside].mean()), interval))
    return tuple(slices)


def by_prompt_length(held_out: HeldOut, *, n_bins: int | None = None) -> Grouping:
    """Classes of prompt length: 1, 2–3, 4–5, 6–10, 11+ items; or bins of about equal size.

    Parameters
    ----------
    n_bins : int, optional
        Cut at the quantiles of the lengths instead; equal lengths stay together, so there may be
        fewer bins.

    Raises
    ------
    ConfigError
        If ``n_bins`` is below 1.

    Notes
    -----
    Empty prompts are in no class.
    """
    lengths = held_out.prompts.lengths
    starts: tuple[int, ...] = LENGTHS
    if n_bins is not None:
        if n_bins < 1:
            raise ConfigError(f"n_bins must be at least 1, got {n_bins}")
        some = lengths[lengths > 0]
        cuts = np.quantile(some, np.arange(n_bins) / n_bins, method="higher") if some.size else [1]
        starts = tuple(sorted({int(cut) for cut in cuts}))
    labels = [str(a) if b == a + 1 else f"{a}–{b - 1}" for a, b in pairwise(starts)]
    codes = np.searchsorted(starts, lengths, side="right") - 1
    return Grouping("prompt length", (*labels, f"{starts[-1]}+"), codes.astype(np.int64))


def by_target_popularity(held_out: HeldOut, popularity: CountArray) -> Grouping:
    """Head, middle and tail: each holds about a third of the train events.

    Items are ranked by their train events, most first (ties: lower index first). An item is head if
    the items before it hold less than a third of all events, middle if less than two thirds, else
    tail. So the head is few items, the tail many, and the classes are about equally busy.

    Parameters
    ----------
    popularity : int64 (n_items,)
        Train events of each item.

    Notes
    -----
    A session with several targets is in the class of its first one; one without is in none.
    """
    order = np.argsort(-popularity, kind="stable")
    before = np.cumsum(popularity[order]) - popularity[order]
    total = max(int(popularity.sum()), 1)
    item_class = np.empty(popularity.size, dtype=np.int64)
    item_class[order] = np.minimum(3 * before // total, 2)
    item_class[popularity == 0] = 2
    return Grouping(
        "target popularity", ("head", "middle", "tail"), _of_first(held_out, item_class)
    )


def by_warmth(held_out: HeldOut, popularity: CountArray) -> Grouping:
    """Warm targets have a train event, cold ones none; of several targets the first decides."""
    codes = _of_first(held_out, (popularity == 0).astype(np.int64))
    return Grouping("target", ("warm", "cold"), codes)


def _of_first(held_out: HeldOut, item_class: OffsetArray) -> OffsetArray:
    targets = held_out.targets
    codes = np.full(len(targets), -1, dtype=np.int64)
    some = targets.lengths > 0
    codes[some] = item_class[targets.items[targets.offsets[:-1][some]]]
    return codes
