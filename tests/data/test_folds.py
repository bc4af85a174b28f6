from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from llmseq.data.folds import forward_folds, search_folds
from llmseq.data.split import SplitConfig, split_dataset
from llmseq.errors import ConfigError, InvalidDataError

if TYPE_CHECKING:
    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import Sessions


def last_times(shop: SessionDataset, sessions: Sessions) -> np.ndarray:
    """Time of each session's last event in the whole log, by its id."""
    known = dict(zip(shop.sessions.ids, shop.sessions.last_times(), strict=True))
    return np.array([known[name] for name in sessions.ids])


def test_folds_chain_forward_in_time(shop: SessionDataset) -> None:
    config = SplitConfig()
    train = split_dataset(shop, config).train
    folds = search_folds(split_dataset(shop, config), config, 3)
    assert [fold.name for fold in folds] == [f"fold {number} of 3" for number in (1, 2, 3)]
    n = len(train.sessions)
    known: set[str] = set()
    for number, fold in enumerate(folds, start=1):
        fit, stop = set(fold.fit.sessions.ids), set(fold.stop.prompts.ids)
        validation = set(fold.validation.prompts.ids)
        assert not fit & (stop | validation)
        assert not stop & validation
        assert known <= fit | stop  # each fold knows what the one before knew
        assert abs(len(fit) - 0.95 * n * number / 4) <= 2
        assert 0.8 * n / 4 < len(validation) <= n / 4 + 1  # less those of cold items
        newest_known = last_times(shop, fold.fit.sessions).max()
        assert newest_known <= last_times(shop, fold.stop.prompts).min()
        assert newest_known <= last_times(shop, fold.validation.prompts).min()
        known = fit
    test = set(split_dataset(shop, config).test.prompts.ids)
    assert not test & set().union(*(fold.fit.sessions.ids for fold in folds))
    assert not test & set().union(*(fold.validation.prompts.ids for fold in folds))


def test_candidates_are_what_the_fold_learns_from(shop: SessionDataset) -> None:
    train = split_dataset(shop).train
    [fold, *_] = forward_folds(train, SplitConfig(), 3)
    warm = fold.fit.item_counts() > 0
    assert fold.candidates.tolist() == warm.tolist()
    assert not warm.all()
    for part in (fold.stop, fold.validation):
        assert warm[part.prompts.items].all()
        assert warm[part.targets.items].all()
    [cold, *_] = forward_folds(train, SplitConfig(keep_cold=True), 3)
    assert cold.candidates.all()
    assert len(cold.validation) >= len(fold.validation)


def test_one_fold_is_the_select_part(shop: SessionDataset) -> None:
    untimed = replace(shop, sessions=replace(shop.sessions, times=None))
    labels = np.array(["train"] * 200 + ["test"] * 100, dtype=object)
    split = split_dataset(replace(untimed, split_labels=labels))
    [fold] = search_folds(split, SplitConfig(), 1)
    assert (fold.fit, fold.stop, fold.validation) == (split.fit, split.stop, split.select)
    assert fold.candidates is split.select_candidates
    with pytest.raises(ConfigError, match="need session times"):
        search_folds(split, SplitConfig(), 3)


def test_a_log_too_small_for_its_folds(shop: SessionDataset) -> None:
    train = shop.take(np.arange(5))
    with pytest.raises(InvalidDataError, match="fold 1 of 4: none of the"):
        forward_folds(train, SplitConfig(), 4)
