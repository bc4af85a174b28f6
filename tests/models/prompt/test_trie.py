from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llmseq.models.prompt.trie import Node, Trie

TITLES = st.lists(
    st.lists(st.integers(2, 5), min_size=0, max_size=5).map(lambda title: (*title, 1)),
    min_size=1,
    max_size=20,
    unique=True,
)


@given(TITLES, st.integers(0, 1000))
def test_branches_are_the_places_where_other_titles_go_on_otherwise(titles, seed):
    trie, place = Trie.of(titles)
    kept = np.random.default_rng(seed).random(len(titles)) < 0.7
    part = trie.subset(kept[np.argsort(place)])
    left = [titles[number] for number in range(len(titles)) if kept[number]]
    for number, title in enumerate(titles):
        if not kept[number]:
            continue
        wanted = []
        for depth in range(len(title)):
            allowed = sorted({t[depth] for t in left if t[:depth] == title[:depth]})
            if len(allowed) > 1:
                wanted.append((depth, allowed))
        found = [(depth, tokens.tolist()) for depth, tokens in part.branches(int(place[number]))]
        assert found == wanted


def test_a_node_is_a_range_of_sorted_rows():
    trie, place = Trie.of([(3, 4, 1), (2, 1), (3, 4, 5, 1)])
    assert place.tolist() == [1, 0, 2]
    assert trie.root == Node(0, 3, 0)
    tokens, lows, highs = trie.choices(trie.root)
    assert (tokens.tolist(), lows.tolist(), highs.tolist()) == ([2, 3], [0, 1], [1, 3])
    below = trie.skip(Node(1, 3, 1))
    assert below == Node(1, 3, 2)  # "4" has no choice beside it
    assert trie.path(below, 0).tolist() == [3, 4]
    assert trie.skip(Node(0, 1, 1)) == Node(0, 1, 2)
    assert trie.used_tokens().tolist() == [1, 2, 3, 4, 5]


def test_nothing_is_left_of_an_empty_trie():
    trie, _ = Trie.of([(2, 1)])
    assert trie.subset(np.zeros(1, dtype=bool)).root.n_titles == 0
