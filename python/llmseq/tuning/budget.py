"""How long a search goes on, and how it draws, prunes and stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from llmseq.config import Config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmseq.tuning.trials import Trial

_RANDOM_TRIALS = 40
_FEWEST_THERE = 6  # trials that must have reached a fold before one is pruned there


class TuningConfig(Config):
    """Settings of a search; the defaults are the study's.

    Parameters
    ----------
    trials
        Most points tried; None: no limit.
    minutes
        Most time spent on trials, over all starts of the search; None: no limit. A trial under way
        is brought to its end.
    random_trials
        Points drawn at random, the best-known one included, before TPE draws; None: 40, but at most
        half of ``trials``.
    patience
        Stop after so many trials without gain.
    prune_share
        After each fold but the last, give up a trial whose mean so far is among so large a share of
        the worst; 0: never.
    n_folds
        Forward-chaining folds, which need session times; 1: the select part alone.
    """

    trials: int | None = Field(default=None, ge=1)
    minutes: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    random_trials: int | None = Field(default=None, ge=1)
    patience: int = Field(default=100, ge=1)
    prune_share: float = Field(default=0.2, ge=0, lt=1)
    n_folds: int = Field(default=3, ge=1)

    @property
    def n_random(self) -> int:
        """Trials before TPE draws."""
        if self.random_trials is not None or self.trials is None:
            return self.random_trials or _RANDOM_TRIALS
        return min(_RANDOM_TRIALS, max(self.trials // 2, 1))

    @property
    def foreseen(self) -> int:
        """Trials to expect: the most, or the fewest where there is no limit."""
        return self.trials or self.patience + 1

    def reason_to_stop(self, trials: Sequence[Trial]) -> str | None:
        """Say why no further trial is begun; None: one is.

        Parameters
        ----------
        trials
            In the order in which they began; those under way count as begun.
        """
        if self.trials is not None and len(trials) >= self.trials:
            return f"{len(trials)} trials were asked for"
        minutes = sum(trial.seconds for trial in trials) / 60
        if self.minutes is not None and minutes >= self.minutes:
            return f"{self.minutes:g} minutes are used up"
        best = best_trial(trials)
        if best is not None and len(trials) - 1 - best.number >= self.patience:
            return f"{self.patience} trials brought no gain"
        return None

    def is_hopeless(self, value: float, there: Sequence[float]) -> bool:
        """Whether a trial's mean up to a fold is among the worst of all that came so far.

        Parameters
        ----------
        there
            The means of all trials that came so far, its own and those given up there included.
        """
        if self.prune_share == 0 or len(there) < _FEWEST_THERE:
            return False
        return bool(value < np.quantile(there, self.prune_share))


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """Give the finished trial with the highest value, of equal ones the first."""
    finished = [trial for trial in trials if trial.state == "finished"]
    return max(finished, key=lambda trial: trial.value or 0.0, default=None)
