from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

import llmseq.core
from llmseq.errors import ArtifactError, ConfigError, InvalidDataError, ShapeError
from llmseq.testing import reference
from llmseq.types import Ragged

TRAIN = Ragged.from_lists([[0, 1, 2], [0, 1], [3]])
# 0's neighbours are 4 (1.0) and 1 (0.5); 4 has no event and is near 0 alone.
NEAR = (
    [[4, 1], [0, -1], [3, -1], [2, -1], [0, -1]],
    [[1.0, 0.5], [0.5, -np.inf], [0.25, -np.inf], [0.25, -np.inf], [1.0, -np.inf]],
)


def search(kernels, prompt, k=4, *, train=TRAIN, n_items=5, index=None, **arguments):
    settings = {"forward": [1.0, 0.5], "backward": [0.25]} | (index or {})
    made = kernels.CooccurrenceIndex(train.items, train.offsets, n_items, **settings)
    items, scores = made.search(prompt, [0, len(prompt)], k, **arguments)
    assert (items.dtype, scores.dtype) == (np.int32, np.float32)
    return [(item, float(score)) for item, score in zip(items[0], scores[0], strict=True)]


def listed(*pairs, k=4):
    return [*pairs, *[(-1, -np.inf)] * (k - len(pairs))]


def test_pairs_by_hand(kernels):
    # After 0 comes 1 twice (distance 1) and 2 once (distance 2).
    assert search(kernels, [0]) == listed((1, 2.0), (2, 0.5))
    # After 1 comes 2; before it 0, twice a quarter.
    assert search(kernels, [1]) == listed((2, 1.0), (0, 0.5))
    assert search(kernels, [3]) == listed()
    assert search(kernels, []) == listed()


def test_prompt_weights_and_row_power_by_hand(kernels):
    # Weights 1/2 for 0 and 1 for 1; 0 and 1 themselves are seen.
    assert search(kernels, [0, 1]) == listed((2, 0.5 * 0.5 + 1.0))
    both = search(kernels, [0, 1], exclude_seen=False, pooling="mean")
    assert both == listed((1, 2.0), (2, 1.5), (0, 0.5))
    # Row sums: 2.5 for 0 and 1.5 for 1.
    scaled = search(kernels, [0, 1], index={"row_power": 1.0})
    assert scaled == listed((2, pytest.approx(0.5 * 0.5 / 2.5 + 1.0 / 1.5)))


def test_repeats_in_the_prompt_add_up(kernels):
    assert search(kernels, [0, 0]) == listed((1, 3.0), (2, 0.75))


def test_a_repeated_item_follows_itself(kernels):
    train = Ragged.from_lists([[0, 0]])
    assert search(kernels, [0], train=train, exclude_seen=False) == listed((0, 1.25))


def test_alpha_reads_the_rows_of_the_neighbours(kernels):
    # 4 has no row; α passes its weight on to 0. Nothing else is smoothed.
    smooth = {"near": NEAR, "smoothing": (0.5, 0.0, 0.0)}
    assert search(kernels, [4], index=smooth) == listed((1, 1.0), (2, 0.25))
    # Its row's sum is half of 0's 2.5.
    powered = search(kernels, [4], index=smooth | {"row_power": 1.0})
    assert powered == listed((1, pytest.approx(1.0 / 1.25)), (2, pytest.approx(0.25 / 1.25)))


def test_beta_reaches_an_item_without_an_event(kernels):
    smooth = {"near": NEAR, "smoothing": (0.0, 0.5, 0.0)}
    # From 1: 2 scores 1.0 and 0 scores 0.5. An item takes from its own neighbours: 4 half of 0's,
    # 3 an eighth of 2's, 0 and 1 nothing (1's neighbour is 0: a quarter of 0.5).
    found = search(kernels, [1], index=smooth, exclude_seen=False, k=5)
    assert found == listed((2, 1.0), (0, 0.5), (4, 0.25), (1, 0.125), (3, 0.125), k=5)
    cold = np.arange(5) == 4
    assert search(kernels, [1], index=smooth, candidates=cold) == listed((4, 0.25))


def test_gamma_lists_the_neighbours_of_the_prompt(kernels):
    smooth = {"near": NEAR, "smoothing": (0.0, 0.0, 2.0)}
    assert search(kernels, [3], index=smooth) == listed((2, 0.5))
    assert search(kernels, [0, 3], index=smooth) == listed((1, 1.5), (4, 1.0), (2, 0.75))


def test_no_strength_is_no_smoothing(kernels):
    smooth = {"near": NEAR, "smoothing": (0.0, 0.0, 0.0), "row_power": 0.5}
    for prompt in ([0], [0, 1], [2, 3, 4]):
        assert search(kernels, prompt, index=smooth) == search(
            kernels, prompt, index={"row_power": 0.5}
        )


def test_properties(kernels):
    index = kernels.CooccurrenceIndex(TRAIN.items, TRAIN.offsets, 5, forward=[1.0])
    assert (index.n_items, index.n_pairs) == (5, 2)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"k": 0}, ConfigError, "k must be a whole number"),
        ({"pooling": "newest"}, ConfigError, "unknown pooling"),
        ({"prompt": [5]}, InvalidDataError, "prompts: row 0 holds item 5"),
        ({"candidates": np.ones(4, dtype=bool)}, ShapeError, "candidates must hold one value"),
        ({"n_items": 3}, InvalidDataError, "sessions: row 2 holds item 3"),
        ({"index": {"forward": [-1.0]}}, ConfigError, "not below 0, got -1"),
        ({"index": {"backward": [np.nan]}}, ConfigError, "finite and not below 0"),
        ({"index": {"row_power": np.inf}}, ConfigError, "finite and not below 0"),
        ({"index": {"near": NEAR, "smoothing": (0, -1, 0)}}, ConfigError, "not below 0"),
        ({"index": {"near": ([[1]], [[1.0]])}}, ShapeError, "one row for each of the 5 items"),
        (
            {"index": {"near": ([[5]] + [[0]] * 4, [[1.0]] * 5)}},
            InvalidDataError,
            "near: row 0 holds",
        ),
        (
            {"index": {"near": ([[1]] * 5, [[1.0]] * 4 + [[np.nan]])}},
            InvalidDataError,
            "finite",
        ),
    ],
)
def test_wrong_input_is_named(kernels, change, error, says):
    with pytest.raises(error, match=says):
        search(kernels, **({"prompt": [0]} | change))


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    window=st.integers(0, 5),
    row_power=st.sampled_from([0.0, 0.4, 1.0]),
    strengths=st.none() | st.tuples(*[st.sampled_from([0.0, 0.05, 0.7])] * 3),
    pooling=st.sampled_from(llmseq.core.POOLINGS),
    exclude_seen=st.booleans(),
)
def test_compiled_equals_twin(seed, window, row_power, strengths, pooling, exclude_seen):
    rng = np.random.default_rng(seed)
    n_items = int(rng.integers(2, 15))
    train = Ragged.from_lists(
        [rng.integers(0, n_items, rng.integers(0, 8)) for _ in range(rng.integers(0, 40))]
    )
    prompts = Ragged.from_lists([rng.integers(0, n_items, rng.integers(0, 9)) for _ in range(5)])
    width = int(rng.integers(1, n_items + 1))
    near = np.array([rng.permutation(n_items)[:width] for _ in range(n_items)])
    arguments = {
        "forward": rng.random(window),
        "backward": rng.random(rng.integers(0, 5)),
        "row_power": row_power,
        "near": (near, rng.normal(size=near.shape)) if strengths else None,
        "smoothing": strengths or (0.0, 0.0, 0.0),
    }
    found = []
    for kernels, n_threads in ((llmseq.core, 1), (llmseq.core, 2), (reference, 1)):
        index = kernels.CooccurrenceIndex(
            train.items, train.offsets, n_items, n_threads=n_threads, **arguments
        )
        found.append(
            index.search(
                prompts.items,
                prompts.offsets,
                6,
                pooling=pooling,
                exclude_seen=exclude_seen,
                candidates=np.arange(n_items) % 5 > 0 if seed % 2 else None,
                n_threads=n_threads,
            )
        )
    for other in found[1:]:
        np.testing.assert_array_equal(found[0][0], other[0])
        np.testing.assert_array_equal(found[0][1], other[1])


def test_a_mapped_index_gives_the_same_lists(tmp_path):
    made = llmseq.core.CooccurrenceIndex(
        TRAIN.items, TRAIN.offsets, 5, forward=[1.0], near=NEAR, smoothing=(0.1, 0.2, 0.3)
    )
    made.save(tmp_path / "index")
    read = llmseq.core.CooccurrenceIndex.open(tmp_path / "index")
    assert (read.n_items, read.n_pairs) == (made.n_items, made.n_pairs)
    prompts = Ragged.from_lists([[0], [4, 1], [], [3]])
    for found, wanted in zip(
        read.search(prompts.items, prompts.offsets, 4),
        made.search(prompts.items, prompts.offsets, 4),
        strict=True,
    ):
        np.testing.assert_array_equal(found, wanted)
    with pytest.raises(ArtifactError, match=r"holds no llmseq session index"):
        llmseq.core.SessionIndex.open(tmp_path / "index")


@pytest.mark.parametrize(
    "changes",
    [
        {"scale": np.full(5, np.nan)},
        {"scale": np.ones(4)},
        {"pairs.values": np.full(2, 5, np.uint32)},
        {"pairs.weights": np.ones(1, np.float32)},
        {"near.offsets": np.zeros(2, np.uint64)},
        {"near_to.weights": np.full(6, np.inf, np.float32)},
        {"smoothing": np.ones(2)},
    ],
)
def test_arrays_that_do_not_fit_are_damage(tmp_path, changes):
    index = llmseq.core.CooccurrenceIndex(
        TRAIN.items, TRAIN.offsets, 5, forward=[1.0], near=NEAR, smoothing=(0.1, 0.2, 0.3)
    )
    save_file({**index.arrays(), **changes}, tmp_path / "index", dict(index.metadata()))
    with pytest.raises(ArtifactError, match=r"index: damaged"):
        llmseq.core.CooccurrenceIndex.open(tmp_path / "index")


def test_a_file_cut_short_is_named(tmp_path):
    index = llmseq.core.CooccurrenceIndex(TRAIN.items, TRAIN.offsets, 5, forward=[1.0])
    index.save(tmp_path / "index")
    content = (tmp_path / "index").read_bytes()
    for size in range(0, len(content), 13):
        (tmp_path / "index").write_bytes(content[:size])
        with pytest.raises(ArtifactError, match=r"index: damaged or cut short"):
            llmseq.core.CooccurrenceIndex.open(tmp_path / "index")


def test_lists_do_not_depend_on_threads():
    # More items than one worker counts at a time, and prompts for every thread.
    rng = np.random.default_rng(5)
    train = Ragged.from_lists([rng.integers(0, 900, rng.integers(1, 9)) for _ in range(2000)])
    prompts = Ragged.from_lists([rng.integers(0, 900, rng.integers(0, 9)) for _ in range(400)])
    near = np.array([rng.choice(900, 5, replace=False) for _ in range(900)])
    similarities = rng.random(near.shape)
    found = []
    for n_threads in (1, 2, 3):
        index = llmseq.core.CooccurrenceIndex(
            train.items,
            train.offsets,
            900,
            forward=[1.0, 0.6, 0.3],
            backward=[0.2],
            row_power=0.6,
            near=(near, similarities),
            smoothing=(0.1, 0.2, 0.3),
            n_threads=n_threads,
        )
        found.append(index.search(prompts.items, prompts.offsets, 10, n_threads=n_threads))
    for items, scores in found[1:]:
        np.testing.assert_array_equal(items, found[0][0])
        np.testing.assert_array_equal(scores, found[0][1])
