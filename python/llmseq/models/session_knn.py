"""Session-kNN: what the train sessions most like the prompt hold (SKNN, V-SKNN)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from llmseq.config import Config
from llmseq.core import SessionIndex
from llmseq.errors import ConfigError
from llmseq.models.persistence import read_model, write_model
from llmseq.models.protocol import FitContext, FitSummary
from llmseq.models.request import check_request, not_fitted
from llmseq.recommendations import Recommendations
from llmseq.types import BoolArray, OffsetArray, Ragged

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import HeldOut, Sessions
    from llmseq.embeddings.matrix import ItemEmbeddings


class SessionKnnConfig(Config):
    """Settings of the session-kNN family; the registry's names are presets of them.

    Parameters
    ----------
    k
        Nearest sessions that vote.
    sample_size
        Possible neighbours that are compared with the prompt.
    sampling
        Which of the sessions that share an item are possible neighbours: ``random`` (seeded by
        ``rng`` and the prompt's items), ``recent`` (newest last event; needs session times),
        ``idf`` (largest sum of idf over shared items), ``idf_greedy`` (rarest items' sessions
        first, until full).
    similarity
        Of the 0/1 session vector to the prompt vector.
    prompt_decay
        How a prompt item's weight falls with its position from the end; None: all weigh 1 (SKNN).
    idf_weighting
        Multiply an item's score by 1 + ln(S / n_i).
    last_n
        Use only the last n distinct items of a prompt; None: all.
    """

    k: int = Field(default=50, ge=1)
    sample_size: int = Field(default=1500, ge=1)
    sampling: Literal["random", "recent", "idf", "idf_greedy"] = "idf"
    similarity: Literal["cosine", "dot"] = "cosine"
    prompt_decay: Literal["linear", "log", "harmonic", "quadratic"] | None = None
    idf_weighting: bool = True
    last_n: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _neighbours_come_from_the_sample(self) -> Self:
        if self.k > self.sample_size:
            raise ValueError(f"k ({self.k}) must not exceed sample_size ({self.sample_size})")
        return self


class SessionKnnRecommender:
    """Sums, over the nearest train sessions that hold an item, their similarities to the prompt.

    Only items of those sessions are listed, so a list may be short; a prompt without an item
    known from train gets an empty list. Exact and the same for any number of threads.
    """

    def __init__(self, config: SessionKnnConfig | None = None) -> None:
        self.config = config or SessionKnnConfig(prompt_decay="harmonic")
        self.summary = FitSummary()
        self._n_items = 0
        self._seed = 0
        self._train: Ragged | None = None
        self._order: OffsetArray | None = None
        self._index: SessionIndex | None = None

    def refit_config(self) -> SessionKnnConfig:
        """Return the settings: nothing is chosen while fitting."""
        return self.config

    def fit(
        self,
        train: SessionDataset,
        *,
        embeddings: Mapping[str, ItemEmbeddings] | None = None,  # noqa: ARG002 - not a text model
        validation: HeldOut | None = None,  # noqa: ARG002 - nothing to stop
        rng: np.random.Generator,
        context: FitContext | None = None,
    ) -> Self:
        """Index the train sessions.

        Raises
        ------
        ConfigError
            If ``sampling`` is ``"recent"`` and the sessions have no times.
        """
        order = _recency(train.sessions)
        if self.config.sampling == "recent" and order is None:
            raise ConfigError(
                'session-kNN: sampling = "recent" needs session times, and this log has none; '
                'use "random", "idf" or "idf_greedy"'
            )
        self._seed = int(rng.integers(2**63))
        self._build(train.sessions.events, order, train.n_items)
        if context is not None:
            context.report(1.0, f"{len(train.sessions):,} sessions indexed")
        return self

    def _build(self, train: Ragged, order: OffsetArray | None, n_items: int) -> None:
        self._train, self._order, self._n_items = train, order, n_items
        self._index = SessionIndex(train.items, train.offsets, n_items, order=order)

    def recommend(
        self,
        prompts: Sessions,
        k: int,
        *,
        exclude_seen: bool = True,
        candidates: BoolArray | None = None,
    ) -> Recommendations:
        """Rank as the Protocol says."""
        if self._index is None:
            raise not_fitted("Session-kNN")
        mask = check_request(prompts, k, candidates, n_items=self._n_items)
        settings = self.config
        items, scores = self._index.search(
            prompts.items,
            prompts.offsets,
            k,
            k=settings.k,
            sample_size=settings.sample_size,
            sampling=settings.sampling,
            similarity=settings.similarity,
            prompt_decay=settings.prompt_decay,
            idf_weighting=settings.idf_weighting,
            last_n=settings.last_n,
            seed=self._seed,
            exclude_seen=exclude_seen,
            candidates=mask,
        )
        return Recommendations(items, scores)

    def save(self, path: Path) -> None:
        """Write the train sessions; the index is made again at load."""
        if self._train is None:
            raise not_fitted("Session-kNN")
        arrays: dict[str, NDArray[Any]] = {
            "items": self._train.items,
            "offsets": self._train.offsets,
        }
        if self._order is not None:
            arrays["order"] = self._order
        extra = {"n_items": self._n_items, "seed": self._seed}
        write_model(path, kind="v-sknn", config=self.config, arrays=arrays, extra=extra)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote and index it."""
        config, arrays, extra = read_model(path, kind="v-sknn")
        model = cls(SessionKnnConfig.make(config, what=str(path / "config.json")))
        model._seed = int(extra["seed"])
        train = Ragged(arrays["items"], arrays["offsets"])
        order = arrays.get("order")
        model._build(train, order, int(extra["n_items"]))
        return model


def _recency(sessions: Sessions) -> OffsetArray | None:
    """Rank of each session by its last event, 0 = oldest, int64 (S,); None without times."""
    if sessions.times is None:
        return None
    ends = sessions.offsets[1:]
    filled = sessions.lengths > 0
    last = np.full(len(sessions), np.iinfo(np.int64).min)
    last[filled] = sessions.times[ends[filled] - 1]
    rank = np.empty(len(sessions), dtype=np.int64)
    rank[np.argsort(last, kind="stable")] = np.arange(len(sessions))
    return rank
