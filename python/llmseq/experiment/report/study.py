"""What a spec asks for besides the ranking: published figures, pairs of models, an ablation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmseq.evaluation.leaderboard import SIGNIFICANT
from llmseq.experiment.report.numbers import metric, metric_name, percent, signed
from llmseq.experiment.report.plots import Axis, Point, differences, scaling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmseq.evaluation.leaderboard import Leaderboard, ModelResult, Versus

_LOG_FROM = 20  # largest place divided by the smallest
_ROOM_LEFT, _ROOM_RIGHT = 0.05, 0.35  # of the width between the places; names stand at the right
_ROW_HEIGHT, _FRAME_HEIGHT = 26, 56


@dataclass(frozen=True, slots=True)
class Pair:
    """One model against the one that the spec names for it; ``coverage`` is a ratio."""

    model: ModelResult
    other: ModelResult
    test: Versus
    coverage: str

    @property
    def mark(self) -> str:
        """Which way a clear difference goes."""
        if self.test.p_holm >= SIGNIFICANT:
            return "same"
        return "better" if self.test.absolute > 0 else "worse"


@dataclass(frozen=True, slots=True)
class Study:
    """Everything that this part of the page shows; empty parts are left out.

    Parameters
    ----------
    published
        Models of which figures were published, best first, and the metrics of those figures.
    otherwise
        What differs from how they were made.
    pairs, pairs_svg
        A table and a chart of differences.
    axis, scaling_svg
        What the models differ in, and the chart over it.
    """

    published: tuple[ModelResult, ...]
    metrics: tuple[str, ...]
    otherwise: tuple[str, ...]
    pairs: tuple[Pair, ...]
    pairs_svg: str
    axis: str
    scaling_svg: str


def study(board: Leaderboard) -> Study:
    """Gather what the spec asks for."""
    published = tuple(model for model in board.models if model.published)
    named = {name for model in published for name in model.published}
    every = dict.fromkeys(name for model in board.models for name in model.metrics)
    pairs = _pairs(board)
    return Study(
        published,
        tuple(name for name in every if name in named),
        board.otherwise(),
        pairs,
        _draw_pairs(pairs, board.protocol.primary) if pairs else "",
        board.protocol.axis,
        _draw_scaling(board),
    )


def _pairs(board: Leaderboard) -> tuple[Pair, ...]:
    models = {model.name: model for model in board.models}
    coverage = f"coverage@{board.protocol.primary.partition('@')[2]}"
    return tuple(
        Pair(model, models[test.baseline], test, _ratio(model, models[test.baseline], coverage))
        for model in board.models
        if (test := model.against) is not None
    )


def _ratio(model: ModelResult, other: ModelResult, name: str) -> str:
    own, beside = model.metrics.get(name), other.metrics.get(name)
    if own is None or beside is None:
        return ""
    ratio = f", {own / beside:.2f} ×" if beside else ""
    return f"{percent(own)} against {percent(beside)}{ratio}"


def _draw_pairs(pairs: Sequence[Pair], primary: str) -> str:
    points = [
        Point(pair.model.label, 0.0, pair.test.absolute, *pair.test.interval, pair.model.uses_text)
        for pair in pairs
    ]
    listed = "; ".join(
        f"{pair.model.label} against {pair.other.label} {signed(pair.test.absolute)}"
        for pair in pairs
    )
    return differences(
        points,
        f"difference in {metric_name(primary)}",
        size=(500, _FRAME_HEIGHT + _ROW_HEIGHT * len(points)),
        alt=f"Differences with their 95 % intervals: {listed}.",
    )


def _draw_scaling(board: Leaderboard) -> str:
    """Draw the models that have a place on the axis, one line for all variants of a model."""
    primary = board.protocol.primary
    lines: dict[str, list[Point]] = {}
    for model in board.models:
        if model.at is not None:
            low, high = model.interval.get(primary, (None, None))
            label = model.label.partition(" (")[0]
            point = Point(label, model.at, model.metrics[primary], low, high, model.uses_text)
            lines.setdefault(label, []).append(point)
    places = sorted({point.x for points in lines.values() for point in points})
    if len(places) < 2:
        return ""
    listed = "; ".join(
        f"{label} " + ", ".join(f"{metric(p.y)} at {p.x:g}" for p in sorted(points, key=_place))
        for label, points in lines.items()
    )
    return scaling(
        [sorted(points, key=_place) for points in lines.values()],
        _axis(board.protocol.axis, places),
        metric_name(primary),
        size=(500, 320),
        alt=f"{metric_name(primary)} over {board.protocol.axis}: {listed}.",
    )


def _place(point: Point) -> float:
    return point.x


def _axis(label: str, places: Sequence[float]) -> Axis:
    log = places[0] > 0 and places[-1] / places[0] >= _LOG_FROM
    if log:
        span = places[-1] / places[0]
        low, high = places[0] / span**_ROOM_LEFT, places[-1] * span**_ROOM_RIGHT
    else:
        span = places[-1] - places[0]
        low, high = places[0] - span * _ROOM_LEFT, places[-1] + span * _ROOM_RIGHT
    ticks = [(place, f"{place:g}".removeprefix("0") or "0") for place in places]
    return Axis(label, low, high, _apart(ticks, low, high, log=log), log=log)


def _apart(
    ticks: list[tuple[float, str]], low: float, high: float, *, log: bool
) -> list[tuple[float, str]]:
    """Leave out ticks whose texts would touch the one before."""

    def across(value: float) -> float:
        if log:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)

    kept = ticks[:1]
    for tick in ticks[1:]:
        if across(tick[0]) - across(kept[-1][0]) >= 0.07:
            kept.append(tick)
    return kept
