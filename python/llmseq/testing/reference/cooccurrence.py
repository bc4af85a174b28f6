"""Twin of ``CooccurrenceIndex``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from llmseq.core import arrays
from llmseq.core.pooling import POOLINGS
from llmseq.core.threads import thread_count
from llmseq.errors import ConfigError, InvalidDataError, ShapeError
from llmseq.testing.reference.checks import (
    check_choice,
    check_list,
    check_mask,
    check_sessions,
)
from llmseq.testing.reference.pooling import pooling_weight
from llmseq.testing.reference.ranking import ranked_lists
from llmseq.testing.reference.sums import in_order

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from llmseq.types import FloatMatrix, ItemArray

Row = dict[int, float]


class CooccurrenceIndex:
    """See :class:`llmseq.core.CooccurrenceIndex`."""

    def __init__(
        self,
        items: ArrayLike,
        offsets: ArrayLike,
        n_items: int,
        *,
        forward: ArrayLike,
        backward: ArrayLike = (),
        row_power: float = 0.0,
        near: tuple[ArrayLike, ArrayLike] | None = None,
        smoothing: tuple[float, float, float] = (0.0, 0.0, 0.0),
        n_threads: int | None = None,
    ) -> None:
        thread_count(n_threads)
        flat, starts = arrays.items(items, "items"), arrays.counts(offsets, "offsets")
        self.n_items = arrays.count(n_items, "n_items")
        ahead = arrays.weights(forward, "forward").tolist()
        behind = arrays.weights(backward, "backward").tolist()
        sessions = check_sessions(flat, starts, self.n_items, "sessions")
        for value in [row_power, *ahead, *behind, *smoothing]:
            if not (value >= 0 and math.isfinite(value)):
                raise ConfigError(f"weights must be finite and not below 0, got {value}")
        self._near = [{} for _ in range(self.n_items)] if near is None else self._neighbours(near)
        self._smooths = near is not None
        self._strengths = smoothing
        sums: list[Row] = [{} for _ in range(self.n_items)]
        for row in range(len(sessions)):
            session = sessions[row].tolist()
            for place, item in enumerate(session):
                for other, found in enumerate(session):
                    distance = abs(other - place)
                    weights = ahead if other > place else behind
                    if 0 < distance <= len(weights) and weights[distance - 1] > 0:
                        add(sums[item], found, weights[distance - 1])
        self._rows: list[Row] = [
            {column: float(np.float32(row[column])) for column in sorted(row)} for row in sums
        ]
        self.n_pairs = sum(len(row) for row in self._rows)
        totals = [in_order(row.values()) for row in self._rows]
        if self._smooths:
            totals = [
                totals[item]
                + smoothing[0] * in_order(w * totals[other] for other, w in near_.items())
                for item, near_ in enumerate(self._near)
            ]
        self._scale = [total**-row_power if total > 0 else 0.0 for total in totals]

    def _neighbours(self, near: tuple[ArrayLike, ArrayLike]) -> list[Row]:
        items = arrays.item_table(near[0], "near items")
        scores = arrays.matrix(near[1], "near scores")
        if items.shape != scores.shape or len(items) != self.n_items or items.shape[1] == 0:
            raise ShapeError(f"near must have one row for each of the {self.n_items} items")
        for row, listed in enumerate(items):
            if any(item >= self.n_items for item in check_list(listed, "near", row)):
                raise InvalidDataError(
                    f"near: row {row} holds an item that is not in the catalogue"
                )
        if not np.isfinite(scores[items >= 0]).all():
            raise InvalidDataError("near: holds a similarity that is not finite")
        return [
            {
                int(item): float(score)
                for item, score in zip(row, weights, strict=True)
                if item >= 0 and score > 0
            }
            for row, weights in zip(items, scores, strict=True)
        ]

    def search(
        self,
        prompt_items: ArrayLike,
        prompt_offsets: ArrayLike,
        k: int,
        *,
        pooling: str = "harmonic",
        exclude_seen: bool = True,
        candidates: ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> tuple[ItemArray, FloatMatrix]:
        """See :meth:`llmseq.core.CooccurrenceIndex.search`."""
        thread_count(n_threads)
        flat = arrays.items(prompt_items, "prompt items")
        starts = arrays.counts(prompt_offsets, "prompt offsets")
        k = arrays.count(k, "k")
        check_choice("pooling", pooling, POOLINGS)
        allowed = check_mask(arrays.mask(candidates, "candidates"), self.n_items)
        prompts = check_sessions(flat, starts, self.n_items, "prompts")
        lists = []
        for row in range(len(prompts)):
            session = prompts[row].tolist()
            prompt: Row = {}
            for place, item in enumerate(session):
                weight = pooling_weight(pooling, len(session) - place, len(session))
                add(prompt, item, weight)
            seen = set(session) if exclude_seen else set()
            lists.append(
                {
                    item: score
                    for item, score in self._scores(prompt).items()
                    if allowed[item] and item not in seen
                }
            )
        return ranked_lists(lists, k)

    def _scores(self, prompt: Row) -> Row:
        of_prompts, of_items, direct = self._strengths
        scaled = {item: weight * self._scale[item] for item, weight in prompt.items()}
        rows: Row = {}
        for item, weight in scaled.items():
            add(rows, item, weight)
        for item, weight in scaled.items():
            for other, similarity in self._near[item].items():
                add(rows, other, of_prompts * weight * similarity)
        scores: Row = {}
        for item, weight in rows.items():
            for column, value in self._rows[item].items():
                add(scores, column, weight * value)
        if not self._smooths:
            return scores
        smoothed = dict(scores)
        for item, score in scores.items():
            for other in range(self.n_items):
                if item in self._near[other]:
                    add(smoothed, other, of_items * score * self._near[other][item])
        for item, weight in prompt.items():
            for other, similarity in self._near[item].items():
                add(smoothed, other, direct * weight * similarity)
        return smoothed


def add(row: Row, place: int, value: float) -> None:
    """Add a number above 0; others are left out."""
    if value > 0:
        row[place] = row.get(place, 0.0) + value
