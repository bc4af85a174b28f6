"""LLMSeqSim: the items whose text vectors are nearest to the prompt's pooled vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from llmseq.config import Config
from llmseq.core import ItemIndex, pool_sessions
from llmseq.core.pooling import Pooling
from llmseq.embeddings.matrix import ItemEmbeddings, unit_rows
from llmseq.embeddings.reduce import ReductionConfig, reduce_embeddings
from llmseq.models.persistence import read_model, write_model
from llmseq.models.protocol import FitContext, FitSummary
from llmseq.models.request import check_request, not_fitted, pick_embeddings
from llmseq.recommendations import Recommendations

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import HeldOut, Sessions
    from llmseq.types import BoolArray, CountArray, FloatMatrix, FloatVector, Ragged


class SeqSimConfig(Config):
    """Settings of LLMSeqSim.

    Parameters
    ----------
    embedding
        Which of the given embeddings; None: the only one.
    reduction
        Fitted on the items with a train event, applied to all.
    pooling
        How the weight of a prompt's item falls with its position from the end.
    similarity
        Of the prompt's vector to an item's: cosine, dot, or euclidean as 1/(1 + distance).
    popularity_weight
        b in score + b·ln(1 + events in train); 0 with euclidean.
    """

    embedding: str | None = None
    reduction: ReductionConfig = ReductionConfig(method="pca_whiten", dim=256)
    pooling: Pooling = "harmonic"
    similarity: Literal["cosine", "dot", "euclidean"] = "cosine"
    popularity_weight: float = Field(default=0.01, ge=0.0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _prior_needs_a_product(self) -> Self:
        if self.popularity_weight > 0 and self.similarity == "euclidean":
            raise ValueError("popularity_weight must be 0 with similarity euclidean")
        return self


class SeqSimRecommender:
    """Ranks every item by the similarity of its text vector to the prompt's.

    Items without a train event are ranked as well; restrict ``candidates`` to leave them out. A
    prompt that says nothing (empty, or its vector is zero) gets an empty list, or, with a
    popularity weight, the most popular items.
    """

    def __init__(self, config: SeqSimConfig | None = None) -> None:
        self.config = config or SeqSimConfig()
        self.summary = FitSummary()
        self._vectors: FloatMatrix | None = None  # (n_items, dim), reduced
        self._counts: CountArray | None = None  # (n_items,)
        self._index: ItemIndex | None = None

    def refit_config(self) -> SeqSimConfig:
        """Return the settings: nothing is chosen while fitting."""
        return self.config

    def fit(
        self,
        train: SessionDataset,
        *,
        embeddings: Mapping[str, ItemEmbeddings] | None = None,
        validation: HeldOut | None = None,  # noqa: ARG002 - nothing to stop
        rng: np.random.Generator,  # noqa: ARG002 - a reduction brings its own seed
        context: FitContext | None = None,  # noqa: ARG002 - done in a second
    ) -> Self:
        """Reduce the item vectors and index them."""
        given = pick_embeddings(
            embeddings, self.config.embedding, n_items=train.n_items, model="LLMSeqSim"
        )
        counts = train.item_counts()
        reduced = reduce_embeddings(given, self.config.reduction, rows=counts > 0)
        had = given.origin.get("notes", ())
        self.summary = FitSummary(notes=tuple(reduced.origin["notes"][len(had) :]))
        self._build(reduced.vectors, counts)
        return self

    def _build(self, vectors: FloatMatrix, counts: CountArray) -> None:
        self._vectors, self._counts = vectors, counts
        similarity = self.config.similarity
        if self.config.popularity_weight > 0:
            prior = self.config.popularity_weight * np.log1p(counts)
            vectors = _with_column(unit_rows(vectors) if similarity == "cosine" else vectors, prior)
            similarity = "dot"
        self._index = ItemIndex(vectors, similarity)

    def recommend(
        self,
        prompts: Sessions,
        k: int,
        *,
        exclude_seen: bool = True,
        candidates: BoolArray | None = None,
    ) -> Recommendations:
        """Rank as the Protocol says."""
        if self._vectors is None or self._counts is None or self._index is None:
            raise not_fitted("LLMSeqSim")
        mask = check_request(prompts, k, candidates, n_items=self._counts.size)
        queries = pool_sessions(
            self._vectors, prompts.items, prompts.offsets, pooling=self.config.pooling
        )
        speaks = queries.any(axis=1)
        prior = self.config.popularity_weight > 0
        if prior:
            queries = _with_column(
                unit_rows(queries) if self.config.similarity == "cosine" else queries, 1.0
            )
        items = np.full((len(prompts), k), -1, dtype=np.int32)
        scores = np.full((len(prompts), k), -np.inf, dtype=np.float32)
        groups = [(speaks, mask)]
        if prior:  # without a word from the prompt, only an item with events is worth listing
            seen = self._counts > 0
            groups.append((~speaks, seen if mask is None else seen & mask))
        for chosen, allowed in groups:
            rows = np.flatnonzero(chosen)
            if rows.size:
                exclude: Ragged | None = prompts.events.take(rows) if exclude_seen else None
                items[rows], scores[rows] = self._index.search(
                    queries[rows], k, exclude=exclude, candidates=allowed
                )
        return Recommendations(items, scores)

    def save(self, path: Path) -> None:
        """Write the reduced vectors and the counts."""
        if self._vectors is None or self._counts is None:
            raise not_fitted("LLMSeqSim")
        arrays: dict[str, NDArray[Any]] = {"vectors": self._vectors, "counts": self._counts}
        extra = {"notes": self.summary.notes}
        write_model(path, kind="llmseqsim", config=self.config, arrays=arrays, extra=extra)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote and index it."""
        config, arrays, extra = read_model(path, kind="llmseqsim")
        model = cls(SeqSimConfig.make(config, what=str(path / "config.json")))
        model.summary = FitSummary(notes=tuple(extra["notes"]))
        model._build(arrays["vectors"], arrays["counts"])
        return model


def _with_column(vectors: FloatMatrix, column: float | FloatVector) -> FloatMatrix:
    """Append one dimension, so that a sum of two terms becomes one dot product."""
    last = np.broadcast_to(np.asarray(column, dtype=np.float32), (vectors.shape[0],))
    return np.ascontiguousarray(np.column_stack([vectors, last]), dtype=np.float32)
