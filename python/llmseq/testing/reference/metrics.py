"""Twin of ``evaluate_lists``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from llmseq.core import arrays
from llmseq.core.metrics import ListMetrics
from llmseq.core.threads import thread_count
from llmseq.errors import ConfigError, InvalidDataError, ShapeError
from llmseq.testing.reference.checks import check_list, check_sessions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from llmseq.core.arrays import RaggedLike
    from llmseq.types import CountArray

ACCURACY = ("ndcg", "hr", "mrr", "recall", "precision", "map")
POPULARITY = ("serendipity", "novelty", "popularity_lift")


def evaluate_lists(
    lists: ArrayLike,
    targets: RaggedLike,
    ks: Sequence[int] = (10, 20),
    popularity: ArrayLike | None = None,
    n_items: int | None = None,
    n_threads: int | None = None,
) -> ListMetrics:
    """See :func:`llmseq.core.evaluate_lists`."""
    thread_count(n_threads)
    target_items, target_offsets = arrays.ragged(targets, "targets")
    table = arrays.item_table(lists, "lists")
    ks = [arrays.count(k, "ks") for k in ks]
    counts = None if popularity is None else arrays.counts(popularity, "popularity")
    n_items = None if n_items is None else arrays.count(n_items, "n_items")
    if not ks or len(set(ks)) < len(ks):
        raise ConfigError(f"ks must be different cut-offs, at least one, got {ks}")
    if counts is not None:
        _check_counts(counts, n_items)
    catalogue = n_items or (np.iinfo(np.int32).max if counts is None else counts.size)
    wanted = check_sessions(target_items, target_offsets, catalogue, "targets")
    if table.shape[0] == 0:
        raise InvalidDataError("there are no lists to score")
    if len(wanted) != table.shape[0]:
        raise ShapeError(f"targets must have one row for each of the {table.shape[0]} lists")
    if (wanted.lengths == 0).any():
        raise InvalidDataError(f"targets: row {int(np.argmin(wanted.lengths))} is empty")
    held = [check_list(row_items, "lists", row) for row, row_items in enumerate(table)]
    for row, items in enumerate(held):
        if items and max(items) >= catalogue:
            raise InvalidDataError(f"lists: row {row} holds item {max(items)}")

    columns: dict[str, list[float]] = {}
    for k in ks:
        for row, items in enumerate(held):
            targets_of = set(wanted[row].tolist())
            values = dict(zip(ACCURACY, _accuracy(items[:k], targets_of, k), strict=True))
            if counts is not None:
                of_items = _popularity(items[:k], targets_of, k, counts)
                values |= dict(zip(POPULARITY, of_items, strict=True))
            for name, value in values.items():
                columns.setdefault(f"{name}@{k}", []).append(value)
    names = ACCURACY if counts is None else ACCURACY + POPULARITY
    per_session = {f"{name}@{k}": np.array(columns[f"{name}@{k}"]) for name in names for k in ks}
    means = {name: _mean(values.tolist()) for name, values in per_session.items()}
    if n_items is not None:
        exposure = {k: np.zeros(n_items, dtype=np.int64) for k in ks}
        for k in ks:
            for items in held:
                exposure[k][items[:k]] += 1
        means |= {f"coverage@{k}": int((exposure[k] > 0).sum()) / n_items for k in ks}
        means |= {f"gini@{k}": _gini(sorted(exposure[k].tolist())) for k in ks}
    return ListMetrics(means, per_session)


def _check_counts(counts: CountArray, n_items: int | None) -> None:
    if n_items is not None and counts.size != n_items:
        raise ShapeError(f"popularity must hold one count for each of the {n_items} items")
    if (counts < 0).any():
        raise InvalidDataError("popularity must be counts of at least 0")
    if not counts.any():
        raise InvalidDataError("popularity holds no count above 0")


def _accuracy(items: list[int], targets: set[int], k: int) -> list[float]:
    ranks = [rank for rank, item in enumerate(items, start=1) if item in targets]
    possible = min(len(targets), k)
    dcg = _sum(1 / math.log2(rank + 1) for rank in ranks)
    ideal = _sum(1 / math.log2(rank + 1) for rank in range(1, possible + 1))
    return [
        dcg / ideal,
        float(bool(ranks)),
        1 / ranks[0] if ranks else 0.0,
        len(ranks) / len(targets),
        len(ranks) / k,
        _sum(n / rank for n, rank in enumerate(ranks, start=1)) / possible,
    ]


def _popularity(items: list[int], targets: set[int], k: int, counts: CountArray) -> list[float]:
    most_popular = set(np.argsort(-counts, kind="stable")[:k].tolist())
    surprising = any(item in targets and item not in most_popular for item in items)
    if not items:
        return [float(surprising), math.nan, math.nan]
    total = int(counts.sum())
    information = _sum(-math.log2(max(int(counts[item]), 1) / total) for item in items)
    listed = _sum(float(counts[item]) for item in items)
    lift = listed / len(items) / (total / counts.size)
    return [float(surprising), information / len(items), lift]


def _sum(values: object) -> float:
    """Plain sum in order (the built-in ``sum`` compensates from Python 3.12)."""
    total = 0.0
    for value in values:  # type: ignore[attr-defined]
        total += value
    return total


def _mean(values: list[float]) -> float:
    numbers = [value for value in values if not math.isnan(value)]
    return _sum(numbers) / len(numbers) if numbers else math.nan


def _gini(rising: list[int]) -> float:
    n, total = len(rising), sum(rising)
    weighted = sum((2 * i - n - 1) * x for i, x in enumerate(rising, start=1))
    return weighted / (n * total) if total else 0.0
