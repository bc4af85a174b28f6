"""The made-up shop: seeded, of any size, with signal in order and in texts."""

from __future__ import annotations

import time

import numpy as np
import pytest

from llmseq.data.importer import import_dataset
from llmseq.data.split import split_dataset
from llmseq.data.synthetic import ShopConfig, make_shop, write_shop_files
from llmseq.errors import ConfigError


def test_equal_seeds_equal_shops():
    config = ShopConfig(n_sessions=50, n_items=30, seed=5)
    assert make_shop(config).fingerprint() == make_shop(config).fingerprint()
    assert make_shop(config).fingerprint() != make_shop(config.replace(seed=6)).fingerprint()


@pytest.mark.parametrize("n_items", [10, 37, 500])
@pytest.mark.parametrize("n_brands", [2, 40])
def test_any_size(n_items, n_brands):
    shop = make_shop(n_sessions=80, n_items=n_items, n_brands=n_brands, seed=2)
    assert (len(shop.sessions), shop.n_items) == (80, n_items)
    times = shop.sessions.times
    rows = shop.sessions.events.rows
    assert (np.diff(times)[rows[1:] == rows[:-1]] > 0).all()
    assert (np.diff(times[shop.sessions.offsets[:-1]]) >= -3600 * 10**6).all()


def test_nothing_is_seen_before_its_launch(shop):
    launched = shop.catalogue.item_times[shop.sessions.items]
    assert (shop.sessions.times / 1e6 >= launched - 1).all()


def test_it_is_lifelike():
    shop = make_shop(n_sessions=3000, seed=1)
    sessions = shop.sessions
    counts = np.sort(shop.item_counts())[::-1]
    assert 5 < sessions.lengths.mean() < 7
    assert counts[: shop.n_items // 5].sum() > 0.45 * counts.sum()  # a head
    assert (counts < 5).mean() > 0.1  # and a tail
    assert np.bincount(sessions.users).max() >= 5  # people come back
    report = split_dataset(shop).report
    assert 0.01 < report["comparison"]["test"]["cold_last_items"] < 0.25
    assert report["seen_targets"] < 0.05
    titles = [title for title in shop.catalogue.titles if title]
    assert len(titles) == shop.n_items - 6
    assert len(set(titles)) > 0.98 * len(titles)


def test_order_and_texts_tell_more_than_popularity():
    shop = make_shop(n_sessions=3000, seed=3)
    split = split_dataset(shop)
    fit, test = split.fit.sessions, split.test
    last = test.prompts.items[test.prompts.offsets[1:] - 1]
    target = test.targets.items

    def hits(scores):
        scores = scores.copy()
        scores[np.arange(len(test)), last] = -np.inf
        rank = (scores > scores[np.arange(len(test)), target][:, None]).sum(axis=1)
        return (rank < 20).mean()

    popularity = split.fit.item_counts() / 1e6
    follows = np.zeros((shop.n_items, shop.n_items))
    same = np.diff(fit.events.rows) == 0
    np.add.at(follows, (fit.items[:-1][same], fit.items[1:][same]), 1)
    words = [set((title or "").split()) for title in shop.catalogue.titles]
    shared = np.array([[len(words[i] & other) for other in words] for i in last], dtype=float)
    by_popularity = hits(np.tile(popularity, (len(test), 1)))
    by_order = hits(follows[last] + popularity)
    by_text = hits(shared + popularity)
    assert by_order > 2 * by_popularity
    assert by_text > 2 * by_popularity
    backwards = hits(follows.T[last] + popularity)
    assert by_order > 1.2 * backwards  # which way around matters


@pytest.mark.slow
def test_a_hundred_thousand_sessions_take_seconds():
    began = time.process_time()
    shop = make_shop(n_sessions=100_000)
    assert shop.sessions.n_events > 500_000
    assert time.process_time() - began < 20


def test_files_come_in_through_the_front_door(tmp_path):
    config = ShopConfig(n_sessions=400, seed=9)
    files = write_shop_files(tmp_path, config)
    dataset = import_dataset(files.interactions, files.items)
    shop = make_shop(config)
    assert dataset.catalogue.titles == shop.catalogue.titles
    assert dataset.n_items == shop.n_items
    assert any("&" in title for title in dataset.catalogue.titles if title)
    dropped = {entry["key"] for entry in dataset.provenance["report"]["dropped"]}
    assert "events_of_unknown_items" in dropped
    assert 0.98 < dataset.sessions.n_events / shop.sessions.n_events < 1.0
    again = write_shop_files(tmp_path / "again", config)
    assert again.interactions.read_bytes() == files.interactions.read_bytes()


def test_wrong_settings():
    with pytest.raises(ConfigError, match="n_sessions"):
        make_shop(n_sessions=0)
    with pytest.raises(ConfigError, match='unknown setting "sessions"'):
        make_shop(sessions=5)
    with pytest.raises(ConfigError, match="not both"):
        make_shop(ShopConfig(), seed=1)
