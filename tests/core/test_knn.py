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


def search(kernels, prompt, k_items=4, *, train=TRAIN, n_items=7, index=None, **arguments):
    index = kernels.SessionIndex(train.items, train.offsets, n_items, **(index or {}))
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
    assert search(kernels, [0], train=train, index={"order": [5, 9, 7, 1]}, **arguments)[0] == [
        2,
        3,
        -1,
    ]
    assert search(kernels, [0], train=train, index={"order": [5, 9, 5, 5]}, **arguments)[0] == [
        1,
        2,
        -1,
    ]


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
        ({"index": {"order": [1, 2]}}, ShapeError, "order must hold one value"),
        ({"half_life": 2.0}, ConfigError, "order"),
        ({"backward": -0.5}, ConfigError, "backward must be finite and not below 0"),
        ({"backward": math.nan}, ConfigError, "backward must be finite"),
        ({"half_life": 0.0, "index": {"order": [1, 2, 3, 4]}}, ConfigError, "half_life must be"),
        ({"only_followers": True}, ConfigError, "followers"),
        ({"prompt_pooling": "cubic"}, ConfigError, "unknown pooling"),
        ({"index": {"pooling": "cubic"}}, ConfigError, "unknown pooling"),
        ({"index": {"newest": 3}}, ConfigError, "give order"),
        ({"index": {"newest": 0, "order": [1] * 4}}, ConfigError, "newest must be"),
        ({"index": {"vectors": np.ones((6, 2))}}, ShapeError, "one row for each of the 7 items"),
        (
            {"index": {"vectors": np.full((7, 2), np.nan)}},
            InvalidDataError,
            "vectors must be finite",
        ),
        (
            {"index": {"vectors": np.ones((7, 2))}, "prompt_decay": "log"},
            ConfigError,
            "set prompt_pooling",
        ),
        ({"n_items": 5}, InvalidDataError, "sessions: row 2 holds item 5"),
        ({"train": Ragged.from_lists([])}, InvalidDataError, "at least one train session"),
    ],
)
def test_wrong_input_is_named(kernels, change, error, says):
    with pytest.raises(error, match=says):
        search(kernels, **({"prompt": [0]} | change))


def test_sequential_weighting_by_hand(kernels):
    # Each session shares one item of the prompt, at places 1, 2 and 3 of 3.
    train = Ragged.from_lists([[0, 3], [1, 4], [2, 5], [0, 2, 6]])
    found = search(
        kernels, [0, 1, 2], train=train, similarity="dot", sequential_weighting=True, k_items=4
    )
    assert found == ([6, 5, 4, 3], pytest.approx([2 * 3 / 3, 3 / 3, 2 / 3, 1 / 3]))


def test_what_stands_before_the_newest_shared_item_counts_less(kernels):
    # The prompt's newest item in the first session is 1, in the second 0 (its first place counts).
    train = Ragged.from_lists([[0, 2, 1, 3], [4, 0, 5, 0, 6]])
    arguments = {"train": train, "similarity": "dot", "k_items": 5, "exclude_seen": False}
    found = search(kernels, [0, 1], backward=0.25, **(arguments | {"k_items": 7}))
    assert found == ([1, 3, 0, 5, 6, 2, 4], [2, 2, 0.25 * 2 + 1, 1, 1, 0.25 * 2, 0.25])
    # At 0 nothing is listed that only ever came before.
    items, _ = search(kernels, [0, 1], backward=0.0, **arguments)
    assert items == [1, 3, 0, 5, 6]
    # With the place of S-SKNN: 1 is the second of two items, 0 the first.
    found = search(kernels, [0, 1], backward=0.5, sequential_weighting=True, **arguments)
    assert found == ([1, 3, 0, 2, 5], [2, 2, 1.5, 1, 0.5])


def test_last_n_moves_the_newest_shared_item(kernels):
    train = Ragged.from_lists([[0, 2, 1, 3]])
    arguments = {"train": train, "similarity": "dot", "backward": 0.25, "k_items": 2}
    assert search(kernels, [1, 0], **arguments) == ([2, 3], [2, 2])
    assert search(kernels, [0, 1], **arguments) == ([3, 2], [2, 0.5])
    assert search(kernels, [0, 1], last_n=1, **arguments) == ([3, 2], [1, 0.25])


def test_only_what_follows_the_newest_item(kernels):
    # 2 and 5 follow 1 somewhere; 3 and 4 stand in neighbours but never behind 1.
    train = Ragged.from_lists([[0, 1, 2], [1, 5, 4], [3, 1], [0, 3]])
    arguments = {"train": train, "index": {"followers": True}, "only_followers": True}
    assert search(kernels, [0, 1], **arguments)[0] == [2, 5, -1, -1]
    # The newest event decides, also where an earlier one is the same item; 6 is not in train.
    assert search(kernels, [1, 0, 1, 6], **arguments)[0] == [2, 5, -1, -1]
    assert search(kernels, [4], **arguments)[0] == [-1] * 4
    assert search(kernels, [6], **arguments)[0] == [-1] * 4


def test_similarities_halve_with_age(kernels):
    train = Ragged.from_lists([[0, 1], [0, 2], [0, 3]])
    arguments = {"train": train, "similarity": "dot", "half_life": 10.0, "k_items": 3}
    found = search(kernels, [0], index={"order": [100, 80, 90]}, **arguments)
    assert found == ([1, 3, 2], [1.0, 0.5, 0.25])
    # Age decides who is near, too.
    found = search(kernels, [0], index={"order": [100, 80, 90]}, **(arguments | {"k": 1}))
    assert found[0] == [1, -1, -1]


def test_newest_cuts_posting_lists(kernels):
    train = Ragged.from_lists([[0, 1], [0, 2], [0, 3], [4, 5]])
    index = {"order": [7, 9, 7, 1], "newest": 2}
    # Of the sessions of 0 the newest is the second, then the first (equal to the third).
    assert search(kernels, [0], train=train, index=index, k_items=3)[0] == [1, 2, -1]
    _, scores = search(
        kernels, [0], train=train, index=index, k_items=2, similarity="dot", idf_weighting=True
    )
    assert scores == pytest.approx([1 + math.log(4 / 1)] * 2)
    # 0 itself is in three sessions, whatever is kept.
    _, scores = search(
        kernels,
        [0],
        train=train,
        index=index,
        similarity="dot",
        idf_weighting=True,
        exclude_seen=False,
        k_items=3,
    )
    assert sorted(scores)[-1] == pytest.approx(2 * (1 + math.log(4 / 3)))


# Items 0 and 1 point right, 2 up, 3 to the upper right, 4 left.
VECTORS = np.array([[2, 0], [4, 0], [0, 3], [3, 4], [-1, 0]], dtype=np.float32)


def by_vectors(kernels, prompt, rows, **arguments):
    index = {"vectors": VECTORS, "pooling": arguments.pop("pooling", "mean")}
    return search(
        kernels, prompt, train=Ragged.from_lists(rows), n_items=5, index=index, **arguments
    )


def test_session_vectors_by_hand(kernels):
    # Means: (3, 0), (1, 1.5) and (2.5, 2); the prompt's is (2, 0).
    rows = [[0, 1], [0, 2], [0, 3]]
    items, scores = by_vectors(kernels, [0], rows)
    assert items == [1, 3, 2, -1]
    cosines = [1.0, 2.5 / math.hypot(2.5, 2), 1 / math.hypot(1, 1.5)]
    assert scores[:3] == pytest.approx(cosines)
    items, scores = by_vectors(kernels, [0], rows, similarity="dot")
    assert (items[:3], scores[:3]) == ([1, 3, 2], [6.0, 5.0, 2.0])


def test_both_sides_pool_their_own_way(kernels):
    rows = [[0, 1], [0, 2], [0, 3]]
    # Last items: (4, 0), (0, 3), (3, 4). The prompt [2, 0], last item only, is (2, 0).
    found = by_vectors(
        kernels, [2, 0], rows, pooling="last", prompt_pooling="last", similarity="dot"
    )
    assert (found[0], found[1][:2]) == ([1, 3, -1, -1], [8.0, 6.0])
    # Harmonic: (2, 0) and half of (0, 3), over 1.5.
    found = by_vectors(
        kernels, [2, 0], rows, pooling="last", prompt_pooling="harmonic", similarity="dot"
    )
    assert found[0] == [3, 1, -1, -1]
    assert found[1][:2] == pytest.approx([(2 * 3 + 1.5 * 4) / 1.5, 2 * 4 / 1.5])


def test_train_sessions_decay_too(kernels):
    # 1/i from the end: (0, 3) and half of (2, 0) over 1.5; (3, 4) and half of (2, 0) over 1.5.
    rows = [[0, 2], [0, 3]]
    found = by_vectors(kernels, [0], rows, pooling="harmonic", similarity="dot")
    assert found[0] == [3, 2, -1, -1]
    assert found[1][:2] == pytest.approx([2 * (3 + 1) / 1.5, 2 * 1 / 1.5])


@pytest.mark.parametrize("index", [{}, {"vectors": np.ones((7, 2))}, {"followers": True}])
@pytest.mark.parametrize("sampling", ["random", "idf", "idf_greedy"])
def test_a_prompt_of_unknown_items_alone_has_an_empty_list(kernels, index, sampling):
    found = search(
        kernels, [6, 6], index=index, sampling=sampling, only_followers="followers" in index
    )
    assert found == ([-1] * 4, [-math.inf] * 4)


def test_an_opposite_session_does_not_vote(kernels):
    items, _ = by_vectors(kernels, [0], [[0, 4, 4, 4, 2], [0, 3]], pooling="last")
    assert items == [3, -1, -1, -1]
    rows = [[0, 2, 4], [0, 3]]
    assert by_vectors(kernels, [0], rows, pooling="last")[0] == [3, -1, -1, -1]


@settings(max_examples=200, deadline=None)
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
    sequential=st.booleans(),
    followers=st.booleans(),
    half_life=st.none() | st.floats(0.5, 20.0),
    backward=st.sampled_from([0.0, 0.25, 1.0, 2.0]),
    newest=st.none() | st.integers(1, 6),
    poolings=st.none() | st.tuples(*[st.sampled_from(llmseq.core.POOLINGS)] * 2),
)
def test_compiled_equals_twin(
    seed,
    k,
    extra,
    sampling,
    similarity,
    decay,
    idf_weighting,
    last_n,
    exclude_seen,
    sequential,
    followers,
    half_life,
    backward,
    newest,
    poolings,
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
        "prompt_decay": None if poolings else decay,
        "prompt_pooling": poolings[0] if poolings else "mean",
        "backward": backward,
        "sequential_weighting": sequential,
        "only_followers": followers,
        "half_life": half_life,
        "idf_weighting": idf_weighting,
        "last_n": last_n,
        "seed": seed,
        "exclude_seen": exclude_seen,
        "candidates": rng.random(n_items) < 0.8 if seed % 2 else None,
    }
    build = {
        "order": order,
        "newest": newest,
        "followers": followers,
        "vectors": rng.integers(-2, 3, (n_items, 3)) if poolings else None,
        "pooling": poolings[1] if poolings else "mean",
    }
    found = []
    for kernels, n_threads in ((llmseq.core, 1), (llmseq.core, 2), (reference, 1)):
        index = kernels.SessionIndex(train.items, train.offsets, n_items, **build)
        found.append(
            index.search(prompts.items, prompts.offsets, 6, n_threads=n_threads, **arguments)
        )
    for other in found[1:]:
        np.testing.assert_array_equal(found[0][0], other[0])
        np.testing.assert_array_equal(found[0][1], other[1])


@pytest.mark.parametrize("with_vectors", [False, True])
@pytest.mark.parametrize("sampling", ["random", "recent", "idf", "idf_greedy"])
def test_lists_do_not_depend_on_threads(sampling, with_vectors):
    # Enough prompts that every thread gets some, and samples that leave most neighbours out.
    rng = np.random.default_rng(5)
    train = Ragged.from_lists([rng.integers(0, 60, rng.integers(1, 9)) for _ in range(600)])
    prompts = Ragged.from_lists([rng.integers(0, 60, rng.integers(0, 9)) for _ in range(400)])
    vectors = rng.normal(size=(60, 8)) if with_vectors else None
    found = []
    for n_threads in (1, 2, 3):
        index = llmseq.core.SessionIndex(
            train.items,
            train.offsets,
            60,
            order=np.arange(600),
            vectors=vectors,
            n_threads=n_threads,
        )
        arguments = {"k": 9, "sample_size": 20, "sampling": sampling, "seed": 3, "backward": 0.5}
        found.append(
            index.search(prompts.items, prompts.offsets, 10, n_threads=n_threads, **arguments)
        )
    for items, scores in found[1:]:
        np.testing.assert_array_equal(items, found[0][0])
        np.testing.assert_array_equal(scores, found[0][1])
