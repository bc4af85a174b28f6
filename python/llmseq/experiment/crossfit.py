"""Choices of hybrids, each judged on sessions that it was not made by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llmseq.recommendations import Recommendations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmseq.data.sessions import HeldOut, Sessions
    from llmseq.models.hybrid.config import HybridConfig
    from llmseq.models.hybrid.facts import ItemFacts
    from llmseq.types import OffsetArray

N_FOLDS = 5


@dataclass(frozen=True, eq=False, slots=True)
class CrossFit:
    """One point of a hybrid's grid, with what it leaves open chosen by held-out lists.

    Parameters
    ----------
    config
        Chosen by all sessions.
    folds
        Chosen without each fold in turn.
    lists, in_sample
        Made with ``folds``, each for the sessions it has not seen; and with ``config``.
    """

    config: HybridConfig
    folds: tuple[HybridConfig, ...]
    lists: Recommendations
    in_sample: Recommendations


def folds_of(held_out: HeldOut, rng: np.random.Generator) -> OffsetArray:
    """Deal sessions to five folds of nearly one size; those of one person stay together.

    Returns
    -------
    int64 (n_sessions,)
        Number of each session's fold, from 0. With fewer than five people or sessions each is a
        fold of its own.
    """
    users = held_out.prompts.users
    of = np.arange(len(held_out)) if users is None else np.unique(users, return_inverse=True)[1]
    n = int(of.max(initial=-1)) + 1
    folds: OffsetArray = rng.permutation(np.arange(n) % N_FOLDS)[of]
    return folds.astype(np.int64)


def cross_fit(
    config: HybridConfig,
    lists: Mapping[str, Recommendations],
    held_out: HeldOut,
    facts: ItemFacts,
    *,
    folds: OffsetArray,
    metric: str,
) -> CrossFit:
    """Choose what a point leaves open: by all sessions, and five times by four fifths of them.

    The choice by all goes into the final model. Its own value on these sessions is too good, since
    it was chosen for it; the lists of the folds, each chosen by the others, show what to expect.

    Parameters
    ----------
    lists
        Of every model that may be a member, for the prompts of ``held_out``.
    folds : int64 (n_sessions,)
    metric
        What to raise, such as "ndcg@20".
    """
    choose = config.chooser(lists, held_out, metric=metric)
    everybody = np.arange(len(held_out), dtype=np.int64)
    chosen = choose(everybody)
    n_folds = int(folds.max(initial=0)) + 1
    without = [np.flatnonzero(folds != fold) for fold in range(n_folds)]
    configs = tuple(choose(rows) if rows.size else chosen for rows in without)
    k = max(made.k for made in lists.values())
    return CrossFit(
        chosen,
        configs,
        combine_folds(configs, lists, k, folds=folds, prompts=held_out.prompts, facts=facts),
        combine(chosen, lists, k, prompts=held_out.prompts, facts=facts),
    )


def combine_folds(
    configs: Sequence[HybridConfig],
    lists: Mapping[str, Recommendations],
    k: int,
    *,
    folds: OffsetArray,
    prompts: Sessions,
    facts: ItemFacts,
) -> Recommendations:
    """Combine lists, each fold's with its own settings."""
    items = np.full((len(prompts), k), -1, dtype=np.int32)
    scores = np.full((len(prompts), k), -np.inf, dtype=np.float32)
    for config in dict.fromkeys(config.to_toml() for config in configs):
        same = [fold for fold, each in enumerate(configs) if each.to_toml() == config]
        rows = np.flatnonzero(np.isin(folds, same))
        inside = {
            name: Recommendations(made.items[rows], made.scores[rows])
            for name, made in lists.items()
        }
        made = combine(configs[same[0]], inside, k, prompts=prompts.take(rows), facts=facts)
        items[rows], scores[rows] = made.items, made.scores
    return Recommendations(items, scores)


def combine(
    config: HybridConfig,
    lists: Mapping[str, Recommendations],
    k: int,
    *,
    prompts: Sessions,
    facts: ItemFacts,
) -> Recommendations:
    """Combine the lists of those among ``lists`` that are members."""
    names = config.parts() or lists
    inside = {name: lists[name] for name in names}
    return config.combine(inside, k, prompts=prompts, facts=facts)
