from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmseq.core
from llmseq.core import POOLINGS
from llmseq.errors import ConfigError, InvalidDataError, ShapeError
from llmseq.testing import reference

VECTORS = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, -4.0]], dtype=np.float32)


@pytest.mark.parametrize(
    ("pooling", "weights"),
    [
        ("last", [0, 0, 1]),
        ("mean", [1, 1, 1]),
        ("constant_linear", [0.8, 0.9, 1]),
        ("scaling_linear", [1 / 3, 2 / 3, 1]),
        ("scaling_quadratic", [1 / 9, 4 / 9, 1]),
        ("scaling_cubic", [1 / 27, 8 / 27, 1]),
        ("log", [1 / (math.log(3) + 1), 1 / (math.log(2) + 1), 1]),
        ("harmonic", [1 / 3, 1 / 2, 1]),
        ("harmonic_squared", [1 / 9, 1 / 4, 1]),
    ],
)
def test_weights_by_hand(kernels, pooling, weights):
    pooled = kernels.pool_sessions(VECTORS, [0, 1, 2], [0, 3], pooling)
    np.testing.assert_allclose(pooled[0], np.average(VECTORS, axis=0, weights=weights), rtol=1e-6)
    assert pooled.dtype == np.float32


def test_every_pooling_is_covered_by_hand():
    marks = next(m for m in test_weights_by_hand.pytestmark if m.name == "parametrize")
    assert {case[0] for case in marks.args[1]} == set(POOLINGS)


def test_weights_never_reach_zero(kernels):
    vectors = np.array([[1.0], [0.0]], dtype=np.float32)
    pooled = kernels.pool_sessions(vectors, [0] + [1] * 20, [0, 21], "constant_linear")
    total = sum(max(1e-5, 1 - 0.1 * i) for i in range(21))
    assert pooled[0, 0] == pytest.approx(1e-5 / total)


def test_an_empty_session_is_zero(kernels):
    for pooling in POOLINGS:
        pooled = kernels.pool_sessions(VECTORS, [2], [0, 0, 1, 1], pooling)
        assert pooled.tolist() == [[0, 0], [2, -4], [0, 0]]


def test_no_session_gives_no_row(kernels):
    assert kernels.pool_sessions(VECTORS, [], [0]).shape == (0, 2)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"pooling": "median"}, ConfigError, 'unknown pooling "median"; choose from last, mean'),
        ({"items": [0, 3]}, InvalidDataError, "row 1 holds item 3, which is not in 0..3"),
        ({"items": [-1, 0]}, InvalidDataError, "row 0 holds item -1"),
        ({"items": [0.0, 1.0]}, InvalidDataError, "items must hold whole numbers, got float64"),
        ({"items": [0, 2**40]}, InvalidDataError, "items must fit into int32"),
        ({"offsets": [0, 2, 1, 2]}, ShapeError, "after row 1"),
        ({"offsets": [0, 1]}, ShapeError, "from 0 to the number of items"),
        ({"offsets": []}, ShapeError, "offsets"),
        ({"item_vectors": [[1.0], [np.nan], [np.inf]]}, InvalidDataError, "finite, but row 1"),
        ({"item_vectors": [[1.0], [1e39], [0.0]]}, InvalidDataError, "finite, but row 1"),
        ({"item_vectors": np.empty((3, 0))}, ShapeError, "at least one column"),
        ({"item_vectors": [1.0, 2.0]}, ShapeError, "2 dimension"),
        ({"item_vectors": [["a"]]}, InvalidDataError, "must hold numbers"),
        ({"n_threads": 0}, ConfigError, "n_threads must be a whole number"),
    ],
)
def test_wrong_input_is_named(kernels, change, error, says):
    arguments = {"item_vectors": VECTORS, "items": [0, 1], "offsets": [0, 1, 2]}
    with pytest.raises(error, match=says):
        kernels.pool_sessions(**(arguments | change))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    lengths=st.lists(st.integers(0, 12), max_size=20),
    dim=st.integers(1, 9),
    pooling=st.sampled_from(POOLINGS),
)
def test_compiled_equals_twin(seed, lengths, dim, pooling):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(scale=10.0 ** rng.integers(-3, 4), size=(7, dim)).astype(np.float32)
    offsets = np.cumsum([0, *lengths])
    items = rng.integers(0, 7, offsets[-1])
    compiled = llmseq.core.pool_sessions(vectors, items, offsets, pooling)
    np.testing.assert_array_equal(
        compiled, reference.pool_sessions(vectors, items, offsets, pooling)
    )
