"""The report of a search for settings: what was best, the trials over time, what mattered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmseq.config import flat
from llmseq.experiment.report import numbers
from llmseq.experiment.report.plots import bars, search_history
from llmseq.storage import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from llmseq.tuning.trials import Trial

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One of the best trials."""

    number: int
    value: float
    folds: tuple[float, ...]
    settings: tuple[str, ...]


def write_tuning_report(path: Path, values: Mapping[str, Any], trials: Sequence[Trial]) -> None:
    """Write one HTML file that needs nothing beside it and no network.

    Parameters
    ----------
    values
        What tuning.json holds.
    trials
        All, one of them finished at least.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("llmseq.experiment.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(metric=numbers.metric, count=numbers.count)
    names = list(trials[0].point)
    page = templates.get_template("tuning.html").render(
        values=values,
        metric_name=numbers.metric_name(values["metric"]),
        states={
            state: sum(trial.state == state for trial in trials)
            for state in ("finished", "pruned", "failed")
        },
        first=trials[0],
        names=names,
        rows=_best(trials, names),
        history=_history(values, trials),
        importance=_importance(values["importances"]),
        config=[(key, numbers.plain(v)) for key, v in flat(values["best"]["config"]).items()],
        environment=[(key, numbers.plain(v)) for key, v in values["environment"].items()],
    )
    write_text(path, page)


def _best(trials: Sequence[Trial], names: Sequence[str]) -> list[Row]:
    finished = [trial for trial in trials if trial.state == "finished"]
    finished.sort(key=lambda trial: -(trial.value or 0.0))
    return [
        Row(
            trial.number,
            trial.value or 0.0,
            trial.folds,
            tuple(_short(trial.point[name]) for name in names),
        )
        for trial in finished[:_SHOWN]
    ]


def _short(value: object) -> str:
    if value is None:
        return "left out"
    return f"{value:.3g}" if isinstance(value, float) else numbers.plain(value)


def _history(values: Mapping[str, Any], trials: Sequence[Trial]) -> str:
    shown = [
        (trial.number, trial.value, trial.state == "finished")
        for trial in trials
        if trial.value is not None
    ]
    name = numbers.metric_name(values["metric"])
    alt = f"{name} of {len(shown)} trials and the best so far. The file trials.csv holds all."
    return search_history(shown, name, size=(500, 300), alt=alt)


def _importance(shares: Mapping[str, float]) -> str:
    if not shares:
        return ""
    listed = "; ".join(f"{name} {share:.0%}" for name, share in shares.items())
    height = 40 + 26 * len(shares)
    return bars(list(shares.items()), size=(500, height), alt=f"Importance: {listed}.")
