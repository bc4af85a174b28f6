"""LLMSeqSim & Popularity: a list without its rarest items, or without its likest ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from llmseq.models.hybrid.config import HybridConfig
from llmseq.models.hybrid.facts import ItemFacts
from llmseq.models.hybrid.member import Member
from llmseq.models.hybrid.places import first_only, in_places
from llmseq.models.request import pick_embeddings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import Sessions
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.recommendations import Recommendations
    from llmseq.types import BoolArray, FloatMatrix, ItemArray

_CHUNK = 256  # sessions whose cosines are held at once


class FilterConfig(HybridConfig):
    """Settings of the filters; popularity goes first, then diversity.

    Parameters
    ----------
    member
        Whose lists are filtered.
    popularity_quantile
        Items below this quantile of popularity (train sessions that hold them) leave the list as
        long as enough others remain: they stand behind all others. 0 keeps every item in place.
    diversity_quantile
        An item is left out if its cosine with one that is listed before it reaches this quantile
        of the cosines of all pairs of items. None: likeness does not matter.
    embedding
        Whose cosines; None: the only text vectors.
    """

    kind: ClassVar[str] = "sim-popularity"
    fewest_members: ClassVar[int] = 1

    member: Member = Member(model="llmseqsim")
    popularity_quantile: float = Field(default=0.5, ge=0.0, le=1.0)
    diversity_quantile: float | None = Field(default=None, ge=0.0, le=1.0)
    embedding: str | None = None

    def parts(self) -> Mapping[str, Member]:
        """Give the one member."""
        return {"member": self.member}

    @property
    def needs_vectors(self) -> bool:
        """Whether lists are made diverse."""
        return self.diversity_quantile is not None

    def facts(
        self,
        train: SessionDataset,
        embeddings: Mapping[str, ItemEmbeddings] | None,
        *,
        rng: np.random.Generator,
    ) -> ItemFacts:
        """Count sessions; take vectors and draw pairs of items where lists are made diverse."""
        counted = ItemFacts.count(train)
        if not self.needs_vectors:
            return counted
        what = f"{self.kind} with a diversity_quantile"
        given = pick_embeddings(embeddings, self.embedding, catalogue=train.catalogue, model=what)
        return counted.with_vectors(given, rng=rng)

    def combine(
        self,
        lists: Mapping[str, Recommendations],
        k: int,
        *,
        prompts: Sessions,  # noqa: ARG002 - the lists say it all
        facts: ItemFacts,
    ) -> Recommendations:
        """Filter; the score of place p is 1/p."""
        items = self.cut(lists)["member"].items
        rare = (items >= 0) & ~facts.popular(items, self.popularity_quantile)
        order = np.argsort(rare + 2 * (items < 0), axis=1, kind="stable")
        items = np.take_along_axis(items, order, axis=1)
        if self.diversity_quantile is not None:
            keep = unlike(items, facts.vectors, facts.cosine_at(self.diversity_quantile))
            items = first_only(items, keep)
        return in_places(items, k)


def unlike(items: ItemArray, vectors: FloatMatrix, limit: np.float32) -> BoolArray:
    """Walk each list and keep the items whose cosine with every kept one is below ``limit``.

    Parameters
    ----------
    items : int32 (n_sessions, length)
        −1 only at the end; never kept.
    vectors : float32 (n_items, D)
        Rows of unit length.

    Returns
    -------
    bool (n_sessions, length)
    """
    keep = np.zeros(items.shape, dtype=np.bool_)
    for start in range(0, items.shape[0], _CHUNK):
        block = items[start : start + _CHUNK]
        rows = vectors[block].astype(np.float64)  # (S, L, D)
        cosines = np.matmul(rows, rows.transpose(0, 2, 1)).astype(np.float32)  # (S, L, L)
        kept = keep[start : start + _CHUNK]
        for place in range(items.shape[1]):
            like = (cosines[:, place, :place] >= limit) & kept[:, :place]
            kept[:, place] = (block[:, place] >= 0) & ~like.any(axis=1)
    return keep
