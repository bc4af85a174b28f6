"""Many models' lists into one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmseq import _core
from llmseq.core import arrays
from llmseq.core.threads import thread_count
from llmseq.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from llmseq.types import FloatMatrix, ItemArray


def fuse_lists(
    lists: Sequence[tuple[ArrayLike, ArrayLike]],
    k: int,
    *,
    method: str = "rrf",
    weights: Sequence[float] | None = None,
    c: float = 10.0,
    n_threads: int | None = None,
) -> tuple[ItemArray, FloatMatrix]:
    """Fuse many models' lists of the same sessions.

    Equal fused scores: the lower item first. Sums run in float64 in the order of ``lists`` and
    are rounded once to float32. Lists of weight 0 are left out.

    Parameters
    ----------
    lists
        One pair a model: items int32 (n_sessions, k_i), −1 where a list is short, and scores
        float32 of the same shape, finite wherever there is an item. The models' k_i may differ.
    k
        Places in a fused list, at least 1.
    method
        ``"rrf"`` or ``"zscore"``, see the notes.
    weights
        One a model, at least 0, not all 0; all 1 by default.
    c
        Constant of ``"rrf"``, at least 0; larger values flatten the ranks.
    n_threads
        See :func:`llmseq.core.thread_count`.

    Returns
    -------
    items : int32 (n_sessions, k)
        Best first; −1 where the lists hold fewer than ``k`` items.
    scores : float32 (n_sessions, k)
        −inf where ``items`` is −1.

    Raises
    ------
    ShapeError
        If the lists hold different numbers of sessions, or weights do not match.
    InvalidDataError
        If a list holds an item twice or a score is not finite.
    ConfigError
        If the method is unknown, a number is out of range or there is nothing to fuse.

    Notes
    -----
    ``rrf``: Σ w / (c + rank), rank from 1, over the lists that hold the item (Cormack, Clarke and
    Büttcher 2009). ``zscore``: Σ w z, z = (score − mean) / population standard deviation within
    the list (0 where the scores do not differ); a list that does not hold the item gives its
    lowest z, an empty list 0.

    Examples
    --------
    >>> first = ([[4, 2]], [[0.9, 0.8]])
    >>> second = ([[2, 7]], [[12.0, 3.0]])
    >>> items, scores = fuse_lists([first, second], 3, c=1.0)
    >>> items.tolist(), scores.round(3).tolist()
    ([[2, 4, 7]], [[0.8330000042915344, 0.5, 0.3330000042915344]])
    """
    if not lists:
        raise ConfigError("fusion needs at least one list, got none")
    return _core.fuse_lists(
        [
            (
                arrays.item_table(items, f"lists {number} items"),
                arrays.matrix(scores, f"lists {number} scores"),
            )
            for number, (items, scores) in enumerate(lists)
        ],
        arrays.count(k, "k"),
        method,
        [1.0] * len(lists) if weights is None else [float(weight) for weight in weights],
        float(c),
        thread_count(n_threads),
    )
