"""Session-kNN: what the train sessions most like the prompt hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import Field, model_validator

from llmseq.config import Config
from llmseq.core import SessionIndex
from llmseq.core.knn import Decay, Sampling, SessionSimilarity
from llmseq.data.times import MICROSECONDS_A_DAY
from llmseq.models.backfill import check_backfill, fill_short, fit_backfill
from llmseq.models.persistence import WEIGHTS, load_members, read_settings, write_model
from llmseq.models.protocol import FitContext, FitSummary, Recommender
from llmseq.models.request import check_request, check_times, fitted
from llmseq.recommendations import Recommendations

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import HeldOut, Sessions
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.types import BoolArray, OffsetArray


class NeighbourConfig(Config):
    """Settings that the whole session-kNN family shares.

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
        Of the two sessions' vectors.
    sequential_weighting
        Multiply a neighbour's vote by x/n, x the place of its newest shared item in a prompt of n
        items (S-SKNN).
    followers_only
        List only items that directly follow the prompt's last item in train (SF-SKNN).
    backward
        Weight of a neighbour's items that stand before its newest shared item, as a share of the
        others': below 1 what comes next counts for more than what came before. 1 is session-kNN as
        published.
    idf_weighting
        Multiply an item's score by 1 + ln(S / n_i).
    half_life_days
        Halve a similarity for every so many days that a session is older than the newest; needs
        session times.
    newest_per_item
        Keep only the newest so many sessions of each item, which bounds the work for a prompt
        (VMIS-kNN); needs session times.
    last_n
        Use only the last n distinct items of a prompt; None: all.
    backfill
        A registered model that fills lists which are too short; None: they stay short.
    """

    k: int = Field(default=50, ge=1)
    sample_size: int = Field(default=1500, ge=1)
    sampling: Sampling = "idf"
    similarity: SessionSimilarity = "cosine"
    sequential_weighting: bool = False
    followers_only: bool = False
    backward: float = Field(default=0.25, ge=0.0, allow_inf_nan=False)
    idf_weighting: bool = True
    half_life_days: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    newest_per_item: int | None = Field(default=None, ge=1)
    last_n: int | None = Field(default=None, ge=1)
    backfill: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.k > self.sample_size:
            raise ValueError(f"k ({self.k}) must not exceed sample_size ({self.sample_size})")
        if self.backfill is not None:
            check_backfill(self.backfill)
        return self

    @property
    def needs_times(self) -> tuple[str, ...]:
        """Settings that ask for session times."""
        asked = {
            'sampling = "recent"': self.sampling == "recent",
            "half_life_days": self.half_life_days is not None,
            "newest_per_item": self.newest_per_item is not None,
        }
        return tuple(name for name, needed in asked.items() if needed)

    def of_index(self) -> dict[str, Any]:
        """Give what the index must be made with."""
        return {"newest": self.newest_per_item, "followers": self.followers_only}

    def of_search(self) -> dict[str, Any]:
        """Give what a search is asked with."""
        half_life = self.half_life_days
        return {
            "k": self.k,
            "sample_size": self.sample_size,
            "sampling": self.sampling,
            "similarity": self.similarity,
            "sequential_weighting": self.sequential_weighting,
            "only_followers": self.followers_only,
            "backward": self.backward,
            "idf_weighting": self.idf_weighting,
            "half_life": None if half_life is None else half_life * MICROSECONDS_A_DAY,
            "last_n": self.last_n,
        }


class SessionKnnConfig(NeighbourConfig):
    """Sessions compare by the items they share; the registry's names are presets of this.

    Parameters
    ----------
    prompt_decay
        How a prompt item's weight falls with its position from the end; None: all weigh 1.
    """

    prompt_decay: Decay | None = None

    def of_search(self) -> dict[str, Any]:
        """Give what a search is asked with."""
        return {**super().of_search(), "prompt_decay": self.prompt_decay}


class SessionKnnRecommender:
    """Sums, over the nearest train sessions that hold an item, their similarities to the prompt.

    Only items of those sessions are listed, so a list may be short unless there is a ``backfill``,
    whose places score −1, −2 and so on; a prompt without an item known from train gets an empty
    list or a filled one. Exact and the same for any number of threads.
    """

    kind = "v-sknn"
    config: NeighbourConfig

    def __init__(self, config: SessionKnnConfig | None = None) -> None:
        self.config = config or SessionKnnConfig(prompt_decay="harmonic")
        self.summary = FitSummary()
        self._seed = 0
        self._index: SessionIndex | None = None
        self._backfill: Recommender | None = None

    def refit_config(self) -> NeighbourConfig:
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
        """Index the train sessions.

        Raises
        ------
        ConfigError
            If a setting needs session times and there are none.
        """
        check_times(
            self.config,
            train,
            model="session-kNN",
            instead='sample with "random", "idf" or "idf_greedy", and leave age out',
        )
        sessions = train.sessions
        self._seed = int(rng.integers(2**63))
        self._index = SessionIndex(
            sessions.items,
            sessions.offsets,
            train.n_items,
            order=_last_times(sessions),
            **self._of_vectors(train, embeddings),
            **self.config.of_index(),
        )
        if self.config.backfill is not None:
            self._backfill = fit_backfill(
                self.config.backfill, train, embeddings=embeddings, rng=rng, context=context
            )
        if context is not None:
            context.report(1.0, f"{len(sessions):,} sessions indexed")
        return self

    def _of_vectors(
        self,
        train: SessionDataset,  # noqa: ARG002 - SKNNEmb takes them
        embeddings: Mapping[str, ItemEmbeddings] | None,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Item vectors and their pooling, where sessions compare by them."""
        return {}

    def recommend(
        self,
        prompts: Sessions,
        k: int,
        *,
        exclude_seen: bool = True,
        candidates: BoolArray | None = None,
    ) -> Recommendations:
        """Rank as the Protocol says."""
        index = fitted(self._index, "Session-kNN")
        mask = check_request(prompts, k, candidates, n_items=index.n_items)
        items, scores = index.search(
            prompts.items,
            prompts.offsets,
            k,
            seed=self._seed,
            exclude_seen=exclude_seen,
            candidates=mask,
            **self.config.of_search(),
        )
        lists = Recommendations(items, scores)
        if self._backfill is None:
            return lists
        short = np.flatnonzero(lists.items[:, -1] < 0)
        more = self._backfill.recommend(
            prompts.take(short), k, exclude_seen=exclude_seen, candidates=mask
        )
        return fill_short(lists, short, more)

    def save(self, path: Path) -> None:
        """Write the index, which loading maps and does not build again."""
        index = fitted(self._index, "Session-kNN")
        write_model(
            path,
            kind=self.kind,
            config=self.config,
            arrays=index.arrays(),
            metadata=index.metadata(),
            extra={"seed": self._seed, "notes": self.summary.notes},
            members={} if self._backfill is None else {"backfill": self._backfill},
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote."""
        config, extra = read_settings(path, kind=cls.kind)
        model = cls()
        model.config = type(model.config).make(config, what=str(path / "config.json"))
        model.summary = FitSummary(notes=tuple(extra["notes"]))
        model._seed = int(extra["seed"])
        model._index = SessionIndex.open(path / WEIGHTS)
        if model.config.backfill is not None:
            model._backfill = load_members(path)["backfill"]
        return model


def _last_times(sessions: Sessions) -> OffsetArray | None:
    """Time of each session's last event, int64 (S,); None without times. Empty ones are oldest."""
    if sessions.times is None:
        return None
    filled = sessions.lengths > 0
    last = np.full(len(sessions), np.iinfo(np.int64).min)
    last[filled] = sessions.times[sessions.offsets[1:][filled] - 1]
    return last
