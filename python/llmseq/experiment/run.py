"""The main job: fit, choose, score and compare models on a dataset, and hand over the winner."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from llmseq.core.threads import VARIABLE as THREADS_VARIABLE
from llmseq.data.folder import read_dataset, record_test_scoring, test_scorings
from llmseq.data.split import Split, SplitConfig, split_dataset
from llmseq.device import check_device
from llmseq.errors import ArtifactError, MissingExtraError
from llmseq.experiment.artifacts import RunFolder
from llmseq.experiment.bench import Bench
from llmseq.experiment.contest import enter_hybrid, enter_single, lists_of_part, refit
from llmseq.experiment.details import details
from llmseq.experiment.notes import (
    Notes,
    about_split,
    about_substitutions,
    about_times,
    about_vectors,
)
from llmseq.experiment.presets import make_spec
from llmseq.experiment.progress import Observer, Silent, Tracker, planned
from llmseq.experiment.publish import save_models, save_winner, write_recommendations
from llmseq.experiment.report import write_report
from llmseq.experiment.scores import score_all
from llmseq.experiment.spaces import about_spaces
from llmseq.experiment.stages import StageStore
from llmseq.experiment.vectors import embed_texts
from llmseq.models.persistence import SavedModel, load_model
from llmseq.storage import fingerprint, write_json, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from llmseq.config import Config
    from llmseq.data.dataset import SessionDataset
    from llmseq.evaluation.leaderboard import Leaderboard, Verdict
    from llmseq.experiment.contender import Contender
    from llmseq.experiment.spec import CompareSpec


@dataclass(frozen=True, eq=False, slots=True)
class Run:
    """A finished comparison.

    Parameters
    ----------
    folder
        Where everything lies.
    leaderboard
        Every model's figures, best first.
    warnings
        What the user should know.
    """

    folder: Path
    leaderboard: Leaderboard
    warnings: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Whether text helps, and the winner."""
        if self.leaderboard.verdict is None:
            raise ArtifactError(f"{self.folder / 'leaderboard.json'}: holds no verdict")
        return self.leaderboard.verdict

    @property
    def report_path(self) -> Path:
        """The report, one HTML file."""
        return self.folder / "report.html"

    @property
    def has_winner(self) -> bool:
        """Whether the winner was fitted again on all sessions."""
        return RunFolder(self.folder).winner.exists()

    def model(self, name: str) -> SavedModel:
        """Load a compared model, ready to recommend."""
        return load_model(RunFolder(self.folder).models / name)

    def winner(self) -> SavedModel:
        """Load the winner fitted again on all sessions.

        Raises
        ------
        ArtifactError
            If the run left that fit out.
        """
        path = RunFolder(self.folder).winner
        if not self.has_winner:
            raise ArtifactError(
                f"{path}: not there, the winner was not fitted again on all sessions; run the "
                f'comparison again with that fit, or use model("{self.verdict.winner}")'
            )
        return load_model(path)


def compare(
    dataset: str | Path,
    out: str | Path,
    *,
    models: Sequence[str] | None = None,
    preset: str = "quick",
    k: Sequence[int] | None = None,
    encoder: str | Sequence[str] | None = None,
    encoder_ids: str | Path | None = None,
    template: str | None = None,
    seed: int | None = None,
    n_seeds: int | None = None,
    score: Literal["test", "validation"] | None = None,
    seen: Literal["exclude", "keep"] | None = None,
    refit: bool | None = None,
    refit_winner: bool | None = None,
    baseline: str | None = None,
    trials: int | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    split: SplitConfig | Mapping[str, Any] | None = None,
    n_threads: int | None = None,
    device: str | None = None,
    observer: Observer | None = None,
) -> Run:
    """Compare models on a dataset folder and write a run folder.

    A run that was killed and is started again goes on where it was; a finished one is only written
    again. None leaves what the preset says.

    Parameters
    ----------
    dataset
        A folder that ``llmseq data import`` wrote.
    out
        The run folder; made if it is not there.
    models
        Registry names, instead of those of the preset; ``llm2sasrec@tfidf`` takes text vectors of
        its own.
    preset
        "quick", "thorough", "strong", or a spec: a TOML file such as those in configs, or the
        spec.toml of an earlier run.
    k
        Cut-offs of the metrics; 10 and 20 unless the preset says otherwise.
    encoder, encoder_ids, template
        Where text vectors come from, a file of ids for vectors without them, and the texts if not
        the dataset's own; encoder "none" leaves text out. Of several encoders the first is every
        model's, and each further one adds one more LLMSeqSim, such as ``llmseqsim@tfidf``.
    score
        "validation" never makes or scores lists for the test part: for development.
    trials
        Search every model's space with so many trials instead of its grid; with the preset
        "thorough" 20 unless given.
    settings
        For each model name, settings that differ: ``{"sasrec": {"dropout": 0.5}}``; they are not
        searched.
    observer
        Told of progress and warnings.

    Returns
    -------
    Run
        ``.leaderboard``, ``.verdict``, ``.report_path``, ``.winner()``.

    Raises
    ------
    ConfigError
        If a name or a value is wrong; nothing was run then.
    InvalidDataError
        If the dataset cannot be split or has too few texts.
    ArtifactError
        If dataset or run folder are damaged, or another process works in the run folder.

    Examples
    --------
    >>> from llmseq import compare
    >>> run = compare("shop", "runs/first", models=["v-sknn", "llmseqsim"])  # doctest: +SKIP
    >>> run.winner().recommend([["item-7", "item-3"]], k=20)  # doctest: +SKIP
    """
    run = RunFolder(Path(out))
    run.check()
    data = read_dataset(dataset)
    spec = make_spec(
        data,
        Path(dataset),
        preset=preset,
        models=models,
        ks=k,
        settings=settings,
        encoder=encoder,
        encoder_ids=None if encoder_ids is None else str(encoder_ids),
        template=template,
        seed=seed,
        n_seeds=n_seeds,
        score=score,
        seen=seen,
        refit=refit,
        refit_winner=refit_winner,
        baseline=baseline,
        tuning=None if trials is None else {"trials": trials},
        split=split.model_dump() if isinstance(split, SplitConfig) else split,
        n_threads=n_threads,
        device=device,
    )
    check_extras(spec)
    parts = split_dataset(data, spec.split)
    changed = about_times(data, preset, models, spec.encoder)
    with run.lock(), threads(spec.n_threads):
        return run_spec(spec, data, parts, run, observer or Silent(), first_notes=changed)


def run_spec(
    spec: CompareSpec,
    dataset: SessionDataset,
    split: Split,
    run: RunFolder,
    observer: Observer,
    *,
    first_notes: Iterable[str] = (),
) -> Run:
    """Do everything that a spec asks for, in a folder that this process has locked."""
    run.open(spec)
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    run.write_log("run_started", command=command, spec=fingerprint(spec.to_dict()))
    tracker = Tracker(observer, planned(spec), n_events=dataset.sessions.n_events)
    store = StageStore(run, tracker)
    notes = Notes(run, observer)
    notes.add(iter(first_notes))
    notes.add(about_split(spec, split))
    embeddings = embed_texts(spec, dataset, store, tracker)
    notes.add(about_vectors(embeddings))
    notes.add(about_spaces(spec))
    bench = Bench(spec, dataset, split, store, tracker, embeddings)

    singles = [enter_single(bench, model) for model in spec.singles]
    contenders = singles + [enter_hybrid(bench, model, singles) for model in spec.hybrids]
    notes.add(about_substitutions(embeddings, contenders), quiet=True)
    select = lists_of_part(bench, contenders, "select")
    scored, refitted, n_scorings = select, None, len(test_scorings(spec.dataset))
    if spec.score == "test":
        again = [
            refit(bench, contender, n_seeds=spec.n_seeds, part="train")
            for contender in (contenders if spec.refit else ())
        ]
        n_scorings = _count_scoring(bench, [*contenders, *again])
        scored = lists_of_part(bench, contenders, "test")
        refitted = lists_of_part(bench, again, "test")
    tracker.start("metrics, intervals and tests", "score")
    scores = score_all(
        bench,
        contenders,
        select,
        scored,
        refitted=refitted,
        test_scorings=n_scorings,
        command=command,
    )
    board = scores.board
    write_text(run.leaderboard, board.to_json())
    write_text(run.path / "leaderboard.csv", board.to_csv())
    write_text(run.path / "leaderboard.md", board.to_markdown())
    write_recommendations(run, bench, scored)
    save_models(run, bench, contenders)
    tracker.finish()
    if spec.refit_winner and board.verdict is not None:
        chosen = board.verdict.winner
        save_winner(run, bench, next(each for each in contenders if each.name == chosen))
    tracker.start("report", "report")
    values = details(
        bench, contenders, scored, scores, warnings=notes.texts, test_scorings=n_scorings
    )
    write_json(run.details, values)
    write_report(run.path)
    tracker.finish()
    shutil.rmtree(run.checkpoints, ignore_errors=True)
    run.write_log("run_finished")
    return Run(run.path, board, tuple(notes.texts))


def check_extras(spec: CompareSpec) -> None:
    """Refuse a run that would fail halfway for a package or a device that is not there."""
    neural = [model for model in spec.singles if model.entry.family == "sequential"]
    if neural and importlib.util.find_spec("torch") is None:
        raise MissingExtraError(neural[0].entry.label, "train")
    for model in spec.singles:
        for config in model.configs():
            _check_method(config, model.name)
    if any(model.space for model in spec.singles) and importlib.util.find_spec("optuna") is None:
        raise MissingExtraError("a search for settings", "tune")
    prompts = [model for model in spec.singles if model.entry.family == "prompt"]
    needed = ("torch", "transformers", "peft") if prompts else ()
    if any(importlib.util.find_spec(package) is None for package in needed):
        raise MissingExtraError(prompts[0].entry.label, "prompt")
    if (neural or prompts) and spec.device != "cpu":
        check_device(spec.device)


def _check_method(config: Config, name: str) -> None:
    values = config.to_dict()
    for setting, method, package, extra in (
        ("reduction", "autoencoder", "torch", "train"),
        ("search", "hnsw", "hnswlib", "ann"),
    ):
        chosen = values.get(setting, {}).get("method") == method
        if chosen and importlib.util.find_spec(package) is None:
            raise MissingExtraError(f"{name} with {setting}.method = {method}", extra)


def _count_scoring(bench: Bench, contenders: Sequence[Contender]) -> int:
    """Count a scoring of the test part in the dataset folder, once for the same fitted models."""
    inputs = [
        bench.list_inputs(fitted, "test")
        for contender in contenders
        for each in contender.fitted()
        for fitted in each.fits
    ]

    def work(folder: Path, checkpoint: Path) -> Mapping[str, Any]:  # noqa: ARG001
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "run": str(bench.store.path),
            "models": [contender.name for contender in contenders],
        }
        return {"count": record_test_scoring(bench.spec.dataset, entry)}

    bench.store.run(
        "count the scoring of test",
        kind="count",
        inputs={"stage": "test scoring", "lists": inputs},
        work=work,
    )
    return len(test_scorings(bench.spec.dataset))


@contextmanager
def threads(n_threads: int | None) -> Iterator[None]:
    """Cap the threads of every kernel inside the block."""
    before = os.environ.get(THREADS_VARIABLE)
    if n_threads is not None:
        os.environ[THREADS_VARIABLE] = str(n_threads)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(THREADS_VARIABLE, None)
        else:
            os.environ[THREADS_VARIABLE] = before
