"""Parts of train that settings are searched on: forward-chaining folds, or the select part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llmseq.data.held_out import hold_out
from llmseq.errors import ConfigError, InvalidDataError

if TYPE_CHECKING:
    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import HeldOut
    from llmseq.data.split import Split, SplitConfig
    from llmseq.types import BoolArray


@dataclass(frozen=True, eq=False, slots=True)
class Fold:
    """What one fit of a search learns from, and what it is judged by.

    Parameters
    ----------
    name : str
        As log and report show it.
    fit : SessionDataset
        What models learn from.
    stop : HeldOut
        For early stopping only: every position of its sessions.
    validation : HeldOut
        The last item of each session.
    candidates : bool (n_items,)
        Items that lists may hold.
    """

    name: str
    fit: SessionDataset
    stop: HeldOut
    validation: HeldOut
    candidates: BoolArray


def search_folds(split: Split, config: SplitConfig, n_folds: int) -> tuple[Fold, ...]:
    """Give the folds of a search: ``n_folds`` that chain forward, or for 1 the select part.

    Raises
    ------
    ConfigError
        If sessions without times are asked for more than one fold.
    InvalidDataError
        If a fold would hold nothing out.
    """
    if n_folds == 1:
        candidates = split.select_candidates
        return (Fold("select", split.fit, split.stop, split.select, candidates),)
    return forward_folds(split.train, config, n_folds)


def forward_folds(train: SessionDataset, config: SplitConfig, n_folds: int) -> tuple[Fold, ...]:
    """Cut train into ``n_folds + 1`` bins of equal size, oldest first, by the last event.

    Fold j learns from bins 1 to j, of which the newest ``stop_share`` is for early stopping, and is
    judged by bin j + 1. Items that bins 1 to j less stop do not know leave both, unless
    ``keep_cold``.

    Raises
    ------
    ConfigError
        If the sessions have no times.
    InvalidDataError
        If a fold would hold nothing out.
    """
    if train.sessions.times is None:
        raise ConfigError(
            f"{n_folds} forward-chaining folds need session times, and this log has none; take 1: "
            "the select part"
        )
    order = np.argsort(train.sessions.last_times(), kind="stable")
    bins = np.array_split(order, n_folds + 1)
    folds = []
    for number in range(1, n_folds + 1):
        known = np.concatenate(bins[:number])
        n_stop = max(1, round(config.stop_share * known.size))
        fit = train.take(np.sort(known[:-n_stop]))
        warm = fit.item_counts() > 0
        stop, validation = (
            hold_out(train.sessions.take(np.sort(rows)), warm, keep_cold=config.keep_cold)
            for rows in (known[-n_stop:], bins[number])
        )
        for name, part in (("stop", stop), ("validation", validation)):
            if len(part.kept) == 0:
                raise InvalidDataError(
                    f"fold {number} of {n_folds}: none of the {len(part.raw):,} {name} sessions "
                    "has two items that earlier ones know; take fewer folds, or 1: the select part"
                )
        folds.append(
            Fold(
                f"fold {number} of {n_folds}",
                fit,
                stop.every_position(),
                validation.last_items(),
                np.ones_like(warm) if config.keep_cold else warm,
            )
        )
    return tuple(folds)
