"""Twin of ``fuse_lists``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llmseq.core import arrays
from llmseq.core.threads import thread_count
from llmseq.errors import ConfigError, InvalidDataError, ShapeError
from llmseq.testing.reference.checks import check_choice, check_list
from llmseq.testing.reference.ranking import ranked_lists

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
    """See :func:`llmseq.core.fuse_lists`."""
    thread_count(n_threads)
    k = arrays.count(k, "k")
    check_choice("fusion method", method, ("rrf", "zscore"))
    weights = [1.0] * len(lists) if weights is None else [float(weight) for weight in weights]
    if not (math.isfinite(c) and c >= 0):
        raise ConfigError(f"c must be finite and at least 0, got {c}")
    if len(weights) != len(lists):
        raise ShapeError(f"weights must hold one value for each of the {len(lists)} lists")
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
        raise ConfigError(f"weights must be finite and at least 0, got {weights}")
    if not any(weights):
        raise ConfigError("fusion needs at least one list with a weight above 0")
    rows: list[list[tuple[dict[int, float], float]]] = []
    for number, (items, scores) in enumerate(lists):
        table = arrays.item_table(items, f"lists {number} items")
        values = arrays.matrix(scores, f"lists {number} scores")
        rows = rows or [[] for _ in range(table.shape[0])]
        if table.shape != values.shape or table.shape[0] != len(rows):
            raise ShapeError(f"lists {number}: items and scores must both be ({len(rows)}, k)")
        for row in range(table.shape[0]):
            held = check_list(table[row], f"lists {number}", row)
            of_held = [float(score) for score in values[row, : len(held)]]
            if not all(map(math.isfinite, of_held)):
                raise InvalidDataError(
                    f"lists {number}: row {row} holds a score that is not finite"
                )
            if weights[number] > 0:
                shares, absent = _shares(held, of_held, method, weights[number], c)
                rows[row].append((shares, absent))
    fused = []
    for members in rows:
        sums: dict[int, float] = {}
        for item in {item for shares, _ in members for item in shares}:
            sums[item] = 0.0
            for shares, absent in members:
                sums[item] += shares.get(item, absent)
        fused.append(sums)
    return ranked_lists(fused, k)


def _shares(
    items: list[int], scores: list[float], method: str, weight: float, c: float
) -> tuple[dict[int, float], float]:
    """Compute what a list gives each of its items, and what it gives any other."""
    if method == "rrf":
        return {item: weight / (c + rank) for rank, item in enumerate(items, start=1)}, 0.0
    total = 0.0
    for score in scores:
        total += score
    mean = total / max(len(scores), 1)
    squares = 0.0
    for score in scores:
        squares += (score - mean) * (score - mean)
    deviation = math.sqrt(squares / max(len(scores), 1))
    shares = {
        item: weight * ((score - mean) / deviation if deviation > 0 else 0.0)
        for item, score in zip(items, scores, strict=True)
    }
    return shares, min(shares.values(), default=0.0)
