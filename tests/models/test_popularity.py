from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmseq.data.sessions import Sessions
from llmseq.errors import ConfigError
from llmseq.models.popularity import PopularityConfig, PopularityRecommender
from llmseq.testing.strategies import ragged
from llmseq.testing.worlds import DAY, log_of


def fitted(rows, n_items, **settings):
    model = PopularityRecommender(PopularityConfig(**settings))
    return model.fit(log_of(rows, n_items), rng=np.random.default_rng(0))


def test_ranks_by_events_with_ties_to_the_lower_index():
    model = fitted([[3, 1, 3], [1, 2], [3]], n_items=5)  # counts 0 2 1 3 0
    lists = model.recommend(Sessions.from_lists([[], [3, 0]]), 4)
    assert lists.items.tolist() == [[3, 1, 2, -1], [1, 2, -1, -1]]
    assert lists.scores[0, :3].tolist() == [3.0, 2.0, 1.0]
    tied = fitted([[4, 2, 0]], n_items=5).recommend(Sessions.from_lists([[]]), 3)
    assert tied.items.tolist() == [[0, 2, 4]]


def test_an_item_without_events_is_never_listed_even_as_the_only_candidate():
    only_cold = np.array([True, False, False, False, False])
    lists = fitted([[3, 1]], n_items=5).recommend(
        Sessions.from_lists([[2]]), 2, candidates=only_cold
    )
    assert lists.items.tolist() == [[-1, -1]]


def test_a_window_counts_its_events_first():
    # Sessions are a day apart; the last two days hold 2 twice and 3 once, all days 1 three times.
    rows = [[1, 1], [1, 0], [2, 3], [2]]
    lists = fitted(rows, 5, window_days=1.0).recommend(Sessions.from_lists([[]]), 5)
    assert lists.items.tolist() == [[2, 3, 1, 0, -1]]
    assert lists.scores[0, :4] == pytest.approx([2 + 2 / 8, 1 + 1 / 8, 3 / 8, 1 / 8])
    whole = fitted(rows, 5, window_days=1e300).recommend(Sessions.from_lists([[]]), 5)
    assert whole.items.tolist() == [[1, 2, 0, 3, -1]]


def test_a_window_needs_times():
    train = log_of([[0, 1]], 2)
    train = replace(train, sessions=replace(train.sessions, times=None))
    with pytest.raises(ConfigError, match="window_days needs session times"):
        PopularityRecommender(PopularityConfig(window_days=7.0)).fit(
            train, rng=np.random.default_rng(0)
        )


def test_the_prompt_s_own_items_come_first_where_they_may_be_listed():
    rows = [[1, 1, 1], [2, 2], [0], [3]]
    model = fitted(rows, 5, in_session=True)
    prompts = Sessions.from_lists([[0, 3, 3, 4], [], [2]])
    kept = model.recommend(prompts, 4, exclude_seen=False)
    # 3 stands twice in the prompt, 0 once, 4 has no event in train.
    assert kept.items.tolist() == [[3, 0, 1, 2], [1, 2, 0, 3], [2, 1, 0, 3]]
    assert kept.scores[0] == pytest.approx([2 + 1 / 8, 1 + 1 / 8, 3 / 8, 2 / 8])
    mask = np.arange(5) != 3
    masked = model.recommend(prompts, 4, exclude_seen=False, candidates=mask)
    assert masked.items[0].tolist() == [0, 1, 2, -1]
    plain = fitted(rows, 5).recommend(prompts, 4)
    np.testing.assert_array_equal(model.recommend(prompts, 4).items, plain.items)


@settings(deadline=None)
@given(
    rows=ragged(6),
    prompts=ragged(6),
    window=st.sampled_from([None, 0.5, 1.0, 3.0, 1e6]),
    in_session=st.booleans(),
    exclude_seen=st.booleans(),
    k=st.integers(1, 7),
)
def test_every_kind_counts_as_a_naive_loop_does(rows, prompts, window, in_session, exclude_seen, k):
    events = [row.tolist() for row in rows]
    train = log_of(events, 6)
    model = PopularityRecommender(
        PopularityConfig(window_days=None if in_session else window, in_session=in_session)
    ).fit(train, rng=np.random.default_rng(0))
    lists = model.recommend(
        Sessions.from_lists([row.tolist() for row in prompts]), k, exclude_seen=exclude_seen
    )
    counts = Counter(item for row in events for item in row)
    times = train.sessions.times
    newest = max(times, default=0)
    recent = Counter(
        item
        for item, time in zip(train.sessions.items.tolist(), times, strict=True)
        if window is not None and newest - time <= window * DAY
    )
    for row, prompt in enumerate(prompts):
        own = Counter(prompt.tolist()) if in_session else Counter()
        first = recent if window is not None and not in_session else own
        allowed = [item for item in counts if not (exclude_seen and item in prompt)]
        wanted = sorted(allowed, key=lambda item: (-first[item], -counts[item], item))[:k]
        assert lists.items[row].tolist() == wanted + [-1] * (k - len(wanted))
