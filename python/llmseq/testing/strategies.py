"""Hypothesis strategies for the arrays that flow through the package."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from llmseq.recommendations import Recommendations
from llmseq.types import FloatMatrix, Ragged


def ragged(
    n_items: int, *, min_rows: int = 1, max_rows: int = 8, min_length: int = 0, max_length: int = 8
) -> st.SearchStrategy[Ragged]:
    """Rows of item indices below ``n_items``; repeats within a row happen."""
    row = st.lists(st.integers(0, n_items - 1), min_size=min_length, max_size=max_length)
    return st.lists(row, min_size=min_rows, max_size=max_rows).map(Ragged.from_lists)


def vectors(n_rows: int, dim: int) -> st.SearchStrategy[FloatMatrix]:
    """Matrices of small whole numbers, float32 (n_rows, dim): ties and zero rows happen often."""
    row = st.lists(st.integers(-2, 2), min_size=dim, max_size=dim)
    rows = st.lists(row, min_size=n_rows, max_size=n_rows)
    return rows.map(lambda values: np.array(values, dtype=np.float32))


@st.composite
def ranked_lists(draw: st.DrawFn, *, n_sessions: int, n_items: int, k: int) -> Recommendations:
    """Draw lists of distinct items with falling scores, some of them short."""
    items = np.full((n_sessions, k), -1, dtype=np.int32)
    scores = np.full((n_sessions, k), -np.inf, dtype=np.float32)
    for row in range(n_sessions):
        order = draw(st.permutations(range(n_items)))
        length = draw(st.integers(0, min(k, n_items)))
        items[row, :length] = order[:length]
        scores[row, :length] = np.arange(length, 0, -1) / 2
    return Recommendations(items, scores)
