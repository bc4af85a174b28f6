"""What came of each trial."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

State = Literal["running", "finished", "pruned", "failed"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One point that was tried.

    Parameters
    ----------
    number
        Place in the order in which the trials began, from 0: the best-known point.
    point
        Value of each parameter; None: the setting was left out.
    folds
        The metric on each fold that was reached.
    value
        The mean over the folds reached; of a running or failed trial None.
    seconds
        Its share of the search's time: divided by the workers.
    error
        Why it failed.
    """

    number: int
    point: Mapping[str, Any]
    state: State
    folds: tuple[float, ...] = ()
    value: float | None = None
    seconds: float = 0.0
    error: str = field(default="")


def to_csv(trials: Sequence[Trial]) -> str:
    """Write a row a trial: number, state, value, folds, seconds, parameters, error."""
    n_folds = max((len(trial.folds) for trial in trials), default=0)
    names = list(dict.fromkeys(name for trial in trials for name in trial.point))
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    folds = [f"fold_{fold + 1}" for fold in range(n_folds)]
    rows.writerow(["trial", "state", "value", *folds, "seconds", *names, "error"])
    for trial in trials:
        reached = [*trial.folds, *[None] * (n_folds - len(trial.folds))]
        values = [trial.point.get(name) for name in names]
        rows.writerow(
            [
                trial.number,
                trial.state,
                trial.value,
                *reached,
                round(trial.seconds, 3),
                *values,
                trial.error,
            ]
        )
    return file.getvalue()
