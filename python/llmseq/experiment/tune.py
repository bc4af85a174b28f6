"""Search one model's settings on a dataset folder, and write down what was found."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tomli_w

from llmseq.data.folder import read_dataset
from llmseq.data.split import SplitConfig, split_dataset
from llmseq.errors import ConfigError
from llmseq.experiment.artifacts import RunFolder
from llmseq.experiment.bench import Bench
from llmseq.experiment.environment import environment
from llmseq.experiment.notes import Notes, about_split, about_vectors
from llmseq.experiment.presets import make_spec
from llmseq.experiment.progress import Observer, Silent, Tracker
from llmseq.experiment.report.tuning import write_tuning_report
from llmseq.experiment.run import check_extras, threads
from llmseq.experiment.settings_search import FoundSettings, SettingsSearch
from llmseq.experiment.spaces import about_spaces
from llmseq.experiment.stages import StageStore
from llmseq.experiment.vectors import embed_texts
from llmseq.experiment.workers import workers as started_workers
from llmseq.storage import fingerprint, write_json, write_text
from llmseq.tuning.budget import TuningConfig
from llmseq.tuning.trials import to_csv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmseq.data.dataset import SessionDataset
    from llmseq.experiment.spec import CompareSpec
    from llmseq.tuning.space import Space

SCHEMA = 1
_SECONDS_BETWEEN_LOOKS = 0.5


@dataclass(frozen=True, eq=False, slots=True)
class Tuned:
    """A search that has ended.

    Parameters
    ----------
    folder
        Where everything lies.
    found
        The best settings and all trials.
    metric
        What was searched for, for example "ndcg@20".
    """

    folder: Path
    found: FoundSettings
    metric: str

    @property
    def report_path(self) -> Path:
        """History and importance, one HTML file."""
        return self.folder / "report.html"

    @property
    def best_path(self) -> Path:
        """The best settings, for ``llmseq fit --config`` and ``llmseq compare --spec``."""
        return self.folder / "best.toml"


def tune(
    dataset: str | Path,
    model: str,
    out: str | Path,
    *,
    space: Space | None = None,
    trials: int | None = None,
    minutes: float | None = None,
    random_trials: int | None = None,
    patience: int | None = None,
    n_folds: int | None = None,
    n_workers: int = 1,
    settings: Mapping[str, Any] | None = None,
    encoder: str | None = None,
    encoder_ids: str | Path | None = None,
    template: str | None = None,
    seed: int | None = None,
    seen: Literal["exclude", "keep"] | None = None,
    split: SplitConfig | Mapping[str, Any] | None = None,
    n_threads: int | None = None,
    device: str | None = None,
    observer: Observer | None = None,
) -> Tuned:
    """Search a model's settings on the train part of a dataset folder; test is not touched.

    A search that was killed and is started again goes on where it was, and so does one that is
    given a larger budget.

    Parameters
    ----------
    model
        Registry name; not a hybrid.
    out
        The run folder; made if it is not there.
    space
        What is searched; None: the space that the package brings.
    trials, minutes, random_trials, patience, n_folds
        See `TuningConfig`.
    n_workers
        Processes that share the search. With one, the same seed tries the same points; with more,
        the random ones.
    settings
        That differ from the registry's; they are not searched.
    encoder, encoder_ids, template, seed, seen, split, n_threads, device, observer
        As in `compare`.

    Raises
    ------
    ConfigError
        If a name or a value is wrong, the space names an unknown setting or holds values that the
        model refuses; nothing was fitted then.
    MissingExtraError
        If Optuna, or what the model needs, is not installed.
    InvalidDataError
        If the dataset is too small for the folds, or has too few texts.
    ArtifactError
        If dataset or run folder are damaged, or another process works in the run folder.

    Examples
    --------
    >>> tuned = tune("shop", "v-sknn", "tuned", trials=40)  # doctest: +SKIP
    >>> tuned.found.settings, tuned.found.best.value  # doctest: +SKIP
    """
    if n_workers < 1:
        raise ConfigError(f"workers must be at least 1, got {n_workers}")
    run = RunFolder(Path(out))
    run.check(searches=True)
    budget = {
        "trials": trials,
        "minutes": minutes,
        "random_trials": random_trials,
        "patience": patience,
        "n_folds": n_folds,
    }
    data = read_dataset(dataset)
    spec = make_spec(
        data,
        Path(dataset),
        models=[model],
        settings={model: settings or {}},
        spaces={} if space is None else {model: space},
        tuning={name: value for name, value in budget.items() if value is not None},
        encoder=encoder,
        encoder_ids=None if encoder_ids is None else str(encoder_ids),
        template=template,
        seed=seed,
        seen=seen,
        score="validation",
        split=split.model_dump() if isinstance(split, SplitConfig) else split,
        n_threads=n_threads,
        device=device,
    )
    if spec.models[0].space is None:
        raise ConfigError(f"{model} has no settings left to search; give a space of your own")
    check_extras(spec)
    with run.lock(), threads(spec.n_threads):
        return _tune(spec, data, run, observer or Silent(), n_workers)


def _tune(
    spec: CompareSpec, data: SessionDataset, run: RunFolder, observer: Observer, n_workers: int
) -> Tuned:
    """Search in a folder that this process has locked."""
    run.open(spec)
    [model] = spec.models
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    run.write_log("run_started", command=command, spec=fingerprint(spec.to_dict()))
    tracker = Tracker(observer, _planned(spec), n_events=data.sessions.n_events)
    store = StageStore(run, tracker)
    parts = split_dataset(data, spec.split)
    notes = Notes(run, observer)
    notes.add(about_split(spec, parts))
    notes.add(about_spaces(spec))
    embeddings = embed_texts(spec, data, store, tracker)
    notes.add(about_vectors(embeddings))
    bench = Bench(spec, data, parts, store, tracker, embeddings)
    search = SettingsSearch(bench, model, n_workers=n_workers)
    notes.add(iter(search.notes))
    try:
        if n_workers == 1:
            search.run()
        else:
            _share(search, run, tracker, n_workers)
    finally:  # stopped early, what was found so far is of use too
        found = search.found()
        if found is not None:
            _write(run, bench, search, found, notes.texts, command)
    if found is None:
        raise ConfigError(f"{model.name}: no trial came to an end")
    run.write_log("run_finished")
    return Tuned(run.path, found, spec.primary)


def _planned(spec: CompareSpec) -> list[str]:
    [model], tuning = spec.models, spec.tuning or TuningConfig()
    fits = [f"fit {model.entry.family}"] * tuning.foreseen * tuning.n_folds
    return ["embed"] * len(spec.encoders) + fits


def _share(search: SettingsSearch, run: RunFolder, tracker: Tracker, n_workers: int) -> None:
    """Let workers search, and tell of every trial that they end."""
    [model] = search.bench.spec.models
    told = sum(trial.state != "running" for trial in search.trials)
    with started_workers(run.path, n_workers, search.bench.spec.n_threads) as crew:
        done = [False]
        while not all(done):
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            done = [worker.is_done() for worker in crew]
            ended = [trial for trial in search.trials if trial.state != "running"]
            for trial in ended[told:]:
                tracker.start(f"{len(ended)} trials of {model.name}", f"fit {model.entry.family}")
                tracker.finish(trial.seconds / max(len(trial.folds), 1))
            told = len(ended)


def _write(
    run: RunFolder,
    bench: Bench,
    search: SettingsSearch,
    found: FoundSettings,
    warnings: Sequence[str],
    command: str,
) -> None:
    """Write the best settings, the trials, what they follow from, and the report."""
    spec, [model] = bench.spec, bench.spec.models
    write_text(run.best, _best_as_toml(spec, found))
    write_text(run.path / "trials.csv", to_csv(found.trials))
    values = {
        "schema": SCHEMA,
        "model": model.name,
        "label": model.label,
        "metric": spec.primary,
        "dataset": {"path": spec.dataset, "fingerprint": spec.fingerprint},
        "folds": list(found.folds),
        "stopped": found.stopped,
        "best": {
            "trial": found.best.number,
            "value": found.best.value,
            "settings": dict(found.settings),
            "config": found.config.to_dict(),
        },
        "importances": search.importances(),
        "warnings": list(warnings),
        "environment": environment(spec, command) | {"optuna": version("optuna")},
    }
    write_json(run.path / "tuning.json", values)
    write_tuning_report(run.path / "report.html", values, found.trials)


def _best_as_toml(spec: CompareSpec, found: FoundSettings) -> str:
    """Write what ``llmseq fit --config`` and ``llmseq compare --spec`` read."""
    [model] = spec.models
    values: dict[str, Any] = {}
    if model.entry.uses_text:
        given = {
            "encoder": spec.encoder_of(model),
            "encoder_ids": spec.encoder_ids,
            "template": spec.template,
        }
        values = {name: value for name, value in given.items() if value}
    own = {"encoder": model.encoder} if model.encoder else {}
    values["models"] = [{"name": model.name, **own, "settings": dict(found.settings)}]
    n_ended = sum(trial.state != "running" for trial in found.trials)
    head = (
        f"# Trial {found.best.number} of {n_ended}: {spec.primary} {found.best.value:.5f} "
        f"({', '.join(found.folds)}).\n"
        f"# llmseq fit {spec.dataset} --model {model.name} --config best.toml --out model\n\n"
    )
    return head + tomli_w.dumps(values)
