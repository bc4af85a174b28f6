"""Splits: the right sizes, the same parts again, and nothing of test in train."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from llmseq.data.catalogue import Catalogue
from llmseq.data.cut import check_leakage
from llmseq.data.dataset import SessionDataset
from llmseq.data.held_out import hold_out, in_own_row, seen_share, target_popularity
from llmseq.data.sessions import HeldOut, Sessions
from llmseq.data.split import SplitConfig, split_dataset
from llmseq.data.validation_part import draw_parts
from llmseq.errors import ConfigError, InvalidDataError
from llmseq.types import Ragged

N_ITEMS = 8


def make(rows, *, ends=None, labels=None, item_times=None):
    """Make a dataset; ``ends`` are the times of the last events."""
    events = Ragged.from_lists(rows)
    times = None
    if ends is not None:
        times = np.repeat(np.array(ends), events.lengths) * 1000
        times += np.concatenate([np.arange(len(row)) - len(row) for row in rows])
    ids = np.array([f"s{i}" for i in range(len(rows))], dtype=object)
    table = pl.DataFrame({"item_id": [str(i) for i in range(N_ITEMS)]}).with_columns(
        title=pl.lit("x"), text=pl.lit("x")
    )
    if item_times is not None:
        table = table.with_columns(pl.Series("item_time", item_times, dtype=pl.Float64))
    labels = None if labels is None else np.array(labels, dtype=object)
    return SessionDataset(Catalogue(table), Sessions(ids, events, times), labels)


def rows_of(ragged):
    return [ragged[row].tolist() for row in range(len(ragged))]


def split_or_reject(dataset, config):
    """Cut, or tell Hypothesis that this log has too little for every part."""
    try:
        return split_dataset(dataset, config)
    except InvalidDataError:
        reject()


ROWS = st.lists(
    st.lists(st.integers(0, N_ITEMS - 1), min_size=1, max_size=7), min_size=20, max_size=60
)


@given(ROWS, st.data())
def test_temporal_parts_are_disjoint_and_in_order(rows, data):
    ends = data.draw(
        st.lists(st.integers(1, 30), min_size=len(rows), max_size=len(rows)), label="ends"
    )
    dataset = make(rows, ends=ends)
    split = split_or_reject(dataset, SplitConfig())
    n_test = round(0.2 * len(rows))
    n_train = len(rows) - n_test
    assert len(split.train.sessions) == n_train
    test_rows = sorted(range(len(rows)), key=lambda row: (ends[row], row))[-n_test:]
    train_ids = set(split.train.sessions.ids)
    assert train_ids == set(dataset.sessions.ids) - {f"s{row}" for row in test_rows}
    parts = [
        set(split.fit.sessions.ids),
        set(split.select.prompts.ids),
        set(split.stop.prompts.ids),
    ]
    test_ids = set(split.test.prompts.ids)
    assert test_ids <= {f"s{row}" for row in test_rows}
    for one in range(3):
        assert parts[one] <= train_ids
        for other in range(one):
            assert not parts[one] & parts[other]
    last = dict(zip(dataset.sessions.ids, dataset.sessions.last_times(), strict=True))
    assert max(last[i] for i in train_ids) <= min((last[i] for i in test_ids), default=1e18)
    assert max(last[i] for i in parts[0]) <= min(last[i] for i in parts[1])
    for held, candidates, known in (
        (split.test, split.test_candidates, split.train),
        (split.select, split.select_candidates, split.fit),
        (split.stop, split.select_candidates, split.fit),
    ):
        np.testing.assert_array_equal(candidates, known.item_counts() > 0)
        assert candidates[held.targets.items].all()
        assert candidates[held.prompts.items].all()
    again = split_dataset(dataset)
    assert again.select.prompts.ids.tolist() == split.select.prompts.ids.tolist()
    assert again.report == split.report


@given(ROWS)
def test_leave_last_out_takes_each_target_out_of_train(rows):
    dataset = make(rows)
    config = SplitConfig(method="leave-last-out", seed=3)
    split = split_or_reject(dataset, config)
    expected = [row[:-1] if len(row) >= 3 else row for row in rows]
    assert rows_of(split.train.sessions.events) == expected
    known = {item for row in expected for item in row}
    wanted = {f"s{i}": row for i, row in enumerate(rows) if len(row) >= 3 and row[-1] in known}
    assert split.test.prompts.ids.tolist() == list(wanted)
    assert rows_of(split.test.prompts.events) == [row[:-1] for row in wanted.values()]
    assert split.test.targets.items.tolist() == [row[-1] for row in wanted.values()]
    assert "the other events of the test sessions are" in split.report["leakage"]["summary"]


def test_a_file_split_worked_by_hand():
    rows = [[0, 1]] * 16 + [[2, 0, 2], [0, 5, 1, 5], [5, 0], [6]] + [[3, 4]]
    labels = ["train"] * 16 + ["train"] + ["test"] * 3 + ["dropped"]
    split = split_dataset(make(rows, labels=labels), SplitConfig(seed=1))
    # item 5 and 6 have no train event: s17 keeps [0, 1], s18 keeps one item, s19 none
    assert split.test.prompts.ids.tolist() == ["s17"]
    assert rows_of(split.test.prompts.events) == [[0]]
    assert rows_of(split.test.targets) == [[1]]
    assert np.flatnonzero(split.test_candidates).tolist() == [0, 1, 2]
    report = split.report
    assert report["dropped"]["test"] == {"cold_events": 4, "sessions": 2}
    assert report["sizes"]["sessions"] == 21
    assert report["sizes"]["train"] == 17
    assert report["sizes"]["select"] == 2
    assert report["sizes"]["stop"] == 1
    assert report["comparison"]["test"] == {
        "sessions": 1,
        "mean_prompt": 1.0,
        "cold_last_items": 2 / 3,
        "events_lost": 4 / 7,
    }
    kept = split_dataset(make(rows, labels=labels), SplitConfig(seed=1, keep_cold=True))
    assert rows_of(kept.test.prompts.events) == [[0, 5, 1], [5]]
    assert kept.test_candidates.all()
    assert kept.report["comparison"]["test"]["cold_last_items"] == 2 / 3


def test_validation_is_the_newest_by_time():
    ends = np.random.default_rng(0).permutation(100)
    parts = draw_parts(make([[0, 1]] * 100, ends=ends), 0.1, 0.05, seed=0)
    assert sorted(ends[parts.select]) == list(range(90, 100))
    assert sorted(ends[parts.stop]) == list(range(86, 90))  # 5 % of 90, rounded
    assert parts.drawn == "newest"


def test_validation_by_item_times_is_half_of_the_newest_fifth():
    newest = np.random.default_rng(1).permutation(1000)
    item_times = np.arange(N_ITEMS, dtype=float)
    rows = [[0, int(rank >= 800) + int(rank >= 910)] for rank in newest]
    dataset = make(rows, item_times=item_times)
    parts = draw_parts(dataset, 0.1, 0.05, seed=0)
    assert parts.drawn == "newest-items"
    assert len(parts.select) == 100
    assert len(parts.stop) == 45
    ranks = newest[parts.select]
    assert ranks.min() >= 800
    assert 20 < (ranks >= 910).sum() < 80  # a half of them, not the newest themselves
    # stop comes from a fifth too, of what select left: enough new sessions remain to learn from
    assert 15 < (newest[parts.stop] >= 800).sum() < 40
    assert (newest[parts.fit] >= 800).sum() > 60
    everything = np.sort(np.concatenate([parts.select, parts.stop, parts.fit]))
    np.testing.assert_array_equal(everything, np.arange(1000))
    other = draw_parts(dataset, 0.1, 0.05, seed=1)
    assert set(other.select) != set(parts.select)


def test_validation_is_random_without_any_times():
    for item_times in (None, [np.nan] * N_ITEMS, [1.0] + [np.nan] * (N_ITEMS - 1)):
        dataset = make([[3, 2]] * 100, item_times=item_times)
        parts = draw_parts(dataset, 0.1, 0.05, seed=0)
        assert parts.drawn == "random"
        assert (len(parts.select), len(parts.stop), len(parts.fit)) == (10, 4, 86)
        assert 20 < parts.select.mean() < 80
        assert "random" in parts.why


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("auto", 'neither split labels nor times .* choose the split "leave-last-out"'),
        ("file", 'needs split labels: .* choose "temporal" or "leave-last-out"'),
        ("temporal", 'needs times: .* choose "file" or "leave-last-out"'),
    ],
)
def test_a_method_without_its_columns_names_the_choices(method, message):
    with pytest.raises(ConfigError, match=message):
        split_dataset(make([[0, 1]] * 20), SplitConfig(method=method))


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (make([[0, 1]] * 20, labels=["train"] * 20), "leaves no test sessions of 20"),
        (make([[0, 1]] * 20, labels=["test"] * 20), "leaves no train sessions"),
        (
            make([[0, 1]] * 19 + [[7, 6]], labels=["train"] * 19 + ["test"]),
            "none of the 1 test sessions has two items that train knows",
        ),
        (make([[0]] * 30, ends=range(30)), "none of the 2 select sessions"),
    ],
)
def test_parts_that_would_be_empty(dataset, message):
    with pytest.raises(InvalidDataError, match=message):
        split_dataset(dataset)


def test_repeated_session_ids_are_refused():
    dataset = make([[0, 1]] * 20, ends=range(20))
    ids = dataset.sessions.ids.copy()
    ids[3] = "s4"
    twice = dataclasses.replace(
        dataset, sessions=Sessions(ids, dataset.sessions.events, dataset.sessions.times)
    )
    with pytest.raises(InvalidDataError, match="a session id stands more than once"):
        split_dataset(twice)


def test_leakage_is_found_where_it_is():
    dataset = make([[0, 1]] * 20, ends=range(20))
    late = dataset.take(np.arange(10, 20))
    early = dataset.sessions.take(np.arange(10))
    found = check_leakage(dataset, "file", late, early)
    assert found["train_events_after_first_target"] == 20
    assert "the future leaks" in found["summary"]
    with pytest.raises(InvalidDataError, match="10 test sessions or targets are in train too"):
        check_leakage(dataset, "temporal", dataset, early)


def test_long_stop_sessions_are_cut():
    rows = [[0, 1]] * 30 + [[0, 1] * 400]
    split = split_dataset(make(rows, ends=range(31)), SplitConfig(test_share=0.03))
    assert max(split.test.prompts.lengths) == 799  # prompts of test stay whole
    # of 31 sessions six are test, the two newest of the others select, the next one stop
    later = [[0, 1]] * 30 + [[0, 1] * 400]
    split = split_dataset(make(later, ends=[*range(0, 60, 2), 43]))
    assert set(split.stop.prompts.ids) == {"s30"}
    assert split.stop.prompts.lengths.tolist() == list(range(1, 500))


def test_shares_of_seen_targets():
    held = HeldOut.last_item(Sessions.from_lists([[0, 1, 0], [0, 1], [2, 2], [1, 3, 2]]))
    assert in_own_row(held.prompts.events, held.targets).tolist() == [True, False, True, False]
    assert seen_share(held) == 0.5


def test_popularity_of_targets():
    held = HeldOut.last_item(Sessions.from_lists([[0, 1], [0, 2], [0, 3]]))
    counts = np.array([9, 1, 5, 7])
    assert target_popularity(held, counts) == {
        "median_events": 5.0,
        "under_5_events": pytest.approx(1 / 3),
    }


def test_hold_out_drops_a_cold_target_where_the_one_before_is_in_train():
    sessions = Sessions.from_lists([[0, 1, 2], [0, 2, 1]])
    warm = np.array([True, True, False])
    assert rows_of(hold_out(sessions, warm).kept.events) == [[0, 1], [0, 1]]
    strict = hold_out(sessions, warm, only_last_event=True)
    assert rows_of(strict.kept.events) == [[0, 1]]
    assert strict.kept.ids.tolist() == ["1"]


@pytest.mark.parametrize("bad", [{"test_share": 0}, {"select_share": 0.6}, {"method": "random"}])
def test_wrong_settings(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        SplitConfig.make(bad, what="split")


def test_config_round_trip():
    config = SplitConfig(method="temporal", keep_cold=True, seed=4)
    assert SplitConfig.from_toml(config.to_toml()) == config
