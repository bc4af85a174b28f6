from __future__ import annotations

import numpy as np
import pytest

from llmseq.embeddings.matrix import ItemEmbeddings, unit_rows
from llmseq.errors import InvalidDataError, ShapeError


def test_vectors_become_float32_and_contiguous():
    made = ItemEmbeddings(np.ones((4, 3), order="F"))
    assert made.vectors.dtype == np.float32
    assert made.vectors.flags.c_contiguous
    assert (made.n_items, made.dim) == (4, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_bad_row_is_named(value):
    vectors = np.ones((5, 2))
    vectors[[2, 4], 1] = value
    with pytest.raises(InvalidDataError, match=r"item index 2 holds NaN or infinity \(2 such"):
        ItemEmbeddings(vectors)


@pytest.mark.parametrize("shape", [(3,), (3, 0), (3, 2, 2)])
def test_vectors_must_be_a_matrix(shape):
    with pytest.raises(ShapeError, match="must be"):
        ItemEmbeddings(np.ones(shape))


def test_filled_has_one_entry_an_item():
    with pytest.raises(ShapeError, match=r"filled must be \(3,\)"):
        ItemEmbeddings(np.ones((3, 2)), filled=np.zeros(2, dtype=bool))


def test_unit_rows_keep_zero_and_do_not_overflow():
    rows = np.array([[0, 0], [3e30, 4e30], [0, -2]], dtype=np.float32)
    np.testing.assert_allclose(unit_rows(rows), [[0, 0], [0.6, 0.8], [0, -1]], rtol=1e-6)
