"""Float64 sums in the order of their numbers: ``sum`` compensates from Python 3.12 on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmseq.types import FloatMatrix


def in_order(values: Iterable[float]) -> float:
    """Sum from the first to the last."""
    total = 0.0
    for value in values:
        total += value
    return total


def dot(left: FloatMatrix, right: FloatMatrix) -> float:
    """Inner product of two rows in index order."""
    return in_order(a * b for a, b in zip(left.tolist(), right.tolist(), strict=True))
