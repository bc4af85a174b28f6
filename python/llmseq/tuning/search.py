"""The search itself: one Optuna study in one file, which several workers may share.

A trial is asked for under a lock, so that each worker sees the points of all others. A point's draw
follows from the seed, its number and the trials before it, never from the process that draws: a
search that was killed and gone on with tries the same points as one that was not.
"""

from __future__ import annotations

import fcntl
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from llmseq.errors import ConfigError, MissingExtraError
from llmseq.storage import fingerprint
from llmseq.tuning.trials import State, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import optuna
    from optuna.trial import FrozenTrial

    from llmseq.config import Config
    from llmseq.tuning.budget import TuningConfig
    from llmseq.tuning.points import Searched

    Score = Callable[[Config, int], float]

_DRAWS = 50  # points drawn in a row that were all tried before: hardly any is left
_DRAWS_BY_TPE = 10
_FEWEST_TO_EXPLAIN = 10
# What is kept with an Optuna trial.
_KEY, _FOLDS, _SECONDS, _ERROR, _TWIN = "key", "folds", "seconds", "error", "same_as"


class Search:
    """A search for the settings of one model.

    Parameters
    ----------
    path
        The store: a journal of JSON lines, only ever added to.
    searched
        The model, its space and its fixed settings.
    config
        Budget, random start, folds.
    key
        Names everything else that values follow from; another key, another study in the store.
    seed
        Of the draws.
    n_workers
        How many processes work on the store; a trial's time counts for so many at once.

    Raises
    ------
    MissingExtraError
        If Optuna is not installed.
    """

    def __init__(
        self,
        path: Path,
        searched: Searched,
        config: TuningConfig,
        *,
        key: str,
        seed: int,
        n_workers: int = 1,
    ) -> None:
        self._path = path.resolve()
        self._searched = searched
        self._config = config
        self._seed = seed
        self._n_workers = n_workers
        self._study = _open_study(self._path, key)

    def prepare(self) -> None:
        """Set a store right that was left in the middle; nobody else may work on it.

        The best-known point comes first. Points under way when their worker died come next.
        """
        from optuna.trial import TrialState

        for frozen in self._frozen((TrialState.RUNNING,)):
            self._study.tell(frozen.number, state=TrialState.FAIL)
            if _KEY in frozen.user_attrs:
                self._study.enqueue_trial(frozen.params)
        if not self._frozen(None):
            self._study.enqueue_trial(self._searched.space.params(self._searched.first()))

    def trials(self) -> tuple[Trial, ...]:
        """Every point tried, in order; those of dead workers and repeats are left out."""
        return tuple(
            self._read(number, frozen) for number, frozen in enumerate(self._own().values())
        )

    def stopped(self) -> str | None:
        """Say why the search has ended; None while it may go on."""
        return self._config.reason_to_stop(self.trials())

    def work(self, score: Score, *, after_each: Callable[[], None] | None = None) -> str:
        """Try points until the budget is used up; returns why the search has ended.

        Parameters
        ----------
        score
            Called with the settings and the number of a fold, from 0: fits a model there and gives
            its metric, of which more is better.
        after_each
            Called after each trial.

        Raises
        ------
        ConfigError
            If the best-known point cannot be fitted. Of other points this is a failed trial.
        """
        while not isinstance(asked := self._ask(), str):
            self._try(*asked, score)
            if after_each is not None:
                after_each()
        return asked

    def importances(self) -> dict[str, float]:
        """Share of the variance of the values that each parameter explains (fANOVA), largest first.

        Empty with fewer than ten finished trials or equal values.
        """
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances
        from optuna.trial import TrialState

        values = [frozen.value for frozen in self._frozen((TrialState.COMPLETE,))]
        if len(values) < _FEWEST_TO_EXPLAIN or len(set(values)) < 2:
            return {}
        found = get_param_importances(self._study, evaluator=FanovaImportanceEvaluator(seed=0))
        return {name: float(value) for name, value in found.items()}

    def _ask(self) -> tuple[optuna.Trial, dict[str, Any], int] | str:
        """Draw a point that was not tried yet, or say why there is no further trial."""
        from optuna.trial import TrialState

        with self._alone():
            own = self._own()
            reason = self._config.reason_to_stop(self.trials())
            if reason is not None:
                return reason
            for draw in range(_DRAWS):
                trial = self._draw(own, draw)
                if trial is None:
                    return "every point of the space was tried"
                point = self._searched.space.suggest(trial)
                key = self._name(point)
                twin = own.get(key)
                if twin is None:
                    trial.set_user_attr(_KEY, key)
                    return trial, point, len(own)
                trial.set_user_attr(_TWIN, twin.number)
                if twin.state == TrialState.COMPLETE:
                    self._study.tell(trial, twin.value)
                else:
                    self._study.tell(trial, state=TrialState.FAIL)
        return f"{_DRAWS} points drawn in a row had been tried before"

    def _draw(self, own: Mapping[str, FrozenTrial], draw: int) -> optuna.Trial | None:
        """Begin the trial of a queued point, else of one that TPE draws, else of a random one.

        After some draws of points that were tried before, a small space gives one that was not;
        None if there is none.
        """
        from optuna.samplers import TPESampler
        from optuna.trial import TrialState

        space, number = self._searched.space, len(own)
        seed = np.random.SeedSequence([self._seed, number, draw])
        if number >= self._config.n_random and draw < _DRAWS_BY_TPE:
            sampler = TPESampler(n_startup_trials=1, seed=int(seed.generate_state(1)[0]))
            self._study.sampler = sampler
        elif not self._frozen((TrialState.WAITING,)):
            rng = np.random.default_rng(seed)
            point = space.draw(rng)
            every = space.points() if draw >= _DRAWS_BY_TPE else None
            if every is not None:
                untried = [one for one in every if self._name(one) not in own]
                if not untried:
                    return None
                point = untried[int(rng.integers(len(untried)))]
            self._study.enqueue_trial(space.params(point))
        return self._study.ask()

    def _name(self, point: Mapping[str, Any]) -> str:
        """Name the settings of a point, so that equal ones are known again."""
        return fingerprint(self._searched.config(point).to_dict())

    def _try(self, trial: optuna.Trial, point: dict[str, Any], number: int, score: Score) -> None:
        from optuna.trial import TrialState

        config = self._searched.config(point)
        started = time.perf_counter()
        folds: list[float] = []
        pruned, failure = False, ""
        try:
            while len(folds) < self._config.n_folds and not pruned:
                folds.append(score(config, len(folds)))
                pruned = self._report(trial, folds)
        except ConfigError as error:
            if number == 0:
                raise
            failure = str(error)
            trial.set_user_attr(_ERROR, failure)
        seconds = (time.perf_counter() - started) / self._n_workers
        trial.set_user_attr(_SECONDS, seconds)
        if failure:
            self._study.tell(trial, state=TrialState.FAIL)
        elif pruned:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, float(np.mean(folds)))

    def _report(self, trial: optuna.Trial, folds: list[float]) -> bool:
        """Keep what the last fold gave; returns whether the trial is given up."""
        step, mean = len(folds) - 1, float(np.mean(folds))
        trial.set_user_attr(_FOLDS, folds)
        trial.report(mean, step)
        if len(folds) == self._config.n_folds:
            return False
        there = [
            frozen.intermediate_values[step]
            for frozen in self._own().values()
            if step in frozen.intermediate_values
        ]
        return self._config.is_hopeless(mean, there)

    def _own(self) -> dict[str, FrozenTrial]:
        """Optuna's trials of new points by the key of their settings, in order."""
        from optuna.trial import TrialState

        return {
            frozen.user_attrs[_KEY]: frozen
            for frozen in self._frozen(None)
            if _KEY in frozen.user_attrs
            and (frozen.state != TrialState.FAIL or _ERROR in frozen.user_attrs)
        }

    def _frozen(self, states: tuple[optuna.trial.TrialState, ...] | None) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states)

    def _read(self, number: int, frozen: FrozenTrial) -> Trial:
        known = frozen.user_attrs
        folds = tuple(known.get(_FOLDS, ()))
        state = _STATES[frozen.state.name]
        return Trial(
            number=number,
            point=self._searched.space.point(frozen.params),
            state=state,
            folds=folds,
            value=float(np.mean(folds)) if state in {"finished", "pruned"} else None,
            seconds=known.get(_SECONDS, 0.0),
            error=known.get(_ERROR, ""),
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other workers waiting; the system lets go when this one ends, killed or not."""
        with self._path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


_STATES: dict[str, State] = {
    "RUNNING": "running",
    "COMPLETE": "finished",
    "PRUNED": "pruned",
    "FAIL": "failed",
}


def _open_study(path: Path, key: str) -> optuna.Study:
    try:
        import optuna
    except ModuleNotFoundError as missing:
        raise MissingExtraError("a search for settings", "tune") from missing
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # progress is the caller's to show
    backend = JournalFileBackend(str(path), JournalFileOpenLock(str(path)))
    return optuna.create_study(
        storage=JournalStorage(backend),
        study_name=key,
        direction="maximize",
        load_if_exists=True,
    )


def repair_store(path: Path) -> None:
    """Make a store whole that a killed process left; nobody else may work on it.

    Removes the lock of a dead writer and a last line that was cut short.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    if path.exists():
        with path.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)
