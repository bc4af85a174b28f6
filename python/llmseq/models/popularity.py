"""Popularity: of all time, of a recent window, or of the prompt's own items first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import Field

from llmseq.config import Config
from llmseq.core import top_k
from llmseq.data.times import MICROSECONDS_A_DAY
from llmseq.models.persistence import read_model, write_model
from llmseq.models.protocol import FitContext, FitSummary
from llmseq.models.request import check_request, check_times, fitted
from llmseq.recommendations import Recommendations

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import HeldOut, Sessions
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.types import BoolArray, FloatMatrix, ItemArray


class PopularityConfig(Config):
    """Settings of popularity; the registry's names are presets of them.

    Parameters
    ----------
    window_days
        Count the events of the last so many days of train; the other items follow by all their
        events. Needs event times. None: all events count.
    in_session
        List the prompt's own items first, by how often it holds them. Where seen items are
        excluded the lists are those of popularity.
    """

    window_days: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    in_session: bool = False

    @property
    def needs_times(self) -> tuple[str, ...]:
        """Settings that ask for session times."""
        return () if self.window_days is None else ("window_days",)


class PopularityRecommender:
    """Ranks items by their events in train; equal scores: lower index first.

    The score is the number of events that count; an item has a fraction besides, its share of
    all events, where a window or the prompt comes first. An item without an event is never listed:
    nothing is known about it.

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
        self._scores: FloatMatrix | None = None  # (n_items,)

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
        """Count the events of each item.

        Raises
        ------
        ConfigError
            If a window is asked for and the sessions have no times.
        """
        check_times(self.config, train, model="popularity", instead='use "popularity", without one')
        counts = train.item_counts()
        times = train.sessions.times
        scores = counts.astype(np.float64)
        if self.config.in_session:
            scores = scores / (counts.sum() + 1)
        elif self.config.window_days is not None and times is not None and times.size:
            # In whole microseconds: a window longer than the log holds all of it.
            window = min(self.config.window_days * MICROSECONDS_A_DAY, float(2**62))
            recent = train.sessions.items[times.max() - times <= int(window)]
            scores = np.bincount(recent, minlength=train.n_items) + scores / (counts.sum() + 1)
        self._scores = scores.astype(np.float32)
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
        popularity = fitted(self._scores, "Popularity")
        mask = check_request(prompts, k, candidates, n_items=popularity.size)
        known = popularity > 0
        allowed = known if mask is None else known & mask
        own_first = self.config.in_session and not exclude_seen
        items, scores = top_k(
            np.ones((len(prompts), 1), dtype=np.float32),
            popularity[:, np.newaxis],
            k,
            exclude=prompts.events if exclude_seen or own_first else None,
            candidates=allowed,
        )
        if own_first:
            for row in range(len(prompts)):
                own, own_scores = self._rank_own(prompts[row], popularity, allowed)
                items[row] = np.concatenate([own, items[row]])[:k]
                scores[row] = np.concatenate([own_scores, scores[row]])[:k]
        return Recommendations(items, scores)

    @staticmethod
    def _rank_own(
        prompt: ItemArray, shares: FloatMatrix, allowed: BoolArray
    ) -> tuple[ItemArray, FloatMatrix]:
        """Items of a prompt by their events in it, then by all events; then the lower index."""
        items, counts = np.unique(prompt[allowed[prompt]], return_counts=True)
        scores = counts.astype(np.float32) + shares[items]
        order = np.lexsort((items, -scores))
        return items[order], scores[order]

    def save(self, path: Path) -> None:
        """Write the scores."""
        popularity = fitted(self._scores, "Popularity")
        write_model(path, kind="popularity", config=self.config, arrays={"scores": popularity})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote."""
        config, arrays, _ = read_model(path, kind="popularity")
        model = cls(PopularityConfig.make(config, what=str(path / "config.json")))
        model._scores = arrays["scores"]
        return model
