from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmseq.core
from llmseq.errors import ConfigError, InvalidDataError, ShapeError
from llmseq.testing import reference
from llmseq.types import Ragged

# Session 0 shares 0 and 1 with the prompt [0, 1], session 1 only 1, session 2 nothing.
TRAIN = Ragged.from_lists([[0, 1, 2, 0], [1, 3], [4, 5], [1, 2, 3, 4]])
ROOT = math.sqrt


def search(kernels, prompt, k_items=4, *, train=TRAIN, n_items=7, order=None, **arguments):
    index = kernels.SessionIndex(train.items, train.offsets, n_items, order=order)
    prompts = Ragged.from_lists([prompt])
    arguments = {"k": 10, "sample_size": 10} | arguments
    items, scores = index.search(prompts.items, prompts.offsets, k_items, **arguments)
    assert items.dtype == np.int32
    assert scores.dtype == np.float32
    return items[0].tolist(), scores[0].tolist()


def test_cosine_by_hand(kernels):
    near = [2 / (ROOT(2) * ROOT(3)), 1 / (ROOT(2) * ROOT(2)), 1 / (ROOT(2) * ROOT(4))]
    items, scores = search(kernels, [0, 1])
    assert items == [2, 3, 4, -1]
    assert scores == pytest.approx([near[0] + near[2], near[1] + near[2], near[2], -math.inf])


def test_dot_with_harmonic_decay_by_hand(kernels):
    # Weights: item 0 one half, item 1 one; so the neighbours count 1.5, 1 and 1.
    items, scores = search(kernels, [0, 1], similarity="dot", prompt_decay="harmonic")
    assert items == [2, 3, 4, -1]
    assert scores == [1.5 + 1, 1 + 1, 1, -math.inf]


@pytest.mark.parametrize(
    ("decay", "weights"),
    [
        (None, [1, 1, 1]),
        ("linear", [0.8, 0.9, 1]),
        ("log", [1 / (math.log(3) + 1), 1 / (math.log(2) + 1), 1]),
        ("harmonic", [1 / 3, 1 / 2, 1]),
        ("quadratic", [1 / 9, 1 / 4, 1]),
    ],
)
def test_decays_by_hand(kernels, decay, weights):
    # Each train session shares one prompt item and brings one item of its own.
    train = Ragged.from_lists([[0, 3], [1, 4], [2, 5]])
    items, scores = search(
        kernels, [0, 1, 2], train=train, similarity="dot", prompt_decay=decay, k_items=3
    )
    assert dict(zip(items, scores, strict=True)) == {
        3: pytest.approx(weights[0]),
        4: pytest.approx(weights[1]),
        5: pytest.approx(weights[2]),
    }


def test_idf_weighting_by_hand(kernels):
    items, scores = search(kernels, [0, 1], similarity="dot", idf_weighting=True)
    idf = {2: 1 + math.log(4 / 2), 3: 1 + math.log(4 / 2), 4: 1 + math.log(4 / 2)}
    assert items == [2, 3, 4, -1]
    assert scores[:3] == pytest.approx([3 * idf[2], 2 * idf[3], 1 * idf[4]])


def test_repeats_and_unknown_items_in_the_prompt(kernels):
    # 6 occurs in no train session; 1 keeps its first place, so the weights are 1/2 (1) and 1 (0).
    plain = search(kernels, [1, 0], similarity="dot", prompt_decay="harmonic")
    assert search(kernels, [1, 6, 0, 1], similarity="dot", prompt_decay="harmonic") == plain


def test_last_n_counts_distinct_known_items(kernels):
    assert search(kernels, [4, 0, 1, 1, 6], last_n=1, exclude_seen=False) == search(
        kernels, [1], exclude_seen=False
    )


def test_all_prompt_items_are_excluded_even_beyond_last_n(kernels):
    items, _ = search(kernels, [2, 1], last_n=1)
    assert items == [3, 0, 4, -1]
    items, _ = search(kernels, [2, 1], last_n=1, exclude_seen=False)
    assert set(items) == {0, 1, 2, 3}


def test_candidates(kernels):
    mask = np.array([True, True, True, False, True, True, True])
    assert search(kernels, [0, 1], candidates=mask)[0] == [2, 4, -1, -1]


def test_prompts_without_neighbours_have_empty_lists(kernels):
    assert search(kernels, []) == ([-1] * 4, [-math.inf] * 4)
    assert search(kernels, [6]) == ([-1] * 4, [-math.inf] * 4)


def test_equal_neighbours_the_lower_session_first(kernels):
    train = Ragged.from_lists([[0, 3], [0, 2], [0, 1]])
    assert search(kernels, [0], train=train, k=1, k_items=1)[0] == [3]


def test_equal_scores_the_lower_item_first(kernels):
    train = Ragged.from_lists([[0, 3], [0, 2], [0, 1]])
    assert search(kernels, [0], train=train, k_items=3)[0] == [1, 2, 3]


def test_recent_takes_the_newest(kernels):
    train = Ragged.from_lists([[0, 1], [0, 2], [0, 3], [0, 4]])
    arguments = {"k": 2, "sample_size": 2, "sampling": "recent", "k_items": 3}
    assert search(kernels, [0], train=train, order=[5, 9, 7, 1], **arguments)[0] == [2, 3, -1]
    assert search(kernels, [0], train=train, order=[5, 9, 5, 5], **arguments)[0] == [1, 2, -1]


def test_idf_takes_the_rarest_shared_items(kernels):
    train = Ragged.from_lists([[0, 3], [0, 4], [1, 5], [0, 1, 6]])
    arguments = {"train": train, "k_items": 3, "k": 2, "sample_size": 2}
    assert search(kernels, [0, 1], sampling="idf", **arguments)[0] == [6, 5, -1]
    assert search(kernels, [0, 1], sampling="idf_greedy", **arguments)[0] == [6, 5, -1]
    # Greedy goes on with the next item when the rarest has too few sessions.
    wider = arguments | {"k": 3, "sample_size": 3}
    assert search(kernels, [0, 1], sampling="idf_greedy", **wider)[0] == [6, 3, 5]


def test_random_depends_on_seed_and_prompt_alone(kernels):
    train = Ragged.from_lists([[0, 1 + item] for item in range(60)])
    index = kernels.SessionIndex(train.items, train.offsets, 61)
    arguments = {"k": 5, "sample_size": 5, "k_items": 5}
    alone, _ = index.search([0], [0, 1], **arguments)
    beside, _ = index.search([9, 0, 3, 4], [0, 1, 2, 4], **arguments)
    assert beside[1].tolist() == alone[0].tolist()
    others = {tuple(index.search([0], [0, 1], seed=s, **arguments)[0][0]) for s in range(8)}
    assert len(others) == 8


def test_random_is_fair():
    train = Ragged.from_lists([[0, 1 + item] for item in range(50)])
    index = llmseq.core.SessionIndex(train.items, train.offsets, 51)
    counts = np.zeros(51)
    for seed in range(400):
        items, _ = index.search([0], [0, 1], 10, k=10, sample_size=10, seed=seed)
        counts[items[0]] += 1
    assert 50 < counts[1:].min() <= counts[1:].max() < 115  # 80 expected, deviation 8


def test_properties(kernels):
    index = kernels.SessionIndex(TRAIN.items, TRAIN.offsets, 7)
    assert (index.n_items, index.n_sessions) == (7, 4)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"k": 0}, ConfigError, "k must be a whole number"),
        ({"k_items": 0}, ConfigError, "k_items must be a whole number"),
        ({"k": 11}, ConfigError, "k = 11"),
        ({"last_n": 0}, ConfigError, "last_n must be a whole number"),
        ({"seed": -1}, ConfigError, "seed must be a whole number"),
        ({"sampling": "newest"}, ConfigError, "choose from random, recent, idf, idf_greedy"),
        ({"sampling": "recent"}, ConfigError, "order"),
        ({"similarity": "euclidean"}, ConfigError, "choose from cosine, dot"),
        ({"prompt_decay": "cubic"}, ConfigError, "choose from linear, log, harmonic, quadratic"),
        ({"prompt": [7]}, InvalidDataError, "prompts: row 0 holds item 7"),
        ({"candidates": np.ones(6, dtype=bool)}, ShapeError, "candidates must hold one value"),
        ({"order": [1, 2]}, ShapeError, "order must hold one value"),
        ({"n_items": 5}, InvalidDataError, "sessions: row 2 holds item 5"),
        ({"train": Ragged.from_lists([])}, InvalidDataError, "at least one train session"),
    ],
)
def test_wrong_input_is_named(kernels, change, error, says):
    with pytest.raises(error, match=says):
        search(kernels, **({"prompt": [0]} | change))


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    k=st.integers(1, 8),
    extra=st.integers(0, 10),
    sampling=st.sampled_from(["random", "recent", "idf", "idf_greedy"]),
    similarity=st.sampled_from(["cosine", "dot"]),
    decay=st.sampled_from([None, "linear", "log", "harmonic", "quadratic"]),
    idf_weighting=st.booleans(),
    last_n=st.none() | st.integers(1, 5),
    exclude_seen=st.booleans(),
)
def test_compiled_equals_twin(
    seed, k, extra, sampling, similarity, decay, idf_weighting, last_n, exclude_seen
):
    rng = np.random.default_rng(seed)
    n_items = int(rng.integers(2, 15))
    train = Ragged.from_lists(
        [rng.integers(0, n_items, rng.integers(0, 8)) for _ in range(rng.integers(1, 40))]
    )
    prompts = Ragged.from_lists([rng.integers(0, n_items, rng.integers(0, 16)) for _ in range(5)])
    order = rng.integers(0, 9, len(train))
    arguments = {
        "k": k,
        "sample_size": k + extra,
        "sampling": sampling,
        "similarity": similarity,
        "prompt_decay": decay,
        "idf_weighting": idf_weighting,
        "last_n": last_n,
        "seed": seed,
        "exclude_seen": exclude_seen,
        "candidates": rng.random(n_items) < 0.8 if seed % 2 else None,
    }
    found = []
    for kernels in (llmseq.core, reference):
        index = kernels.SessionIndex(train.items, train.offsets, n_items, order=order)
        found.append(index.search(prompts.items, prompts.offsets, 6, **arguments))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])
