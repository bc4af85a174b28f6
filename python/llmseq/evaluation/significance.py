"""Intervals and tests over sessions: bootstrap, paired sign flips, Holm.

Everything is drawn by session, or by person where ``groups`` names them: the sessions of one
person are alike, so counting them as independent would make intervals too narrow. Per-session
metrics take few distinct values (with one target, NDCG@20 has 21), so a draw is one multinomial
over the distinct values; where values are many, sessions are drawn one by one. Both are the same
bootstrap, not approximations of each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from llmseq.errors import ConfigError, InvalidDataError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from llmseq.types import FloatVector

Interval = tuple[float, float]

N_DRAWS = 2_000
N_FLIPS = 10_000
LEVEL = 0.95

_CHUNK = 4_000_000  # numbers held at once
_FEW = 8  # distinct values are few where there are at least this many rows for each
_ROUNDING = 1e-12  # sums in another order may differ by this share


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much better ``values`` are than ``baseline``, paired by session.

    Parameters
    ----------
    absolute : float
        Difference of the two means.
    relative : float, optional
        The same as a share of the baseline's mean; None where that mean is 0.
    interval, relative_interval : (low, high)
        Of both differences; the relative one is None where a draw of the baseline has mean 0.
    p_value : float
        Two-sided; of the hypothesis that it is chance which of the two a session does better with.
    """

    absolute: float
    relative: float | None
    interval: Interval
    relative_interval: Interval | None
    p_value: float


def bootstrap_interval(
    values: FloatVector,
    groups: NDArray[Any] | None = None,
    *,
    rng: np.random.Generator,
    n_draws: int = N_DRAWS,
    level: float = LEVEL,
) -> Interval:
    """Percentile bootstrap interval of the mean.

    Parameters
    ----------
    values : float64 (n_sessions,)
        A metric of each session.
    groups : (n_sessions,), optional
        Whose session it is; whole groups are drawn, and the mean stays the mean over sessions.
    rng : Generator
    n_draws : int
    level : float
        Share of the draws inside the interval.

    Raises
    ------
    ShapeError
        If the arrays do not fit or are empty.
    InvalidDataError
        If a value is not finite.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> bootstrap_interval(np.ones(10), rng=rng)
    (1.0, 1.0)
    """
    totals = _resample(_sums([values], groups), _positive(n_draws, "n_draws"), rng)
    return _percentiles(totals[:, 0] / totals[:, 1], level)


def paired_test(
    values: FloatVector,
    baseline: FloatVector,
    groups: NDArray[Any] | None = None,
    *,
    rng: np.random.Generator,
    n_draws: int = N_DRAWS,
    n_flips: int = N_FLIPS,
    level: float = LEVEL,
) -> Comparison:
    """Compare two models on the same sessions.

    The p-value is that of a sign-flip permutation test on the mean difference,
    (1 + flips at least as far from 0) / (1 + flips); the intervals are paired percentile bootstrap.

    Parameters
    ----------
    values, baseline : float64 (n_sessions,)
        The metric of both models; where there were several seeds, each session's mean over them.
    groups : (n_sessions,), optional
        Whose session it is; whole groups are drawn and flipped.

    Raises
    ------
    ShapeError
        If the arrays do not fit or are empty.
    InvalidDataError
        If a value is not finite.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> same = paired_test(np.arange(9.0), np.arange(9.0), rng=rng)
    >>> same.absolute, same.interval, same.p_value
    (0.0, (0.0, 0.0), 1.0)
    """
    sums = _sums([values, baseline], groups)
    total, total_baseline, n_sessions = sums.sum(axis=0)
    draws = _resample(sums, _positive(n_draws, "n_draws"), rng)
    difference = draws[:, 0] - draws[:, 1]
    measurable = bool(np.all(draws[:, 1] != 0))
    return Comparison(
        absolute=float((total - total_baseline) / n_sessions),
        relative=float((total - total_baseline) / total_baseline) if total_baseline else None,
        interval=_percentiles(difference / draws[:, 2], level),
        relative_interval=_percentiles(difference / draws[:, 1], level) if measurable else None,
        p_value=_flip_signs(sums[:, 0] - sums[:, 1], _positive(n_flips, "n_flips"), rng),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values of several comparisons, in the order given (Holm, 1979).

    The i-th smallest of m is multiplied by m − i + 1, never falls below the one before, and is
    at most 1.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if np.any(~((p >= 0) & (p <= 1))):
        raise InvalidDataError(f"p-values must lie between 0 and 1, got {p.tolist()}")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    steps = p[order] * np.arange(p.size, 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in adjusted]


def _sums(columns: Sequence[FloatVector], groups: NDArray[Any] | None) -> FloatVector:
    """Check the columns; their sums by group and the number of sessions, (n_groups, n + 1)."""
    arrays = [np.asarray(column, dtype=np.float64) for column in columns]
    for array in arrays:
        if array.ndim != 1 or array.size == 0 or array.shape != arrays[0].shape:
            shapes = " and ".join(str(each.shape) for each in arrays)
            raise ShapeError(f"expected one value a session and at least one, got shapes {shapes}")
        if not np.isfinite(array).all():
            raise InvalidDataError(f"session {int(np.argmin(np.isfinite(array)))} has no number")
    stacked = np.stack([*arrays, np.ones_like(arrays[0])], axis=1)
    if groups is None:
        return stacked
    if np.shape(groups) != arrays[0].shape:
        raise ShapeError(f"{arrays[0].size} sessions but groups of shape {np.shape(groups)}")
    _, codes = np.unique(groups, return_inverse=True)
    return np.stack([np.bincount(codes, weights=column) for column in stacked.T], axis=1)


def _resample(rows: FloatVector, n_draws: int, rng: np.random.Generator) -> FloatVector:
    """Draw as many rows as there are, with replacement, and add them up: (n_draws, n_columns)."""
    n = rows.shape[0]
    distinct, counts = _distinct(rows)
    many = counts.size * _FEW > n
    chunk = max(1, _CHUNK // (n if many else counts.size))
    totals = np.empty((n_draws, rows.shape[1]))
    for start in range(0, n_draws, chunk):
        stop = min(start + chunk, n_draws)
        if many:
            drawn = rng.integers(n, size=(stop - start, n))
            for column in range(rows.shape[1]):
                totals[start:stop, column] = rows[drawn, column].sum(axis=1)
        else:
            totals[start:stop] = rng.multinomial(n, counts / n, size=stop - start) @ distinct
    return totals


def _distinct(rows: FloatVector) -> tuple[FloatVector, NDArray[np.int64]]:
    """Different rows and how often each occurs."""
    codes = np.zeros(rows.shape[0], dtype=np.int64)
    for column in rows.T:
        values, inverse = np.unique(column, return_inverse=True)
        codes = np.unique(codes * values.size + inverse, return_inverse=True)[1]
    _, first, counts = np.unique(codes, return_index=True, return_counts=True)
    return rows[first], counts


def _flip_signs(differences: FloatVector, n_flips: int, rng: np.random.Generator) -> float:
    """Two-sided p-value of the sum under random signs; zeros change nothing and are left out."""
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    observed = abs(float(differences.sum()))
    sums = np.zeros(n_flips)
    if sizes.size * _FEW <= counts.sum():
        for size, count in zip(sizes, counts, strict=True):
            sums += size * (2 * rng.binomial(count, 0.5, size=n_flips) - count)
    else:
        each = np.repeat(sizes, counts)
        chunk = max(1, _CHUNK // each.size)
        for start in range(0, n_flips, chunk):
            stop = min(start + chunk, n_flips)
            random = np.frombuffer(rng.bytes((stop - start) * -(-each.size // 8)), dtype=np.uint8)
            plus = np.unpackbits(random.reshape(stop - start, -1), axis=1, count=each.size)
            sums[start:stop] = 2 * (plus.astype(np.float64) @ each) - each.sum()
    tolerance = _ROUNDING * float(sizes @ counts)
    return float((1 + np.count_nonzero(np.abs(sums) >= observed - tolerance)) / (1 + n_flips))


def _percentiles(draws: FloatVector, level: float) -> Interval:
    if not 0 < level < 1:
        raise ConfigError(f"level must lie between 0 and 1, got {level}")
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _positive(number: int, name: str) -> int:
    if number < 1:
        raise ConfigError(f"{name} must be at least 1, got {number}")
    return number
