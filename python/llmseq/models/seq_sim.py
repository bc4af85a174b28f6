"""LLMSeqSim: the items whose text vectors are nearest to the prompt's pooled vector."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from llmseq.config import Config
from llmseq.core import ItemIndex, pool_sessions
from llmseq.core.pooling import Pooling
from llmseq.data.sessions import HeldOut
from llmseq.embeddings.matrix import ItemEmbeddings, unit_rows
from llmseq.embeddings.reduce import ReductionConfig
from llmseq.models.approximate import ExactSearch, HnswIndex, HnswSearch, Search
from llmseq.models.persistence import read_model, write_model
from llmseq.models.protocol import FitContext, FitSummary
from llmseq.models.request import check_request, fitted
from llmseq.models.text_vectors import reduced_text
from llmseq.recommendations import Recommendations

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import Sessions
    from llmseq.types import BoolArray, CountArray, FloatMatrix, FloatVector, Ragged


_GRAPH = "graph.hnsw"
_RECALL_AT, _RECALL_PROMPTS = 20, 500


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
    search
        ``{"method": "exact"}``, or ``{"method": "hnsw"}``: approximate, see
        `llmseq.models.approximate.HnswSearch`.
    """

    embedding: str | None = None
    reduction: ReductionConfig = ReductionConfig(method="pca_whiten", dim=256)
    pooling: Pooling = "harmonic"
    similarity: Literal["cosine", "dot", "euclidean"] = "cosine"
    popularity_weight: float = Field(default=0.01, ge=0.0, allow_inf_nan=False)
    search: Search = ExactSearch()

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
        self.origin: Mapping[str, Any] = {}
        """How the text vectors were made: encoder, fingerprints, template."""
        self._ranker: _Ranker | None = None

    def refit_config(self) -> SeqSimConfig:
        """Return the settings: nothing is chosen while fitting."""
        return self.config

    def fit(
        self,
        train: SessionDataset,
        *,
        embeddings: Mapping[str, ItemEmbeddings] | None = None,
        validation: HeldOut | None = None,  # noqa: ARG002 - nothing to stop
        rng: np.random.Generator,
        context: FitContext | None = None,
    ) -> Self:
        """Reduce the item vectors and index them.

        ``rng`` draws the levels of an approximate index, and the train sessions on which it is
        compared with the exact one; ``summary.notes`` and ``context`` are told the recall.

        Raises
        ------
        ConfigError
            If the text vectors are missing, or the items have no column with the classes named.
        ShapeError, InvalidDataError
            If the vectors are another catalogue's, or cannot be reduced.
        MissingExtraError
            If the search or the reduction needs packages that are not installed.
        """
        config, counts = self.config, train.item_counts()
        text = reduced_text(
            train, embeddings, config.embedding, config.reduction, model="LLMSeqSim"
        )
        notes = text.notes
        rows, similarity = _indexed(config, text.vectors, counts)
        index: ItemIndex | HnswIndex = ItemIndex(rows, similarity)
        ranker = _Ranker(config, text.vectors, counts, index)
        if isinstance(config.search, HnswSearch):
            seed = int(rng.integers(2**31))
            exact, index = ranker, HnswIndex.build(rows, similarity, config.search, seed=seed)
            ranker = replace(exact, index=index)
            recall = _recall(ranker, exact, train.sessions, rng)
            if context is not None:
                context.report(1.0, recall)
            notes = (*notes, recall)
        self.origin, self._ranker = text.origin, ranker
        self.summary = FitSummary(notes=notes)
        return self

    def recommend(
        self,
        prompts: Sessions,
        k: int,
        *,
        exclude_seen: bool = True,
        candidates: BoolArray | None = None,
    ) -> Recommendations:
        """Rank as the Protocol says."""
        ranker = fitted(self._ranker, "LLMSeqSim")
        mask = check_request(prompts, k, candidates, n_items=ranker.counts.size)
        return ranker.rank(prompts, k, exclude_seen=exclude_seen, candidates=mask)

    def save(self, path: Path) -> None:
        """Write the reduced vectors, the counts and, if there is one, the approximate index."""
        ranker = fitted(self._ranker, "LLMSeqSim")
        index = ranker.index
        write_model(
            path,
            kind="llmseqsim",
            config=self.config,
            arrays={"vectors": ranker.vectors, "counts": ranker.counts},
            extra={"notes": self.summary.notes, "origin": dict(self.origin)},
            files={_GRAPH: index.save} if isinstance(index, HnswIndex) else None,
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote; an exact index is made again."""
        values, arrays, extra = read_model(path, kind="llmseqsim")
        config = SeqSimConfig.make(values, what=str(path / "config.json"))
        vectors, counts = arrays["vectors"], arrays["counts"]
        rows, similarity = _indexed(config, vectors, counts)
        index: ItemIndex | HnswIndex
        if isinstance(config.search, HnswSearch):
            index = HnswIndex.open(path / _GRAPH, rows, similarity, config.search)
        else:
            index = ItemIndex(rows, similarity)
        model = cls(config)
        model.summary = FitSummary(notes=tuple(extra["notes"]))
        model.origin = extra.get("origin", {})
        model._ranker = _Ranker(config, vectors, counts, index)
        return model


@dataclass(frozen=True, eq=False, slots=True)
class _Ranker:
    """What a fit leaves behind: reduced vectors (n_items, dim), events of each item, an index."""

    config: SeqSimConfig
    vectors: FloatMatrix
    counts: CountArray
    index: ItemIndex | HnswIndex

    def rank(
        self, prompts: Sessions, k: int, *, exclude_seen: bool, candidates: BoolArray | None
    ) -> Recommendations:
        queries = pool_sessions(
            self.vectors, prompts.items, prompts.offsets, pooling=self.config.pooling
        )
        speaks = queries.any(axis=1)
        prior = self.config.popularity_weight > 0
        if prior:
            queries = _with_column(
                unit_rows(queries) if self.config.similarity == "cosine" else queries, 1.0
            )
        items = np.full((len(prompts), k), -1, dtype=np.int32)
        scores = np.full((len(prompts), k), -np.inf, dtype=np.float32)
        groups = [(speaks, candidates)]
        if prior:  # without a word from the prompt, only an item with events is worth listing
            seen = np.asarray(self.counts > 0)
            groups.append((~speaks, seen if candidates is None else seen & candidates))
        for chosen, allowed in groups:
            rows = np.flatnonzero(chosen)
            if rows.size:
                exclude: Ragged | None = prompts.events.take(rows) if exclude_seen else None
                items[rows], scores[rows] = self.index.search(
                    queries[rows], k, exclude=exclude, candidates=allowed
                )
        return Recommendations(items, scores)


def _indexed(
    config: SeqSimConfig, vectors: FloatMatrix, counts: CountArray
) -> tuple[FloatMatrix, str]:
    """Rows that an index holds and how they compare: a prior is one more dimension."""
    if config.popularity_weight == 0:
        return vectors, config.similarity
    prior = config.popularity_weight * np.log1p(counts)
    return _with_column(
        unit_rows(vectors) if config.similarity == "cosine" else vectors, prior
    ), "dot"


def _recall(
    approximate: _Ranker, exact: _Ranker, sessions: Sessions, rng: np.random.Generator
) -> str:
    """Compare the lists of both for a sample of train sessions."""
    n_prompts = min(_RECALL_PROMPTS, len(sessions))
    rows = rng.choice(len(sessions), n_prompts, replace=False)
    prompts = HeldOut.last_item(sessions.take(rows)).prompts
    made, wanted = (
        ranker.rank(prompts, _RECALL_AT, exclude_seen=True, candidates=None).items
        for ranker in (approximate, exact)
    )
    n_found = sum(
        int(np.isin(right[right >= 0], found).sum())
        for right, found in zip(wanted, made, strict=True)
    )
    share = n_found / max(int((wanted >= 0).sum()), 1)
    return (
        f"approximate search finds {share:.1%} of the exact lists of {_RECALL_AT} items "
        f"(recall@{_RECALL_AT} over {len(prompts):,} prompts from train)"
    )


def _with_column(vectors: FloatMatrix, column: float | FloatVector) -> FloatMatrix:
    """Append one dimension, so that a sum of two terms becomes one dot product."""
    last = np.broadcast_to(np.asarray(column, dtype=np.float32), (vectors.shape[0],))
    return np.ascontiguousarray(np.column_stack([vectors, last]), dtype=np.float32)
