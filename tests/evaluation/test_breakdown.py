import numpy as np
import pytest

from llmseq.data.sessions import HeldOut, Sessions
from llmseq.errors import ConfigError, ShapeError
from llmseq.evaluation.breakdown import (
    break_down,
    by_prompt_length,
    by_target_popularity,
    by_warmth,
)
from llmseq.types import Ragged


def held_out(lengths, targets=None):
    wanted = targets or [[0]] * len(lengths)
    prompts = Sessions.from_lists([[1] * length for length in lengths])
    return HeldOut(prompts, Ragged.from_lists(wanted))


def labels(grouping):
    return [grouping.labels[code] if code >= 0 else None for code in grouping.codes]


def test_classes_of_prompt_length():
    found = by_prompt_length(held_out([1, 2, 3, 4, 5, 6, 10, 11, 90, 0]))
    assert labels(found) == [
        "1", "2–3", "2–3", "4–5", "4–5", "6–10", "6–10", "11+", "11+", None,
    ]  # fmt: skip


def test_bins_of_prompt_length_are_about_equal():
    found = by_prompt_length(held_out([1, 2, 3, 4, 5, 6, 7, 8, 9, 50]), n_bins=2)
    assert np.bincount(found.codes).tolist() == [5, 5]
    assert found.labels == ("1–5", "6+")
    same = by_prompt_length(held_out([3, 3, 3]), n_bins=4)
    assert same.labels == ("3+",)
    with pytest.raises(ConfigError, match="n_bins"):
        by_prompt_length(held_out([1]), n_bins=0)


def test_popularity_classes_hold_a_third_of_the_events_each():
    # Events 6, 3, 3, 2, 2, 2, 0: item 0 is a third of 18, the next two another third.
    popularity = np.array([3, 6, 2, 3, 2, 2, 0])
    found = by_target_popularity(
        held_out([1] * 8, [[1], [0], [3], [2], [4], [5], [6], [6, 1]]), popularity
    )
    assert labels(found) == ["head", "middle", "middle", *["tail"] * 5]


def test_popularity_without_events_is_all_tail():
    assert labels(by_target_popularity(held_out([1], [[0]]), np.zeros(3, dtype=np.int64))) == [
        "tail"
    ]


def test_warm_and_cold():
    found = by_warmth(held_out([1, 1, 1], [[0], [1, 0], []]), np.array([5, 0]))
    assert labels(found) == ["warm", "cold", None]


def test_break_down_by_hand():
    grouping = by_prompt_length(held_out([1, 1, 5, 0]))
    slices = break_down(np.array([1.0, 0.0, 0.5, 9.0]), grouping, rng=np.random.default_rng(0))
    assert [(each.label, each.n_sessions, each.mean) for each in slices] == [
        ("1", 2, 0.5),
        ("4–5", 1, 0.5),
    ]
    assert slices[0].interval == (0.0, 1.0)
    assert slices[1].interval is None


def test_one_person_has_no_interval():
    grouping = by_prompt_length(held_out([1, 1]))
    people = np.array([3, 3])
    (only,) = break_down(np.array([1.0, 0.0]), grouping, people, rng=np.random.default_rng(0))
    assert only.interval is None


def test_values_of_other_sessions_are_refused():
    with pytest.raises(ShapeError, match="classes"):
        break_down(np.ones(2), by_prompt_length(held_out([1])), rng=np.random.default_rng(0))
