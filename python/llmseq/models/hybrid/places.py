"""Lists by place: joined, without repeats, filled to a length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llmseq.recommendations import Recommendations

if TYPE_CHECKING:
    from llmseq.types import BoolArray, ItemArray


def in_places(items: ItemArray, k: int) -> Recommendations:
    """List the items of each row in their order, each once; the score of place p is 1/p.

    Parameters
    ----------
    items : int32 (n_sessions, width)
        −1, which may stand anywhere, is nothing.
    k : int
        Places of the lists.

    Examples
    --------
    >>> in_places(np.array([[4, -1, 2, 4, 7]], dtype=np.int32), 4).items.tolist()
    [[4, 2, 7, -1]]
    """
    kept = first_only(items, (items >= 0) & first_occurrence(items))
    listed = np.full((items.shape[0], k), -1, dtype=np.int32)
    width = min(k, items.shape[1])
    listed[:, :width] = kept[:, :width]
    scores = np.where(listed >= 0, 1.0 / np.arange(1, k + 1), -np.inf).astype(np.float32)
    return Recommendations(listed, scores)


def first_only(items: ItemArray, keep: BoolArray) -> ItemArray:
    """Move what is kept to the front, in its order, and put −1 behind it."""
    order = np.argsort(~keep, axis=1, kind="stable")
    moved: ItemArray = np.take_along_axis(np.where(keep, items, -1), order, axis=1)
    return moved


def first_occurrence(items: ItemArray) -> BoolArray:
    """Whether no earlier place of the row holds the same item."""
    order = np.argsort(items, axis=1, kind="stable")
    ordered = np.take_along_axis(items, order, axis=1)
    new = np.ones(items.shape, dtype=np.bool_)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.empty_like(new)
    np.put_along_axis(first, order, new, axis=1)
    return first


def with_places(lists: Recommendations, k: int) -> Recommendations:
    """Cut or lengthen lists to ``k`` places; scores stay."""
    missing = k - lists.k
    if missing <= 0:
        return lists.top(k)
    return Recommendations(
        np.pad(lists.items, ((0, 0), (0, missing)), constant_values=-1),
        np.pad(lists.scores, ((0, 0), (0, missing)), constant_values=-np.inf),
    )
