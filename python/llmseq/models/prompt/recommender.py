"""LLMSeqPrompt as a recommender: fine-tune, list, re-rank, save."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from llmseq.core import thread_count
from llmseq.errors import ConfigError, MissingExtraError
from llmseq.models.prompt.config import PromptConfig
from llmseq.models.protocol import FitContext, FitSummary
from llmseq.models.request import check_request, fitted, pick_embeddings
from llmseq.recommendations import Recommendations
from llmseq.storage import fingerprint

try:
    import peft  # noqa: F401 - said now rather than after a long load
    import torch
    import transformers  # noqa: F401
except ModuleNotFoundError as missing:
    raise MissingExtraError("LLMSeqPrompt", "prompt") from missing

from llmseq.models.prompt import saving
from llmseq.models.prompt.adapter import add_adapter, set_adapter
from llmseq.models.prompt.language_model import LanguageModel
from llmseq.models.prompt.lists import Listed, ListMaker, seed_of
from llmseq.models.prompt.match import Written
from llmseq.models.prompt.tasks import LEANS_ON_VECTORS, Questions, find_clusters, fit_seq_sim
from llmseq.models.prompt.titles import Titles
from llmseq.models.prompt.tune import title_notes, tune
from llmseq.models.sequential.trainer import torch_threads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import HeldOut, Sessions
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.models.prompt.saving import Parts
    from llmseq.models.protocol import Progress
    from llmseq.types import BoolArray, ItemArray

_LABEL = "LLMSeqPrompt"


class PromptRecommender:
    """A language model asked for items by their titles.

    Every item with a title can be listed; those without are never listed, and counted in
    ``summary.notes``. A list has at most ``decoding.n_beams`` places (Rank: ``n_choices``),
    whatever is asked for. A prompt without a titled item gets an empty list.

    The same data, seed, number of threads and number of steps give the same weights; a budget in
    seconds gives what there was time for.
    """

    def __init__(self, config: PromptConfig | None = None) -> None:
        self.config = config or PromptConfig()
        self.summary = FitSummary()
        self.written = Written()
        self.progress: Progress | None = None  # told how far the lists are
        self._parts: Parts | None = None
        self._maker: ListMaker | None = None
        self._device = "cpu"

    def refit_config(self) -> PromptConfig:
        """Return the settings with the number of steps that the last fit chose.

        Raises
        ------
        NotFittedError
            If there was no fit.
        """
        self._fitted()
        if self.config.endpoint is not None or self.summary.epochs is None:
            return self.config
        fixed = {
            **self.config.training.model_dump(),
            "n_steps": self.summary.epochs,
            "budget_seconds": None,
            "evaluate_every": 0,
            "patience": 0,
        }
        return self.config.replace(training=fixed)

    def fit(
        self,
        train: SessionDataset,
        *,
        embeddings: Mapping[str, ItemEmbeddings] | None = None,
        validation: HeldOut | None = None,
        rng: np.random.Generator,
        context: FitContext | None = None,
    ) -> Self:
        """Fine-tune on the train sessions; validation picks the best weights, if it is looked at.

        ``summary.epochs`` is the number of updates of the weights.

        Raises
        ------
        ConfigError
            If the base model is missing or does not go with the settings, the budget of tokens
            has no room for a title, memory cannot do it, or training diverges.
        InvalidDataError
            If no item has a title, or no session two items with one.
        ArtifactError
            If the base model or the checkpoint cannot be read.
        """
        context = context or FitContext()
        self._device = context.device
        seed = int(rng.integers(2**31))
        titles = Titles.of(train.catalogue.titles, train.item_counts())
        seq_sim, clusters, near = None, None, ""
        if self.config.task in LEANS_ON_VECTORS:
            vectors = pick_embeddings(
                embeddings, self.config.embedding, catalogue=train.catalogue, model=_LABEL
            )
            near = fingerprint(vectors.vectors)
            seq_sim = fit_seq_sim(self.config, train, {"text": vectors}, rng)
            if self.config.task == "classify":
                listed = self.config.decoding.n_beams
                clusters = find_clusters(self.config, vectors, titles, listed)
        self._maker = None
        parts = saving.Parts(titles, seq_sim, clusters, {}, "", FitSummary())
        with torch_threads(thread_count(context.n_threads)):
            if self.config.endpoint is None:
                self._maker, parts = tune(
                    self.config,
                    train,
                    parts,
                    self._lists_for_validation,
                    validation=validation,
                    seed=seed,
                    context=context,
                    near=near,
                )
            else:
                from llmseq.models.prompt.hosted import check_endpoint

                check_endpoint(self.config.endpoint)
                parts = parts.with_fit({}, "", FitSummary(notes=title_notes(titles, 0)))
        self._parts, self.summary = parts, parts.summary
        return self

    def _lists_for_validation(
        self, parts: Parts, maker: ListMaker, prompts: Sessions
    ) -> Recommendations:
        candidates = (parts.titles.counts > 0) & parts.titles.titled
        return self._lists(parts, maker, prompts, 20, exclude_seen=True, candidates=candidates)

    def recommend(
        self,
        prompts: Sessions,
        k: int,
        *,
        exclude_seen: bool = True,
        candidates: BoolArray | None = None,
    ) -> Recommendations:
        """Rank as the Protocol says; ``written`` then says what free decoding wrote."""
        parts = self._fitted()
        mask = check_request(prompts, k, candidates, n_items=len(parts.titles.texts))
        with torch_threads(thread_count()):
            maker = None if self.config.endpoint is not None else self._ready()
            return self._lists(parts, maker, prompts, k, exclude_seen=exclude_seen, candidates=mask)

    def _lists(
        self,
        parts: Parts,
        maker: ListMaker | None,
        prompts: Sessions,
        k: int,
        *,
        exclude_seen: bool,
        candidates: BoolArray | None,
    ) -> Recommendations:
        titled = parts.titles.titled
        base = titled if candidates is None else titled & candidates
        rows = [row for row in range(len(prompts)) if titled[prompts[row]].any()]
        histories = [prompts[row][titled[prompts[row]]] for row in rows]
        allowed = []
        for row in rows:
            mask = base.copy()
            if exclude_seen:
                mask[prompts[row]] = False
            allowed.append(mask)
        choices = self._choices(parts, prompts, rows, exclude_seen=exclude_seen, base=base)
        if maker is None:
            from llmseq.models.prompt.hosted import hosted_lists

            made, self.written = hosted_lists(
                self.config, parts.titles, histories, allowed, choices
            )
        else:
            made, self.written = maker.make(histories, allowed, choices, self._told)
        return _as_recommendations(made, rows, len(prompts), k)

    def _choices(
        self,
        parts: Parts,
        prompts: Sessions,
        rows: Sequence[int],
        *,
        exclude_seen: bool,
        base: BoolArray,
    ) -> list[ItemArray] | None:
        """Items on offer for each prompt; None where the task offers everything."""
        if self.config.task == "classify" and parts.clusters is not None:
            return [parts.clusters.heads for _ in rows]
        if self.config.task != "rank":
            return None
        lists = Questions(self.config, parts.titles, parts.seq_sim, None).near(
            prompts.take(np.array(rows, dtype=np.int64)), exclude_seen=exclude_seen, candidates=base
        )
        shuffled = []
        for row, near in zip(rows, lists, strict=True):
            drawn = np.random.default_rng(seed_of(self.config.seed, prompts[row]))
            shuffled.append(drawn.permutation(near[near >= 0]))
        return shuffled

    def rerank(self, prompts: Sessions, lists: Recommendations) -> Recommendations:
        """Put the items of any model's lists in order of likelihood.

        Items without a title keep no place.

        Raises
        ------
        ConfigError
            If the model is a hosted one, which gives no likelihoods, or its task is another than
            a next item.
        """
        parts = self._fitted()
        if self.config.endpoint is not None or self.config.task != "genitem":
            raise ConfigError("re-ranking needs a GenItem model that runs here")
        check_request(prompts, lists.k, None, n_items=len(parts.titles.texts))
        titled = parts.titles.titled
        rows = [row for row in range(len(prompts)) if titled[prompts[row]].any()]
        given = [lists.items[row][lists.items[row] >= 0] for row in rows]
        with torch_threads(thread_count()):
            made = self._ready().rerank(
                [prompts[row][titled[prompts[row]]] for row in rows],
                [items[titled[items]] for items in given],
                self._told,
            )
        return _as_recommendations(made, rows, len(prompts), lists.k)

    def _told(self, share: float) -> None:
        if self.progress is not None:
            self.progress(share, "lists")

    def _fitted(self) -> Parts:
        return fitted(self._parts, _LABEL)

    def _ready(self) -> ListMaker:
        """Load the base model with the adapter, unless it is there from the fit."""
        parts = self._fitted()
        if self._maker is None:
            lm = LanguageModel.load(
                self.config.base_model, precision=self.config.precision, device=self._device
            )
            saving.check_digest(lm, parts.digest)
            if parts.adapter:
                add_adapter(lm, self.config.lora, seed=0)
                set_adapter(lm, {n: torch.from_numpy(a) for n, a in parts.adapter.items()})
            lm.model.eval()
            self._maker = ListMaker.load(lm, parts.titles, self.config)
        return self._maker

    def save(self, path: Path) -> None:
        """Write the adapter, the titles, and the base model's name and hash, not its weights."""
        saving.write(path, self.config, self._fitted())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote; the base model is loaded with the first list.

        Raises
        ------
        ArtifactError
            If the folder is damaged.
        """
        config, parts = saving.read(path)
        recommender = cls(config)
        recommender._parts, recommender.summary = parts, parts.summary
        return recommender


def _as_recommendations(
    made: Sequence[Listed], rows: Sequence[int], n_prompts: int, k: int
) -> Recommendations:
    items = np.full((n_prompts, k), -1, dtype=np.int32)
    scores = np.full((n_prompts, k), -np.inf, dtype=np.float32)
    for row, listed in zip(rows, made, strict=True):
        for place, (item, score) in enumerate(listed[:k]):
            items[row, place], scores[row, place] = item, score
    return Recommendations(items, scores)
