"""Every metric of ranked lists in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmseq import _core
from llmseq.core import arrays
from llmseq.core.threads import thread_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from llmseq.core.arrays import RaggedLike
    from llmseq.types import FloatVector


@dataclass(frozen=True, eq=False, slots=True)
class ListMetrics:
    """Metrics by name, for example ``"ndcg@20"``.

    Parameters
    ----------
    means
        Means over sessions, and the metrics of the lists as a whole (coverage, gini).
    per_session : float64 (n_sessions,) each
        Novelty and popularity lift are NaN for a session without a list; their means leave it
        out, and are NaN where no session has a list.
    """

    means: dict[str, float]
    per_session: dict[str, FloatVector]


def evaluate_lists(
    lists: ArrayLike,
    targets: RaggedLike,
    ks: Sequence[int] = (10, 20),
    popularity: ArrayLike | None = None,
    n_items: int | None = None,
    n_threads: int | None = None,
) -> ListMetrics:
    """Score ranked lists against the targets of the same sessions.

    A session without a list is a miss in every accuracy metric. A target that stands twice counts
    once. A cut-off may exceed the length of the lists: the missing places are misses.

    Parameters
    ----------
    lists : int32 (n_sessions, length)
        Items, best first; −1 where a list is short, only at its end. No item twice.
    targets
        One row a session, each with at least one item.
    ks
        Cut-offs, each at least 1.
    popularity : int64 (n_items,)
        Count of each item; adds serendipity, novelty and popularity lift.
    n_items
        Size of the catalogue; adds coverage and gini (means only).
    n_threads
        See :func:`llmseq.core.thread_count`.

    Returns
    -------
    ListMetrics
        ``ndcg hr mrr recall precision map``, with ``popularity`` also ``serendipity novelty
        popularity_lift``, with ``n_items`` also ``coverage gini``; each ``@K`` for every cut-off.

    Raises
    ------
    ShapeError
        If lists, targets and popularity do not fit together.
    InvalidDataError
        If a session has no target, a list holds an item twice or outside the catalogue, or counts
        are negative or all 0.
    ConfigError
        If a cut-off is below 1 or stands twice.

    Notes
    -----
    With n distinct targets and hits at the ranks r ≤ K: ``ndcg`` Σ 1/log2(r + 1) over the same
    sum of the ranks 1 … min(n, K); ``hr`` 1 if there is a hit; ``mrr`` 1/r of the first hit;
    ``recall`` hits/n; ``precision`` hits/K; ``map`` Σ (hits up to r)/r over min(n, K);
    ``serendipity`` 1 if a hit is not among the K items of the largest counts (equal counts: the
    lower index is the more popular); ``novelty`` mean over the listed items of −log2(count / Σ
    counts), an item without a count taking 1; ``popularity_lift`` mean count of the listed items
    over the mean count of all items; ``coverage`` distinct listed items / n_items; ``gini`` of
    the number of lists that hold each item, over all n_items (0 where nothing is listed).

    Examples
    --------
    >>> result = evaluate_lists([[5, 3, 8]], ([3], [0, 1]), ks=(1, 3))
    >>> result.means["hr@1"], result.means["mrr@3"]
    (0.0, 0.5)
    """
    target_items, target_offsets = arrays.ragged(targets, "targets")
    means, per_session = _core.evaluate_lists(
        arrays.item_table(lists, "lists"),
        target_items,
        target_offsets,
        [arrays.count(k, "ks") for k in ks],
        None if popularity is None else arrays.counts(popularity, "popularity"),
        None if n_items is None else arrays.count(n_items, "n_items"),
        thread_count(n_threads),
    )
    return ListMetrics(means, per_session)
