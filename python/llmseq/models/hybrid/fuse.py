"""Fusion: several models' lists made into one, by rank or by score."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import Field

from llmseq.config import Config
from llmseq.core import evaluate_lists, fuse_lists
from llmseq.errors import ConfigError, ShapeError
from llmseq.models.persistence import load_members, read_model, write_model
from llmseq.models.protocol import FitContext, FitSummary, Recommender
from llmseq.recommendations import Recommendations

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import HeldOut, Sessions
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.types import BoolArray

NDCG_AT = 20
MOST_MEMBERS = 8


class FusionConfig(Config):
    """Settings of a fusion.

    Parameters
    ----------
    method
        ``rrf``: the sum of weight / (c + rank); ``zscore``: the weighted sum of each list's
        scores less their mean, over their standard deviation.
    c
        How flat reciprocal ranks fall.
    list_length
        Places of each member's list that count.
    weights
        By member's name; a member without one weighs 1. None: all weigh 1.
    """

    method: Literal["rrf", "zscore"] = "rrf"
    c: float = Field(default=10.0, ge=0.0, allow_inf_nan=False)
    list_length: int = Field(default=100, ge=1)
    weights: dict[str, Annotated[float, Field(ge=0.0, allow_inf_nan=False)]] | None = None


def fuse(lists: Mapping[str, Recommendations], k: int, config: FusionConfig) -> Recommendations:
    """Fuse lists that are already made; equal scores: lower item index first.

    Parameters
    ----------
    lists
        By member's name, each for the same sessions; cut at ``config.list_length``.
    k
        Places of the fused lists. They are short where the members together name fewer items.

    Raises
    ------
    ConfigError
        If no list is given, or a weight is for a name that is not among them.
    ShapeError
        If the lists are not for equally many sessions.
    """
    if not lists:
        raise ConfigError("a fusion needs at least one member")
    sizes = {name: len(made) for name, made in lists.items()}
    if len(set(sizes.values())) > 1:
        raise ShapeError(f"members' lists are for different numbers of sessions: {sizes}")
    given = config.weights or {}
    unknown = [name for name in given if name not in lists]
    if unknown:
        raise ConfigError(
            f'fusion: weights name "{unknown[0]}", but the members are {", ".join(lists)}'
        )
    cut = [made.top(config.list_length) for made in lists.values()]
    items, scores = fuse_lists(
        [(made.items, made.scores) for made in cut],
        k,
        method=config.method,
        weights=[given.get(name, 1.0) for name in lists],
        c=config.c,
    )
    return Recommendations(items, scores)


def choose_members(
    lists: Mapping[str, Recommendations],
    held_out: HeldOut,
    config: FusionConfig,
    *,
    k: int = NDCG_AT,
) -> tuple[str, ...]:
    """Choose which models to fuse: the combination with the highest NDCG of all that there are.

    Adding one model at a time would miss two that help only together. Of more than eight models
    the eight best by themselves are combined.

    Parameters
    ----------
    lists
        Every possible member's lists for the prompts of ``held_out`` (the select part).
    k
        Cut-off of the NDCG.

    Returns
    -------
    tuple of str
        Names in the order given; of equal combinations the smallest, then the first. A single
        model where fusing does not help.
    """
    if not lists:
        raise ConfigError("a fusion needs at least one model to choose from")
    figures: dict[tuple[str, ...], float] = {
        (name,): _ndcg(lists, (name,), held_out, config, k) for name in lists
    }
    best_alone = sorted(figures, key=figures.__getitem__, reverse=True)[:MOST_MEMBERS]
    names = [name for name in lists if (name,) in best_alone]
    for size in range(2, len(names) + 1):
        for members in combinations(names, size):
            figures[members] = _ndcg(lists, members, held_out, config, k)
    return max(figures, key=figures.__getitem__)  # the first of equals


def _ndcg(
    lists: Mapping[str, Recommendations],
    names: tuple[str, ...],
    held_out: HeldOut,
    config: FusionConfig,
    k: int,
) -> float:
    weights = None
    if config.weights is not None:
        weights = {name: config.weights[name] for name in names if name in config.weights}
    fused = fuse({name: lists[name] for name in names}, k, config.replace(weights=weights))
    return evaluate_lists(fused.items, held_out.targets, ks=(k,)).means[f"ndcg@{k}"]


class FusionRecommender:
    """Fuses the lists of fitted models.

    Parameters
    ----------
    config : FusionConfig
    members : mapping
        Fitted models by name; the names stand in ``config.weights`` and in a saved folder.

    Notes
    -----
    A list never holds an item beyond ``list_length`` places of every member, whatever ``k``, so
    that the first places do not depend on how many are asked for.
    """

    def __init__(self, config: FusionConfig | None, members: Mapping[str, Recommender]) -> None:
        self.config = config or FusionConfig()
        self.members = dict(members)
        if not self.members:
            raise ConfigError("a fusion needs at least one member")

    @property
    def summary(self) -> FitSummary:
        """Parameters of all members together."""
        return FitSummary(parameters=sum(m.summary.parameters for m in self.members.values()))

    def refit_config(self) -> FusionConfig:
        """Return the settings: nothing is chosen while fitting."""
        return self.config

    def fit(
        self,
        train: SessionDataset,
        *,
        embeddings: Mapping[str, ItemEmbeddings] | None = None,  # noqa: ARG002 - members have them
        validation: HeldOut | None = None,  # noqa: ARG002 - nothing to stop
        rng: np.random.Generator,  # noqa: ARG002 - nothing is random
        context: FitContext | None = None,  # noqa: ARG002 - done at once
    ) -> Self:
        """Check that every member is fitted on a catalogue of this size; members come fitted.

        Raises
        ------
        NotFittedError
            If a member is not fitted.
        """
        nobody = train.sessions.take(np.empty(0, dtype=np.int64))
        every_item = np.ones(train.n_items, dtype=np.bool_)
        for member in self.members.values():
            member.recommend(nobody, 1, candidates=every_item)
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
        if k < 1:
            raise ConfigError(f"k must be at least 1, got {k}")
        lists = {
            name: member.recommend(
                prompts, self.config.list_length, exclude_seen=exclude_seen, candidates=candidates
            )
            for name, member in self.members.items()
        }
        return fuse(lists, k, self.config)

    def save(self, path: Path) -> None:
        """Write the settings and each member into its own folder."""
        write_model(path, kind="fusion", config=self.config, arrays={}, members=self.members)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote, members included."""
        config, _, _ = read_model(path, kind="fusion")
        return cls(FusionConfig.make(config, what=str(path / "config.json")), load_members(path))
