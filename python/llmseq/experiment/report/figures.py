"""Which charts a report has, and what to look at in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmseq.experiment.report.numbers import count, metric, metric_name, words
from llmseq.experiment.report.plots import (
    Axis,
    Line,
    Point,
    group_lines,
    scatter,
    training_curve,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmseq.evaluation.leaderboard import Leaderboard, ModelResult
    from llmseq.experiment.report.details import Details, GroupRow

_MANY = 9  # models from which on a chart needs more room for their names
_SHORTEST = 0.1  # seconds; less is drawn as this
_TIMES = (
    (0.1, "≤ .1 s"),
    (1, "1 s"),
    (10, "10 s"),
    (60, "1 min"),
    (600, "10 min"),
    (3600, "1 h"),
    (36_000, "10 h"),
    (360_000, "100 h"),
)
_TIMES_BETWEEN = (
    (0.3, ".3 s"),
    (3, "3 s"),
    (30, "30 s"),
    (180, "3 min"),
    (1800, "30 min"),
    (10_800, "3 h"),
    (108_000, "30 h"),
)
_GROUPINGS = {
    "prompt_length": (
        "By prompt length",
        "items in the prompt",
        "How many items a visitor has seen before the recommendation. "
        "A model that is weak on the left serves newcomers badly.",
    ),
    "target_popularity": (
        "By popularity of the next item",
        "popularity of the next item",
        "Head: the few most popular items, together a third of all events; tail: the many least "
        "popular, again a third. Popular items are easy to guess, the tail is not.",
    ),
}


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart in the two sizes that the page chooses from."""

    title: str
    caption: str
    wide: str
    narrow: str


@dataclass(frozen=True, slots=True)
class Breakdown:
    """One way of grouping sessions: a table, and a chart where there are groups to join.

    Parameters
    ----------
    best
        The largest value in each group.
    strong
        The models that the chart sets apart.
    """

    title: str
    caption: str
    groups: Sequence[GroupRow]
    models: tuple[ModelResult, ...]
    best: tuple[float, ...]
    strong: tuple[ModelResult, ...]
    svg: str


@dataclass(frozen=True, slots=True)
class Curve:
    """One model's training."""

    title: str
    caption: str
    svg: str


def charts(board: Leaderboard) -> tuple[Chart, ...]:
    """Draw accuracy against coverage, and against cost, where two models or more have both."""
    primary = board.protocol.primary
    coverage = f"coverage@{primary.partition('@')[2]}"
    shown = [_point(m, m.metrics.get(coverage), primary) for m in board.models]
    timed = [
        _point(m, None if m.cost.fit_s is None else max(m.cost.fit_s, _SHORTEST), primary)
        for m in board.models
    ]
    found = []
    for title, points, axis, caption in (
        (
            "Accuracy against coverage",
            [point for point in shown if point],
            _share_axis,
            "Further up: more accurate. Further right: more of the catalogue is shown to somebody. "
            "Best is the top right corner.",
        ),
        (
            "Accuracy against cost",
            [point for point in timed if point],
            _time_axis,
            "Further right: longer to train; each mark is several times the one before. "
            "A model below another to its left costs more and gives less.",
        ),
    ):
        if len(points) > 1:
            found.append(
                _chart(title, caption, points, axis([p.x for p in points]), metric_name(primary))
            )
    return tuple(found)


def _point(model: ModelResult, x: float | None, primary: str) -> Point | None:
    if x is None:
        return None
    low, high = model.interval.get(primary, (None, None))
    return Point(model.label, x, model.metrics[primary], low, high, model.uses_text)


def _chart(title: str, caption: str, points: list[Point], axis: Axis, name: str) -> Chart:
    listed = "; ".join(f"{point.label} {metric(point.y)}" for point in points)
    alt = f"{title}. {name}: {listed}. The tables hold all numbers."
    height = 360 if len(points) < _MANY else 460
    wide = scatter(points, axis, name, size=(500, height), alt=alt)
    narrow = scatter(
        points, axis, name, size=(350, height + 20 * max(len(points) - _MANY, 0)), alt=alt
    )
    return Chart(title, caption, wide, narrow)


def _share_axis(values: Sequence[float]) -> Axis:
    top = min(1.0, max([*values, 0.05]) * 1.15)
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2) if top / step <= 6)
    ticks = [(step * at, f"{step * at * 100:.0f} %") for at in range(int(top / step + 1e-9) + 1)]
    return Axis("share of the catalogue in any list", -top * 0.02, top, ticks)


def _time_axis(values: Sequence[float]) -> Axis:
    low, high = min(values) / 1.6, max(values) * 1.6
    if high / low < 30:
        low, high = low / 2, high * 2
    ticks = [tick for tick in _TIMES if low <= tick[0] <= high]
    if len(ticks) < 3:
        ticks = sorted(t for t in (*_TIMES, *_TIMES_BETWEEN) if low <= t[0] <= high)
    return Axis("time to train", low, high, ticks, log=True)


def breakdowns(board: Leaderboard, details: Details) -> tuple[Breakdown, ...]:
    """Show the primary metric on groups of sessions, the verdict's two models set apart."""
    found = board.verdict
    pair = {found.with_text, found.without_text} if found else set()
    views = []
    for key, groups in details.breakdown.items():
        models = tuple(m for m in board.models if any(m.name in g.models for g in groups))
        if not models:
            continue
        title, axis, caption = _GROUPINGS.get(key, (f"By {words(key)}", words(key), ""))
        strong = tuple(m for m in models if m.name in pair) or models[:1]
        lines = [
            Line(m.label, [g.models.get(m.name) for g in groups], m.uses_text, m in strong)
            for m in models
        ]
        alt = f"{title}: {metric_name(board.protocol.primary)}. The table holds the numbers."
        names = [group.group for group in groups]
        views.append(
            Breakdown(
                title,
                caption,
                groups,
                models,
                tuple(max((v for v in g.models.values() if v), default=-1.0) for g in groups),
                strong,
                group_lines(names, lines, axis, size=(350, 230), alt=alt) if names[1:] else "",
            )
        )
    return tuple(views)


def curves(board: Leaderboard, details: Details) -> tuple[Curve, ...]:
    """Draw the training of the models that were trained in epochs."""
    views = []
    for model in board.models:
        scores = []
        for at, row in enumerate(details.history.get(model.name, []), start=1):
            score = row.get(board.protocol.primary)
            if score is not None:
                scores.append((row.get("epoch") or float(at), score))
        if len(scores) < 2:
            continue
        epoch, best = max(scores, key=lambda each: each[1])
        caption = f"best {metric(best)} after {count(epoch)} epochs"
        alt = f"Training of {model.label}: {caption}."
        views.append(Curve(model.label, caption, training_curve(scores, size=(300, 170), alt=alt)))
    return tuple(views)
