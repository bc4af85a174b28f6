"""A model's settings by search: the trials of `llmseq.tuning`, fitted and judged on the bench."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import llmseq
from llmseq.data.folds import Fold, search_folds
from llmseq.errors import ConfigError
from llmseq.models.request import pick_embeddings
from llmseq.storage import fingerprint
from llmseq.tuning.budget import best_trial
from llmseq.tuning.points import Searched
from llmseq.tuning.search import Search, repair_store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from llmseq.config import Config
    from llmseq.experiment.bench import Bench
    from llmseq.experiment.spec import ModelSpec
    from llmseq.tuning.budget import TuningConfig
    from llmseq.tuning.trials import Trial

_WIDTH = "embedding_dim"


@dataclass(frozen=True, eq=False, slots=True)
class FoundSettings:
    """What a search found so far.

    Parameters
    ----------
    config, settings
        Of the best trial: validated, and what differs from the registry.
    trials
        All, in the order in which they began.
    stopped
        Why the search has ended; None if it has not.
    folds
        Their names.
    """

    config: Config
    settings: Mapping[str, Any]
    best: Trial
    trials: tuple[Trial, ...]
    stopped: str | None
    folds: tuple[str, ...]


class SettingsSearch:
    """The search for one model's settings in a run folder; ``notes`` say where its space departs.

    Parameters
    ----------
    bench
        Data, spec, stages.
    model
        With a space.
    n_workers
        How many processes share the search.
    resumes
        Set the store right first; for the one process that nobody else works beside.

    Raises
    ------
    ConfigError
        If the model has no space, or the log no times for the folds asked for.
    InvalidDataError
        If a fold would hold nothing out.
    MissingExtraError
        If Optuna is not installed.
    """

    def __init__(
        self, bench: Bench, model: ModelSpec, *, n_workers: int = 1, resumes: bool = True
    ) -> None:
        searched, tuning = model.searched, bench.spec.tuning
        if searched is None or tuning is None:
            raise ConfigError(f"{model.name}: there is no space to search")
        self.bench = bench
        self._model = model
        self._tuning: TuningConfig = tuning
        self._folds = search_folds(bench.split, bench.spec.split, tuning.n_folds)
        self._searched, self.notes = _within_text(bench, model.name, searched, self._folds[0])
        path = store_of(bench, model)
        if resumes:
            repair_store(path)
        self._search = Search(
            path,
            self._searched,
            tuning,
            key=self._key(),
            seed=bench.spec.seed,
            n_workers=n_workers,
        )
        if resumes:
            self._search.prepare()

    def _key(self) -> str:
        """Name all that a trial's value and fate follow from; not how long the search goes on."""
        spec = self.bench.spec
        return fingerprint(
            llmseq.__version__,
            self._model.name,
            self._searched.settings,
            self._searched.space.to_dict(),
            self.bench.data(self.bench.vectors_of(self._model.name)),
            [spec.seed, spec.seen, spec.primary, spec.device],
            [self._tuning.n_folds, self._tuning.prune_share],
        )

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Every point tried so far."""
        return self._search.trials()

    def run(self, *, after_each: Callable[[], None] | None = None) -> None:
        """Try points until the budget is used up."""
        self._search.work(self._judge, after_each=after_each)

    def _judge(self, config: Config, fold: int) -> float:
        return self.bench.judge(self._model.name, config, self._folds[fold])

    def importances(self) -> dict[str, float]:
        """Share of the variance of the values that each parameter explains, largest first."""
        return self._search.importances()

    def found(self) -> FoundSettings | None:
        """Give what was found so far; None before the first trial has finished."""
        trials = self.trials
        best = best_trial(trials)
        if best is None:
            return None
        return FoundSettings(
            self._searched.config(best.point),
            self._searched.settings_at(best.point),
            best,
            trials,
            self._search.stopped(),
            tuple(fold.name for fold in self._folds),
        )


def search_settings(bench: Bench, model: ModelSpec) -> FoundSettings:
    """Search a model's space to the end of its budget, going on where an earlier run was.

    Raises
    ------
    ConfigError
        If not even the model's own settings could be fitted to the end.
    """
    search = SettingsSearch(bench, model)
    search.run()
    found = search.found()
    if found is None:
        raise ConfigError(f"{model.name}: no trial came to an end")
    return found


def store_of(bench: Bench, model: ModelSpec) -> Path:
    """Where the search of a model keeps its trials."""
    return bench.store.path / "tuning" / f"{model.name}.jsonl"


def _within_text(
    bench: Bench, name: str, searched: Searched, first: Fold
) -> tuple[Searched, tuple[str, ...]]:
    """Search no width that the text vectors of the smallest fold do not span."""
    from llmseq.embeddings.reduce import ReductionConfig, fit_item_reducer
    from llmseq.models.sequential.config import MAPS_TEXT, SequentialConfig

    width, config = searched.space.parameters.get(_WIDTH), searched.config(searched.first())
    if width is None or not isinstance(config, SequentialConfig):
        return searched, ()
    if config.item_table == "random" or config.item_table in MAPS_TEXT:
        return searched, ()
    given = pick_embeddings(
        bench.vectors_of(name), config.embedding, catalogue=bench.dataset.catalogue, model=name
    )
    reducer = fit_item_reducer(ReductionConfig(method="pca"), given, first.fit.item_counts() > 0)
    spanned = given.dim if reducer.components is None else len(reducer.components)
    narrowed = width.up_to(spanned)
    if narrowed == width:
        return searched, ()
    if narrowed is None:
        raise ConfigError(
            f"space of {name}: {_WIDTH} begins at {width.ends()[0]}, but the text vectors "
            f"span only {spanned} dimensions"
        )
    space = searched.space.replace(parameters={**searched.space.parameters, _WIDTH: narrowed})
    note = (
        f"{name}: {_WIDTH} is searched up to {narrowed.ends()[-1]} instead of "
        f"{width.ends()[-1]}: the text vectors span {spanned} dimensions"
    )
    return Searched(searched.name, space, searched.settings), (note,)
