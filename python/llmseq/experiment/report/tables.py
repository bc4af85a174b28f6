"""The tables of a report, as plain values for the template: ranking, costs, sample sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from llmseq.evaluation.leaderboard import SIGNIFICANT
from llmseq.experiment.report.numbers import Interval, metric
from llmseq.experiment.report.verdict import Strip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmseq.evaluation.leaderboard import Leaderboard, ModelResult
    from llmseq.experiment.report.details import Details, Listed, Sample

Mark = Literal["", "better", "worse", "same"]
_BESIDE = ("ndcg", "hr", "mrr", "coverage")
_SHOWN_PROMPT = 8
_SHOWN_PLACES = 10
_SHOWN_LISTS = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the ranking; ``spread`` is over seeds."""

    rank: int
    model: ModelResult
    value: float
    interval: Interval | None
    strip: Strip | None
    mark: Mark
    is_winner: bool
    is_baseline: bool
    spread: str


@dataclass(frozen=True, slots=True)
class Ranking:
    """The ranked table.

    Parameters
    ----------
    columns
        Metrics beside the primary one.
    every_metric
        All metrics of the run.
    refitted
        Whether figures of models fitted again on all of train stand beside.
    """

    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    every_metric: tuple[str, ...]
    baseline: str
    compared: bool
    refitted: bool


@dataclass(frozen=True, slots=True)
class SampleList:
    """One model's list for a sample session; ``found`` is the place of the true next item."""

    model: str
    items: Sequence[Listed]
    found: int | None


@dataclass(frozen=True, slots=True)
class SampleView:
    """A test session and what models made of it; ``cut``: its prompt began before ``prompt``."""

    number: int
    cut: bool
    prompt: Sequence[str]
    target: str
    shown: tuple[SampleList, ...]
    folded: tuple[SampleList, ...]


def ranking(board: Leaderboard) -> Ranking:
    """Rank the models by the primary metric."""
    primary, baseline = board.protocol.primary, board.protocol.baseline
    every_metric = tuple(dict.fromkeys(key for model in board.models for key in model.metrics))
    k = primary.partition("@")[2]
    beside = (f"{name}@{k}" for name in _BESIDE)
    ends = [model.interval[primary][1] for model in board.models if primary in model.interval]
    scale = (0.0, max(ends, default=1.0))
    winner = board.verdict.winner if board.verdict else None
    rows = []
    for rank, model in enumerate(board.models, start=1):
        value, interval = model.metrics[primary], model.interval.get(primary)
        rows.append(
            Row(
                rank,
                model,
                value,
                interval,
                Strip.make(value, interval, scale) if interval else None,
                _mark(model),
                model.name == winner,
                model.name == baseline,
                _spread(model),
            )
        )
    return Ranking(
        tuple(rows),
        tuple(key for key in beside if key != primary and key in every_metric),
        every_metric,
        next((model.label for model in board.models if model.name == baseline), "the baseline"),
        any(model.versus is not None for model in board.models),
        any(primary in model.refit for model in board.models),
    )


def _mark(model: ModelResult) -> Mark:
    if model.versus is None:
        return ""
    if model.versus.p_holm >= SIGNIFICANT:
        return "same"
    return "better" if model.versus.absolute > 0 else "worse"


def _spread(model: ModelResult) -> str:
    seeds = model.seeds
    return f"± {metric(seeds.sd)}, {seeds.n} seeds" if seeds.n > 1 and seeds.sd else ""


def costs(board: Leaderboard) -> tuple[ModelResult, ...]:
    """List the models with a measured cost, best first."""
    return tuple(
        model
        for model in board.models
        if any(
            value is not None
            for value in (model.cost.fit_s, model.cost.recommend_s, model.cost.peak_memory_mib)
        )
    )


def samples(board: Leaderboard, details: Details) -> tuple[SampleView, ...]:
    """Show test sessions with the lists side by side, the verdict's two models first."""
    labels = {model.name: model.label for model in board.models}
    found = board.verdict
    first = [found.with_text, found.without_text] if found else []
    order = [name for name in (*first, *labels) if name]
    views = []
    for number, sample in enumerate(details.samples, start=1):
        names = [name for name in dict.fromkeys((*order, *sample.lists)) if name in sample.lists]
        lists = tuple(_sample_list(labels.get(name, name), sample, name) for name in names)
        views.append(
            SampleView(
                number,
                len(sample.prompt) > _SHOWN_PROMPT,
                sample.prompt[-_SHOWN_PROMPT:],
                sample.target,
                lists[:_SHOWN_LISTS],
                lists[_SHOWN_LISTS:],
            )
        )
    return tuple(views)


def _sample_list(label: str, sample: Sample, name: str) -> SampleList:
    items = sample.lists[name]
    found = next((place for place, item in enumerate(items, start=1) if item.hit), None)
    return SampleList(label, items[:_SHOWN_PLACES], found)
