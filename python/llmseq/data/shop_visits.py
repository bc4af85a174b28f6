"""Visits to the made-up shop: who comes when, and what leads from one thing to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llmseq.data.shop_items import (
    DAY,
    DEPARTMENT_OF,
    FIRST_CATEGORY,
    N_CATEGORIES,
    N_CATEGORIES_OF,
    N_CONCERNS,
    ShopItems,
)
from llmseq.data.shop_words import DEPARTMENTS

if TYPE_CHECKING:
    from llmseq.types import OffsetArray

_CHUNK = 100_000  # sessions made at a time: bounds the memory
_LONGEST = 40
_TRIES = 3
_NEW = 60 * DAY  # how long a launch is news
_MODES = np.cumsum([0.34, 0.16, 0.04, 0.26])  # routine, compare, same line, habit; else trend
_FIRST_MODES = np.cumsum([0.0, 0.0, 0.0, 0.75])


class _Shelf:
    """Items by a key, oldest launch first, to draw from those that were launched by then."""

    def __init__(self, keys: OffsetArray, items: ShopItems, span: int) -> None:
        self._width = span + 30 * DAY
        launched = np.clip(items.launched, 0, self._width - 1)
        composite = keys * self._width + launched
        self._items = np.argsort(composite, kind="stable")
        self._sorted = composite[self._items]
        self._cumulated = np.concatenate([[0.0], np.cumsum(items.weight[self._items])])

    def draw(
        self,
        keys: OffsetArray,
        now: OffsetArray,
        rng: np.random.Generator,
        since: OffsetArray | None = None,
    ) -> OffsetArray:
        """Draw one item for each key by weight; −1 where there is none yet."""
        floor = keys * self._width
        low = np.searchsorted(self._sorted, floor if since is None else floor + since)
        high = np.searchsorted(self._sorted, floor + now, side="right")
        bottom, top = self._cumulated[low], self._cumulated[high]
        mark = bottom + rng.random(keys.size) * (top - bottom)
        place = np.searchsorted(self._cumulated, mark, side="right") - 1
        drawn = self._items[
            np.clip(place, low, np.maximum(high - 1, low)).clip(max=self._items.size - 1)
        ]
        return np.where(high > low, drawn, -1)


@dataclass(frozen=True, eq=False, slots=True)
class _People:
    """Habits, one row a person."""

    departments: OffsetArray  # (n_people, 3), the favourite first
    brands: OffsetArray  # (n_people, 3)
    concerns: OffsetArray  # (n_people, n_departments)


@dataclass(frozen=True, eq=False, slots=True)
class Visits:
    """Sessions in order of their start.

    Parameters
    ----------
    items : int64 (n_events,)
        Session after session.
    lengths : int64 (n_sessions,)
    times : int64 (n_events,)
        Seconds after the start of the log, rising within a session.
    people : int64 (n_sessions,)
    """

    items: OffsetArray
    lengths: OffsetArray
    times: OffsetArray
    people: OffsetArray


def make_visits(
    items: ShopItems,
    n_sessions: int,
    mean_length: float,
    visits_per_person: float,
    start: int,
    span: int,
    rng: np.random.Generator,
) -> Visits:
    """Let people visit the shop.

    Within a visit, the next thing follows from the one before (the next step of a routine, mostly
    of the same line or brand; the same kind for the same need; another of its line), from the
    person's habits, or from what is new and in season. Things are seldom seen twice in a visit.
    """
    n_people = max(1, round(n_sessions / visits_per_person))
    people = _make_people(items, n_people, rng)
    person = rng.integers(n_people, size=n_sessions)
    began = np.sort(_start_times(n_sessions, start, span, rng))
    lengths = 2 + rng.negative_binomial(2, 2 / (2 + max(mean_length - 2, 0.1)), n_sessions)
    lengths = np.minimum(lengths, _LONGEST)
    walk = _Walk(items, people, start, span)
    parts = [
        walk.take(person[i : i + _CHUNK], began[i : i + _CHUNK], lengths[i : i + _CHUNK], rng)
        for i in range(0, n_sessions, _CHUNK)
    ]
    drawn = np.concatenate([part[part >= 0] for part in parts])
    lengths = np.concatenate([(part >= 0).sum(axis=1) for part in parts])
    rows = np.repeat(np.arange(n_sessions), lengths)
    pauses = np.maximum(1, rng.lognormal(4.0, 1.0, drawn.size)).astype(np.int64)
    passed = np.cumsum(pauses)
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    times = began[rows] + passed - passed[first][rows]
    return Visits(drawn, lengths, times, person)


def _make_people(items: ShopItems, n_people: int, rng: np.random.Generator) -> _People:
    stocked = np.bincount(DEPARTMENT_OF[items.category], minlength=len(DEPARTMENTS)) > 0
    demand = np.log(np.where(stocked, rng.lognormal(0.0, 0.5, stocked.size), 1e-300))
    taste = demand + rng.gumbel(size=(n_people, stocked.size))
    strength = items.brand_weight / items.brand_weight.sum()
    return _People(
        departments=np.argsort(-taste, axis=1)[:, :3],
        brands=rng.choice(items.n_brands, (n_people, 3), p=strength),
        concerns=rng.integers(N_CONCERNS, size=(n_people, stocked.size)),
    )


def _start_times(n: int, start: int, span: int, rng: np.random.Generator) -> OffsetArray:
    """Seconds after the start: the shop grows, is busier at weekends and in the evening."""
    days = np.arange(span // DAY)
    weekday = (start // DAY + days + 3) % 7
    busy = (1.0 + days / max(days.size, 1)) * np.where(weekday >= 5, 1.4, 1.0)
    day = rng.choice(days, n, p=busy / busy.sum())
    hour = np.clip(rng.normal(16.5, 4.0, n), 0.0, 23.99)
    return (day * DAY + hour * 3600).astype(np.int64)


class _Walk:
    """Draws the items of many visits at once, step by step."""

    def __init__(self, items: ShopItems, people: _People, start: int, span: int) -> None:
        self._items, self._people, self._start = items, people, start
        n_lines = int(items.line.max()) + 1
        self._n_lines = n_lines
        category = items.category
        self._by_category = _Shelf(category, items, span)
        self._by_concern = _Shelf(category * N_CONCERNS + items.concern, items, span)
        self._by_brand = _Shelf(category * items.n_brands + items.brand, items, span)
        self._by_line_category = _Shelf(category * n_lines + items.line, items, span)
        self._by_line = _Shelf(items.line, items, span)
        stocked = np.bincount(category, minlength=N_CATEGORIES) > 0
        seasons = np.array([DEPARTMENTS[d].seasons for d in DEPARTMENT_OF]).T * stocked
        self._season = np.cumsum(seasons / seasons.sum(axis=1, keepdims=True), axis=1)

    def take(
        self, person: OffsetArray, now: OffsetArray, lengths: OffsetArray, rng: np.random.Generator
    ) -> OffsetArray:
        """Items (n_sessions, longest); −1 after the end and where nothing fitted."""
        drawn = np.full((person.size, int(lengths.max())), -1, dtype=np.int64)
        previous = np.full(person.size, -1, dtype=np.int64)
        for step in range(drawn.shape[1]):
            rows = np.flatnonzero(lengths > step)
            for _ in range(_TRIES):
                chosen = self._next(previous[rows], person[rows], now[rows], rng)
                seen = (drawn[rows, :step] == chosen[:, None]).any(axis=1) & (
                    rng.random(rows.size) > 0.02  # now and then a second look
                )
                good = (chosen >= 0) & ~seen
                drawn[rows[good], step] = previous[rows[good]] = chosen[good]
                rows = rows[~good]
        return drawn

    def _next(
        self, previous: OffsetArray, person: OffsetArray, now: OffsetArray, rng: np.random.Generator
    ) -> OffsetArray:
        dice = rng.random(previous.size)
        mode = np.where(
            previous < 0,
            np.searchsorted(_FIRST_MODES, dice, side="right"),
            np.searchsorted(_MODES, dice, side="right"),
        )
        chosen = np.full(previous.size, -1, dtype=np.int64)
        for which, draw in enumerate((self._routine, self._compare, self._same_line)):
            rows = np.flatnonzero(mode == which)
            chosen[rows] = draw(previous[rows], now[rows], rng)
        rows = np.flatnonzero(mode == 3)
        chosen[rows] = self._habit(person[rows], now[rows], rng)
        rows = np.flatnonzero(mode == 4)
        chosen[rows] = self._trend(now[rows], rng)
        return chosen

    def _routine(
        self, previous: OffsetArray, now: OffsetArray, rng: np.random.Generator
    ) -> OffsetArray:
        """Take the next step of the department, seldom the one after: shampoo, then conditioner."""
        items = self._items
        department = DEPARTMENT_OF[items.category[previous]]
        first = FIRST_CATEGORY[department]
        step = np.where(rng.random(previous.size) < 0.15, 2, 1)
        category = first + (items.category[previous] - first + step) % N_CATEGORIES_OF[department]
        dice = rng.random(previous.size)
        chosen = self._by_line_category.draw(
            category * self._n_lines + items.line[previous], now, rng
        )
        other = (dice > 0.4) | (chosen < 0)
        brand = self._by_brand.draw(category * items.n_brands + items.brand[previous], now, rng)
        chosen = np.where(other & (dice < 0.65) & (brand >= 0), brand, np.where(other, -1, chosen))
        return self._or_for_need(chosen, category, items.concern[previous], now, rng)

    def _compare(
        self, previous: OffsetArray, now: OffsetArray, rng: np.random.Generator
    ) -> OffsetArray:
        category, concern = self._items.category[previous], self._items.concern[previous]
        return self._by_concern.draw(category * N_CONCERNS + concern, now, rng)

    def _same_line(
        self, previous: OffsetArray, now: OffsetArray, rng: np.random.Generator
    ) -> OffsetArray:
        return self._by_line.draw(self._items.line[previous], now, rng)

    def _habit(
        self, person: OffsetArray, now: OffsetArray, rng: np.random.Generator
    ) -> OffsetArray:
        people = self._people
        rank = np.searchsorted([0.65, 0.9], rng.random(person.size))
        department = people.departments[person, rank]
        within = (rng.random(person.size) * N_CATEGORIES_OF[department]).astype(np.int64)
        category = FIRST_CATEGORY[department] + within
        brand = people.brands[person, rng.integers(3, size=person.size)]
        chosen = self._by_brand.draw(category * self._items.n_brands + brand, now, rng)
        chosen[rng.random(person.size) < 0.5] = -1
        return self._or_for_need(chosen, category, people.concerns[person, department], now, rng)

    def _trend(self, now: OffsetArray, rng: np.random.Generator) -> OffsetArray:
        """Take what is in season, half of the time something new."""
        month = ((self._start + now) // DAY % 365) // 31  # near enough to the month
        dice = rng.random(now.size)
        category = (self._season[month] < dice[:, None]).sum(axis=1).clip(max=N_CATEGORIES - 1)
        news = self._by_category.draw(category, now, rng, since=np.maximum(now - _NEW, 1))
        chosen = np.where(rng.random(now.size) < 0.5, news, -1)
        return np.where(chosen < 0, self._by_category.draw(category, now, rng), chosen)

    def _or_for_need(
        self,
        chosen: OffsetArray,
        category: OffsetArray,
        concern: OffsetArray,
        now: OffsetArray,
        rng: np.random.Generator,
    ) -> OffsetArray:
        """Where nothing is chosen yet, take one of the kind for the need, else any of the kind."""
        for_need = self._by_concern.draw(category * N_CONCERNS + concern, now, rng)
        chosen = np.where(chosen < 0, for_need, chosen)
        return np.where(chosen < 0, self._by_category.draw(category, now, rng), chosen)
