"""Popularity: the items with most events in train, the same list for everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from llmseq.config import Config
from llmseq.core import top_k
from llmseq.models.persistence import read_model, write_model
from llmseq.models.protocol import FitContext, FitSummary
from llmseq.models.request import check_request, not_fitted
from llmseq.recommendations import Recommendations

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import HeldOut, Sessions
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.types import BoolArray, CountArray


class PopularityConfig(Config):
    """Popularity has nothing to set."""


class PopularityRecommender:
    """Ranks items by their events in train; equal counts: lower index first.

    An item without an event is never listed: nothing is known about it. The score is the count.

    Examples
    --------
    >>> from llmseq import make_shop
    >>> shop = make_shop(n_sessions=200, seed=1)
    >>> model = PopularityRecommender().fit(shop, rng=np.random.default_rng(0))
    >>> model.recommend(shop.sessions, 5).items.shape
    (200, 5)
    """

    def __init__(self, config: PopularityConfig | None = None) -> None:
        self.config = config or PopularityConfig()
        self.summary = FitSummary()
        self._counts: CountArray | None = None

    def refit_config(self) -> PopularityConfig:
        """Return the settings: nothing is chosen while fitting."""
        return self.config

    def fit(
        self,
        train: SessionDataset,
        *,
        embeddings: Mapping[str, ItemEmbeddings] | None = None,  # noqa: ARG002 - not a text model
        validation: HeldOut | None = None,  # noqa: ARG002 - nothing to stop
        rng: np.random.Generator,  # noqa: ARG002 - nothing is random
        context: FitContext | None = None,  # noqa: ARG002 - done at once
    ) -> Self:
        """Count the events of each item."""
        self._counts = train.item_counts()
        return self

    def recommend(
        self,
        prompts: Sessions,
        k: int,
        *,
        exclude_seen: bool = True,
        candidates: BoolArray | None = None,
    ) -> Recommendations:
        """Rank as the Protocol says; an empty prompt gets the same list as everybody."""
        if self._counts is None:
            raise not_fitted("Popularity")
        mask = check_request(prompts, k, candidates, n_items=self._counts.size)
        known = self._counts > 0
        items, scores = top_k(
            np.ones((len(prompts), 1), dtype=np.float32),
            self._counts[:, np.newaxis].astype(np.float32),
            k,
            exclude=prompts.events if exclude_seen else None,
            candidates=known if mask is None else known & mask,
        )
        return Recommendations(items, scores)

    def save(self, path: Path) -> None:
        """Write the counts."""
        if self._counts is None:
            raise not_fitted("Popularity")
        write_model(path, kind="popularity", config=self.config, arrays={"counts": self._counts})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote."""
        config, arrays, _ = read_model(path, kind="popularity")
        model = cls(PopularityConfig.make(config, what=str(path / "config.json")))
        model._counts = arrays["counts"].astype(np.int64)
        return model
