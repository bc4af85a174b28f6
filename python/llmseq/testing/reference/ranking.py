"""The one order of scores: higher first, equal float32 scores by the lower index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmseq.types import FloatMatrix, ItemArray


def ranked_lists(rows: Sequence[Mapping[int, float]], k: int) -> tuple[ItemArray, FloatMatrix]:
    """Best ``k`` of each row of item → score; −1 and −inf where a row has fewer."""
    items = np.full((len(rows), k), -1, dtype=np.int32)
    scores = np.full((len(rows), k), -np.inf, dtype=np.float32)
    for row, scored in enumerate(rows):
        with np.errstate(over="ignore", under="ignore"):
            rounded = {item: np.float32(score) + np.float32(0) for item, score in scored.items()}
        best = sorted(rounded, key=lambda item, of=rounded: (-of[item], item))[:k]  # type: ignore[misc]
        items[row, : len(best)] = best
        scores[row, : len(best)] = [rounded[item] for item in best]
    return items, scores
