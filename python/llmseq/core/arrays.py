"""Any array-like to the arrays that kernels take; an error names what cannot be converted."""

from __future__ import annotations

import operator
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmseq.errors import ConfigError, InvalidDataError, ShapeError
from llmseq.types import (
    BoolArray,
    CountArray,
    FloatMatrix,
    FloatVector,
    ItemArray,
    OffsetArray,
    Ragged,
)

RaggedLike: TypeAlias = Ragged | tuple[ArrayLike, ArrayLike]

MAX_COUNT = 2**31 - 1


def count(value: SupportsIndex, what: str) -> int:
    """Whole number from 1 to 2³¹ − 1, or a ConfigError."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ConfigError(f"{what} must be a whole number of at least 1, got {value!r}") from None
    if not 1 <= number <= MAX_COUNT:
        raise ConfigError(f"{what} must be a whole number from 1 to {MAX_COUNT}, got {number}")
    return number


def seed(value: SupportsIndex) -> int:
    """Whole number from 0 to 2⁶⁴ − 1, or a ConfigError."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ConfigError(f"seed must be a whole number, got {value!r}") from None
    if not 0 <= number < 2**64:
        raise ConfigError(f"seed must be a whole number from 0 to 2⁶⁴ − 1, got {number}")
    return number


def matrix(values: ArrayLike, what: str) -> FloatMatrix:
    """C-contiguous float32 (rows, columns); values beyond float32 become infinite."""
    array = _shaped(_array(values, what, "numbers", "fiub"), 2, what)
    if array.dtype == np.float32:
        return np.ascontiguousarray(array)
    with np.errstate(over="ignore"):
        return array.astype(np.float32, order="C")


def item_table(values: ArrayLike, what: str) -> ItemArray:
    """C-contiguous int32 (rows, places)."""
    return _shaped(_integers(values, what, np.int32), 2, what)


def items(values: ArrayLike, what: str) -> ItemArray:
    """C-contiguous int32 (n,)."""
    return _shaped(_integers(values, what, np.int32), 1, what)


def counts(values: ArrayLike, what: str) -> CountArray:
    """C-contiguous int64 (n,)."""
    return _shaped(_integers(values, what, np.int64), 1, what)


def weights(values: ArrayLike, what: str) -> FloatVector:
    """C-contiguous float64 (n,)."""
    array = _array(values, what, "numbers", "fiub")
    return np.ascontiguousarray(_shaped(array, 1, what), dtype=np.float64)


def mask(values: ArrayLike | None, what: str) -> BoolArray | None:
    """C-contiguous boolean (n,); numbers are refused, for they may be item indices."""
    if values is None:
        return None
    array = _array(values, what, "booleans (one for each item)", "b")
    return np.ascontiguousarray(_shaped(array, 1, what))


def ragged(values: RaggedLike, what: str) -> tuple[ItemArray, OffsetArray]:
    """Items and offsets of a Ragged or of a pair of arrays."""
    if isinstance(values, Ragged):
        return values.items, values.offsets
    if not isinstance(values, tuple) or len(values) != 2:
        raise ShapeError(
            f"{what} must be a Ragged or a pair (items, offsets), got {type(values).__name__}"
        )
    return items(values[0], f"{what} items"), counts(values[1], f"{what} offsets")


def _array(values: ArrayLike, what: str, kind: str, kinds: str) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ShapeError(f"{what} must be a regular array: {error}") from error
    if array.dtype.kind not in kinds and array.size > 0:
        raise InvalidDataError(f"{what} must hold {kind}, got {array.dtype}")
    return array


def _integers(values: ArrayLike, what: str, dtype: type[np.signedinteger[Any]]) -> NDArray[Any]:
    array = _array(values, what, "whole numbers", "iu")
    limits = np.iinfo(dtype)
    if array.dtype != dtype and array.size > 0:
        low, high = array.min(), array.max()
        if low < limits.min or high > limits.max:
            raise InvalidDataError(
                f"{what} must fit into {limits.dtype}, got values from {low} to {high}"
            )
    return np.ascontiguousarray(array, dtype=dtype)


def _shaped(array: NDArray[Any], n_dims: int, what: str) -> NDArray[Any]:
    if array.ndim != n_dims:
        raise ShapeError(f"{what} must have {n_dims} dimension(s), got shape {array.shape}")
    return array
