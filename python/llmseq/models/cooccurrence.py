"""What stands near the prompt's items in train: co-occurrence, first-order Markov, with text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import Field

from llmseq.config import Config
from llmseq.core import CooccurrenceIndex, ItemIndex
from llmseq.core.pooling import Pooling
from llmseq.embeddings.reduce import ReductionConfig
from llmseq.models.persistence import WEIGHTS, read_settings, write_model
from llmseq.models.protocol import FitContext, FitSummary
from llmseq.models.request import check_request, fitted
from llmseq.models.text_vectors import reduced_text
from llmseq.recommendations import Recommendations

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import HeldOut, Sessions
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.types import BoolArray, FloatMatrix, ItemArray


class CooccurrenceConfig(Config):
    """How pairs of items in a session count, and how a prompt reads them.

    Parameters
    ----------
    window
        Largest distance of a pair, in events; 1 counts neighbours only (a Markov chain).
    distance_power
        A pair at distance d weighs 1/d^a.
    backward
        Weight of the pair that goes back in time, as a share of the one that goes on.
    row_power
        An item's row is divided by its sum to this power: above 0 a popular item says less.
    prompt_pooling
        How the weight of a prompt's item falls with its position from the end.
    """

    window: int = Field(default=20, ge=1)
    distance_power: float = Field(default=0.4, ge=0.0, allow_inf_nan=False)
    backward: float = Field(default=0.25, ge=0.0, allow_inf_nan=False)
    row_power: float = Field(default=0.6, ge=0.0, allow_inf_nan=False)
    prompt_pooling: Pooling = "harmonic"


class CooccurrenceTextConfig(CooccurrenceConfig):
    """Co-occurrence smoothed by text neighbours.

    Parameters
    ----------
    embedding
        Which of the given embeddings; None: the only one.
    reduction
        Fitted on the items with a train event, applied to all.
    n_neighbours
        Text neighbours of an item, by cosine; those of 0 and below count as none.
    prompt_smoothing
        α: what a prompt's item passes on to its neighbours, whose rows are then read too.
    item_smoothing
        β: what an item takes from the scores of its neighbours; reaches items without an event.
    text_weight
        γ: what the neighbours of the prompt's items score by themselves.
    """

    embedding: str | None = None
    reduction: ReductionConfig = ReductionConfig(method="pca_whiten", dim=256)
    n_neighbours: int = Field(default=20, ge=1)
    prompt_smoothing: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    item_smoothing: float = Field(default=0.1, ge=0.0, allow_inf_nan=False)
    text_weight: float = Field(default=0.25, ge=0.0, allow_inf_nan=False)


class CooccurrenceRecommender:
    """Scores items by how often they stand near the prompt's items in train sessions.

    Only items with a score above 0 are listed, so lists may be short. With a
    `CooccurrenceTextConfig`, and so with embeddings, items without a train event are listed through
    their text neighbours; restrict ``candidates`` to leave them out.
    """

    def __init__(self, config: CooccurrenceConfig | None = None) -> None:
        self.config = config or CooccurrenceConfig()
        self.summary = FitSummary()
        self._index: CooccurrenceIndex | None = None

    def refit_config(self) -> CooccurrenceConfig:
        """Return the settings: nothing is chosen while fitting."""
        return self.config

    def fit(
        self,
        train: SessionDataset,
        *,
        embeddings: Mapping[str, ItemEmbeddings] | None = None,
        validation: HeldOut | None = None,  # noqa: ARG002 - nothing to stop
        rng: np.random.Generator,  # noqa: ARG002 - nothing is random
        context: FitContext | None = None,
    ) -> Self:
        """Count pairs and find each item's text neighbours."""
        config = self.config
        forward = np.arange(1, config.window + 1, dtype=np.float64) ** -config.distance_power
        smoothing: dict[str, Any] = {}
        if isinstance(config, CooccurrenceTextConfig):
            smoothing = {
                "near": self._text_neighbours(config, train, embeddings),
                "smoothing": (
                    config.prompt_smoothing,
                    config.item_smoothing,
                    config.text_weight,
                ),
            }
        self._index = CooccurrenceIndex(
            train.sessions.items,
            train.sessions.offsets,
            train.n_items,
            forward=forward,
            backward=config.backward * forward,
            row_power=config.row_power,
            **smoothing,
        )
        if context is not None:
            context.report(1.0, f"{self._index.n_pairs:,} pairs counted")
        return self

    def _text_neighbours(
        self,
        config: CooccurrenceTextConfig,
        train: SessionDataset,
        embeddings: Mapping[str, ItemEmbeddings] | None,
    ) -> tuple[ItemArray, FloatMatrix]:
        text = reduced_text(
            train, embeddings, config.embedding, config.reduction, model="LLM2Cooccurrence"
        )
        self.summary = FitSummary(notes=text.notes)
        itself = (np.arange(train.n_items), np.arange(train.n_items + 1))
        return ItemIndex(text.vectors, "cosine").search(
            text.vectors, config.n_neighbours, exclude=itself
        )

    def recommend(
        self,
        prompts: Sessions,
        k: int,
        *,
        exclude_seen: bool = True,
        candidates: BoolArray | None = None,
    ) -> Recommendations:
        """Rank as the Protocol says."""
        index = fitted(self._index, "Co-occurrence")
        mask = check_request(prompts, k, candidates, n_items=index.n_items)
        items, scores = index.search(
            prompts.items,
            prompts.offsets,
            k,
            pooling=self.config.prompt_pooling,
            exclude_seen=exclude_seen,
            candidates=mask,
        )
        return Recommendations(items, scores)

    def save(self, path: Path) -> None:
        """Write the index, which loading maps and does not count again."""
        index = fitted(self._index, "Co-occurrence")
        text = isinstance(self.config, CooccurrenceTextConfig)
        write_model(
            path,
            kind="llm2cooccurrence" if text else "cooccurrence",
            config=self.config,
            arrays=index.arrays(),
            metadata=index.metadata(),
            extra={"notes": self.summary.notes},
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote."""
        config, extra = read_settings(path, kind=("cooccurrence", "llm2cooccurrence"))
        of = CooccurrenceTextConfig if "reduction" in config else CooccurrenceConfig
        model = cls(of.make(config, what=str(path / "config.json")))
        model.summary = FitSummary(notes=tuple(extra["notes"]))
        model._index = CooccurrenceIndex.open(path / WEIGHTS)
        return model
