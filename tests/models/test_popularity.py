from __future__ import annotations

import numpy as np

from llmseq.data.sessions import Sessions
from llmseq.models.popularity import PopularityRecommender
from llmseq.testing.worlds import log_of


def fitted(rows, n_items):
    return PopularityRecommender().fit(log_of(rows, n_items), rng=np.random.default_rng(0))


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
