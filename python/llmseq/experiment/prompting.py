"""LLMSeqPrompt on its own: pairs for hosted fine-tuning, a resumable fit, lists that are scored."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from llmseq.data.folder import read_dataset, record_test_scoring
from llmseq.data.sessions import HeldOut
from llmseq.data.split import Split, SplitConfig, split_dataset
from llmseq.device import check_device
from llmseq.embeddings.embed import embed_catalogue
from llmseq.errors import ArtifactError, ConfigError
from llmseq.evaluation.evaluate import Evaluation, evaluate
from llmseq.evaluation.significance import Comparison, paired_test
from llmseq.experiment.presets import completed
from llmseq.models.catalog import MODELS
from llmseq.models.persistence import SavedModel, load_model
from llmseq.models.prompt.chat import ChatWriter
from llmseq.models.prompt.config import PromptConfig
from llmseq.models.prompt.tasks import LEANS_ON_VECTORS, Questions, find_clusters, fit_seq_sim
from llmseq.models.prompt.titles import Titles
from llmseq.models.protocol import FitContext
from llmseq.storage import atomic_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from llmseq.data.dataset import SessionDataset
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.models.prompt.match import Written
    from llmseq.models.prompt.templates import Task
    from llmseq.models.protocol import Progress
    from llmseq.recommendations import Recommendations

PartName = Literal["validation", "test"]


def prompt_config(task: Task, settings: Mapping[str, Any]) -> PromptConfig:
    """Make the settings of a task.

    Raises
    ------
    ConfigError
        If one is unknown or out of range.
    """
    name = f"llmseqprompt-{task}"
    config = MODELS[name].make_config(completed(name, settings), what=f"model {name}")
    if not isinstance(config, PromptConfig):
        raise ConfigError(f"{name} has no prompt settings")
    return config


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Parameters
    ----------
    n_pairs
        Lines of the file.
    n_left_out
        Sessions without two items that have a title.
    n_cut
        Titles that were cut.
    """

    n_pairs: int
    n_left_out: int
    n_cut: int


def export_pairs(
    dataset: Path,
    out: Path,
    config: PromptConfig,
    *,
    part: Literal["fit", "train"] = "fit",
    encoder: str = "minilm",
    limit: int | None = None,
    seed: int = 0,
    split: SplitConfig | None = None,
) -> Exported:
    """Write training pairs as JSON lines in the chat form that hosted fine-tuning takes.

    They are made from train sessions only.

    Parameters
    ----------
    part
        "fit" keeps the validation parts out; "train" takes all that is not test.
    limit
        Pairs at most, drawn by ``seed``.

    Raises
    ------
    ConfigError
        If the budget of tokens has no room for a title.
    InvalidDataError
        If no item has a title.
    """
    config = config.replace(training={**config.training.model_dump(), "learn_from": "last"})
    data = read_dataset(dataset)
    parts = split_dataset(data, split)
    train = parts.fit if part == "fit" else parts.train
    rng = np.random.default_rng(seed)
    titles = Titles.of(train.catalogue.titles, train.item_counts())
    writer = ChatWriter.of(config, titles)
    questions = _questions(config, train, titles, encoder, rng)
    pairs, n_left_out = questions.of(train.sessions, rng)
    if limit is not None and len(pairs) > limit:
        pairs = [pairs[row] for row in np.sort(rng.choice(len(pairs), limit, replace=False))]
    with atomic_file(out) as temporary, temporary.open("w", encoding="utf-8") as file:
        for pair in writer.pairs(pairs):
            file.write(json.dumps(pair, ensure_ascii=False) + "\n")
    return Exported(len(pairs), n_left_out, writer.n_cut)


def _questions(
    config: PromptConfig,
    train: SessionDataset,
    titles: Titles,
    encoder: str,
    rng: np.random.Generator,
) -> Questions:
    if config.task not in LEANS_ON_VECTORS:
        return Questions(config, titles, None, None)
    vectors = embed_catalogue(train.catalogue, encoder)
    seq_sim = fit_seq_sim(config, train, {encoder: vectors}, rng)
    clusters = None
    if config.task == "classify":
        clusters = find_clusters(config, vectors, titles, config.decoding.n_beams)
    return Questions(config, titles, seq_sim, clusters)


def finetune(
    dataset: Path,
    out: Path,
    config: PromptConfig,
    *,
    encoder: str = "minilm",
    seed: int = 0,
    split: SplitConfig | None = None,
    n_threads: int | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> SavedModel:
    """Fine-tune on the fit part and save; the select part is what validation looks at.

    A fit that was killed and is started again goes on from ``<out>.checkpoint``.

    Raises
    ------
    ConfigError
        If a setting is wrong, or memory cannot do it.
    ArtifactError
        If the base model cannot be read, or ``out`` holds something else.
    """
    data = read_dataset(dataset)
    parts = split_dataset(data, split)
    name = f"llmseqprompt-{config.task}"
    check_device(device)
    vectors: dict[str, ItemEmbeddings] = {}
    if config.task in LEANS_ON_VECTORS:
        vectors = {encoder: embed_catalogue(data.catalogue, encoder)}
    checkpoint = out.with_name(f"{out.name}.checkpoint")
    model = MODELS[name].recommender_class()(config)  # type: ignore[call-arg]
    model.fit(
        parts.fit,
        embeddings=vectors,
        validation=parts.select if config.training.evaluate_every else None,
        rng=np.random.default_rng(seed),
        context=FitContext(checkpoint, progress, n_threads, device),
    )
    provenance = {
        "name": name,
        "dataset": str(dataset),
        "fingerprint": data.fingerprint(),
        "fitted_on": "fit sessions",
        "seed": seed,
        **({"encoder": encoder} if vectors else {}),
    }
    saved = SavedModel(model, data.catalogue, provenance)
    saved.save(out)
    shutil.rmtree(checkpoint, ignore_errors=True)
    return saved


@dataclass(frozen=True, eq=False, slots=True)
class Asked:
    """One model's lists for the drawn prompts, and how good they are.

    Parameters
    ----------
    name
        As its provenance says, or its folder.
    written
        What free decoding wrote; None for models that write no titles.
    versus
        The first model against this one, paired by session; None for the first itself.
    seconds
        That its lists took, loading included.
    """

    name: str
    lists: Recommendations
    scored: Evaluation
    interval: tuple[float, float]
    written: Written | None
    versus: Comparison | None
    seconds: float


@dataclass(frozen=True, eq=False, slots=True)
class Answered:
    """What `ask` made: the drawn prompts, and each model's lists."""

    held_out: HeldOut
    models: tuple[Asked, ...]


def ask(
    dataset: Path,
    model: Path,
    *,
    part: PartName = "validation",
    n_sessions: int | None = None,
    k: int = 20,
    seed: int = 0,
    beside: Sequence[Path] = (),
    rerank: Path | None = None,
    split: SplitConfig | None = None,
    progress: Progress | None = None,
) -> Answered:
    """Ask saved models for the same prompts, drawn by seed, and compare them.

    Parameters
    ----------
    model
        A saved prompt model, or any other.
    part
        Scoring test is counted in the dataset folder.
    n_sessions
        Prompts; None: all of the part.
    beside
        Saved models to stand beside it, for example LLMSeqSim.
    rerank
        A saved model whose lists ``model`` puts in order, instead of making its own.

    Raises
    ------
    ArtifactError
        If a model is damaged or belongs to another dataset.
    ConfigError
        If there are fewer prompts than asked for, or ``model`` cannot re-rank.
    """
    data = read_dataset(dataset)
    parts = split_dataset(data, split)
    held_out, mask = _drawn(parts, part, n_sessions, seed)
    paths = [model, *beside]
    found = [_load(path, data) for path in paths]
    first = None if rerank is None else _load(rerank, data)
    if first is not None and not hasattr(found[0].recommender, "rerank"):
        raise ConfigError(f"{model}: only a prompt model can re-rank")
    if part == "test":
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "run": f"llmseq prompt recommend, {len(held_out):,} sessions",
            "models": [str(path) for path in paths],
        }
        record_test_scoring(dataset, entry)
    users = held_out.prompts.users
    counts = (parts.train if part == "test" else parts.fit).item_counts()
    metric = f"ndcg@{k}"
    asked: list[Asked] = []
    for place, (path, saved) in enumerate(zip(paths, found, strict=True)):
        started = time.perf_counter()
        recommender: Any = saved.recommender
        if hasattr(recommender, "progress"):
            recommender.progress = progress
        if place == 0 and first is not None:
            before = first.recommender.recommend(held_out.prompts, k, candidates=mask)
            lists = recommender.rerank(held_out.prompts, before)
        else:
            lists = recommender.recommend(held_out.prompts, k, candidates=mask)
        seconds = time.perf_counter() - started
        scored = evaluate(lists, held_out, ks=(k,), popularity=counts, n_items=data.n_items)
        versus = None
        if asked:
            versus = paired_test(
                asked[0].scored.per_session[metric],
                scored.per_session[metric],
                users,
                rng=np.random.default_rng(seed),
            )
        low, high = scored.intervals(users, rng=np.random.default_rng(seed))[metric]
        name = str(saved.provenance.get("name", path.name))
        written = getattr(recommender, "written", None)
        asked.append(Asked(name, lists, scored, (low, high), written, versus, seconds))
    return Answered(held_out, tuple(asked))


def _drawn(parts: Split, part: PartName, n_sessions: int | None, seed: int) -> tuple[HeldOut, Any]:
    held_out = parts.test if part == "test" else parts.select
    mask = parts.test_candidates if part == "test" else parts.select_candidates
    if n_sessions is None:
        return held_out, mask
    if n_sessions > len(held_out):
        raise ConfigError(
            f"{n_sessions:,} sessions asked for, but the {part} part has {len(held_out):,}"
        )
    rows = np.sort(np.random.default_rng(seed).choice(len(held_out), n_sessions, replace=False))
    return HeldOut(held_out.prompts.take(rows), held_out.targets.take(rows)), mask


def _load(path: Path, data: SessionDataset) -> SavedModel:
    saved = load_model(path)
    if list(saved.catalogue.ids) != list(data.catalogue.ids):
        raise ArtifactError(f"{path}: was fitted on another catalogue than this dataset's")
    return saved
