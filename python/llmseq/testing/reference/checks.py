"""What the twins refuse, like the kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llmseq.errors import ConfigError, InvalidDataError, ShapeError
from llmseq.types import BoolArray, FloatMatrix, ItemArray, OffsetArray, Ragged

if TYPE_CHECKING:
    from collections.abc import Iterable


def check_choice(what: str, name: str, choices: Iterable[str]) -> None:
    """Refuse an unknown name."""
    if name not in choices:
        raise ConfigError(f'unknown {what} "{name}"; choose from {", ".join(choices)}')


def check_matrix(values: FloatMatrix, what: str) -> FloatMatrix:
    """Refuse a matrix without columns or with values that are not finite."""
    if values.shape[1] == 0:
        raise ShapeError(f"{what} must have at least one column, got shape {values.shape}")
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        raise InvalidDataError(f"{what} must be finite, but row {int(np.argmax(bad))} is not")
    return values


def check_sessions(items: ItemArray, offsets: OffsetArray, n_items: int, what: str) -> Ragged:
    """Refuse wrong offsets and items outside the catalogue."""
    sessions = Ragged(items, offsets)
    bad = (items < 0) | (items >= n_items)
    if bad.any():
        row = int(sessions.rows[np.argmax(bad)])
        raise InvalidDataError(
            f"{what}: row {row} holds item {items[np.argmax(bad)]}, which is not in 0..{n_items}"
        )
    return sessions


def check_mask(mask: BoolArray | None, n_items: int) -> BoolArray:
    """Everything where there is no mask; refuse one of another length."""
    if mask is None:
        return np.ones(n_items, dtype=np.bool_)
    if mask.size != n_items:
        raise ShapeError(f"candidates must hold one value for each of the {n_items} items")
    return mask


def check_list(row_items: ItemArray, what: str, row: int) -> list[int]:
    """Cut a list before its first missing place; refuse gaps and repeats."""
    listed = row_items.tolist()
    held: list[int] = listed[: listed.index(-1)] if -1 in listed else listed
    if any(item != -1 for item in listed[len(held) :]):
        raise InvalidDataError(f"{what}: row {row} holds an item behind a missing place (-1)")
    if any(item < 0 for item in held):
        raise InvalidDataError(f"{what}: row {row} holds item {min(held)}")
    if len(set(held)) < len(held):
        twice = min(item for item in held if held.count(item) > 1)
        raise InvalidDataError(f"{what}: row {row} holds item {twice} twice")
    return held
