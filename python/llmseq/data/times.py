"""Times as logs stamp them: Unix numbers or ISO dates, to microseconds since 1970 (UTC)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from llmseq.data.files import place
from llmseq.errors import ConfigError, InvalidDataError

if TYPE_CHECKING:
    from pathlib import Path

    from llmseq.data.table_file import TableFile

MICROSECONDS = 1_000_000
MICROSECONDS_A_DAY = 86_400 * MICROSECONDS
_UNITS = (  # name, values below this, factor to microseconds
    ("Unix seconds", 1e11, 1e6),
    ("Unix milliseconds", 1e14, 1e3),
    ("Unix microseconds", 1e17, 1.0),
    ("Unix nanoseconds", float("inf"), 1e-3),
)
_PLAIN_NUMBERS = 1e8  # Unix seconds below this are of 1973 and before: rather a running number
_COMMON = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%.f")
_RARER = (*_COMMON, "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f%:z", "%Y-%m-%dT%H:%M%:z")
_DAYS = r"^(\d+) days?(?: (\d{1,2}):(\d\d):(\d\d))?$"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_HINT = "expected Unix seconds or milliseconds, or 2024-05-31, or 2024-05-31T13:45:00+02:00"


def parse_times(
    column: pl.Series, rows: pl.Series, file: TableFile | Path
) -> tuple[pl.Series, str]:
    """Read times to int64 microseconds.

    Numbers are Unix seconds, milliseconds, microseconds or nanoseconds by their magnitude; dates
    without a zone are UTC. Where no value is either, "11 days" and "11 days 16:00:16" are times
    since a start nobody knows, which becomes 1970.

    Parameters
    ----------
    column : Series
        Numbers, strings, dates or datetimes; its name stands in error messages.
    rows : Series
        Row of each value in the table of ``file``, for error messages.

    Returns
    -------
    Series
        int64, one a value, none missing.
    str
        What the values were taken for, for the report.

    Raises
    ------
    InvalidDataError
        If a value is missing or is no time; names file, row and column.
    """
    if column.dtype in (pl.Date, pl.Datetime) or isinstance(column.dtype, pl.Datetime):
        parsed, kind = _instants(column), "dates"
    else:
        numbers = _numbers(column)
        if numbers.null_count() * 2 <= len(column):
            parsed, kind = _from_numbers(numbers)
        else:
            parsed, kind = _from_text(column.cast(pl.String)), "ISO dates"
            if parsed.null_count() == len(column):
                parsed, kind = _from_days(column.cast(pl.String)), "days since a start"
    _refuse(parsed, column, rows, file, _HINT)
    return parsed, kind


def parse_order(column: pl.Series, rows: pl.Series, file: TableFile | Path) -> pl.Series:
    """Read numbers or dates that only order things, to float64; larger is newer.

    Missing values stay null.

    Raises
    ------
    InvalidDataError
        If a value is neither a number nor a date; names file, row and column.
    """
    known = column.is_not_null()
    given, given_rows = column.filter(known), rows.filter(known)
    numbers = _numbers(given)
    if numbers.null_count() * 2 <= len(given) or given.dtype.is_numeric():
        order = numbers
    elif given.dtype == pl.String:
        order = _from_text(given).cast(pl.Float64) / MICROSECONDS
    else:
        order = _instants(given).cast(pl.Float64) / MICROSECONDS
    _refuse(order, given, given_rows, file, "expected a number or a date such as 2024-05-31")
    filled = np.full(len(column), np.nan)
    filled[known.to_numpy()] = order.to_numpy()
    return pl.Series(column.name, filled).fill_nan(None)


def parse_gap(text: str) -> int:
    """Read a duration such as "30m", "12h" or "2d" to microseconds.

    Raises
    ------
    ConfigError
        If it is none.

    Examples
    --------
    >>> parse_gap("30m") // 1_000_000
    1800
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", text.strip().lower())
    if match is None or float(match[1]) == 0:
        raise ConfigError(
            f'session gap "{text}": expected a number and a unit (s, m, h or d), such as 30m or 12h'
        )
    return int(float(match[1]) * _SECONDS[match[2]] * MICROSECONDS)


def _numbers(column: pl.Series) -> pl.Series:
    """Values as float64; null where they are no finite number, or no numbers at all."""
    if not (column.dtype.is_numeric() or column.dtype == pl.String):
        return pl.Series(column.name, [None] * len(column), dtype=pl.Float64)
    numbers = column.cast(pl.Float64, strict=False)
    return numbers.set(~numbers.is_finite(), None)


def _from_numbers(numbers: pl.Series) -> tuple[pl.Series, str]:
    numbers = numbers.set(numbers < 0, None)
    known = numbers.drop_nulls()
    if len(known) and known.min() >= 19_000_101 and known.max() <= 21_001_231:  # type: ignore[operator]
        text = numbers.cast(pl.Int64).cast(pl.String)
        return _instants(text.str.to_date("%Y%m%d", strict=False)), "dates such as 20240531"
    middle = known.median() if len(known) else 0.0
    kind, _, factor = next(unit for unit in _UNITS if float(middle) < unit[1])  # type: ignore[arg-type]
    if len(known) and float(known.max()) < _PLAIN_NUMBERS:  # type: ignore[arg-type]
        kind = "running numbers (too small for Unix times)"
    return (numbers * factor).round(0).cast(pl.Int64, strict=False), kind


def _from_text(text: pl.Series) -> pl.Series:
    """Read ISO dates and datetimes, also with a space for the T and slashes for the dashes."""
    clean = text.str.strip_chars().str.strip_suffix("Z").str.replace(" ", "T", literal=True)
    parsed = pl.Series(text.name, [None] * len(text), dtype=pl.Int64)
    parsed = _fill(parsed, clean, _COMMON)
    return _fill(parsed, _mended(clean), _RARER) if parsed.has_nulls() else parsed


def _from_days(text: pl.Series) -> pl.Series:
    """Read "11 days" and "11 days 16:00:16", as pandas writes a time that has passed."""
    parts = text.str.extract_groups(_DAYS).struct.unnest().cast(pl.Int64)
    days, hours, minutes, seconds = (parts[name] for name in parts.columns)
    clock = (hours.fill_null(0) * 60 + minutes.fill_null(0)) * 60 + seconds.fill_null(0)
    return ((days * 86400 + clock) * MICROSECONDS).alias(text.name)


def _fill(parsed: pl.Series, text: pl.Series, forms: tuple[str, ...]) -> pl.Series:
    """Read what is not parsed yet, form by form."""
    for form in forms:
        rest = parsed.is_null().arg_true()
        if len(rest) == 0:
            break
        parsed = parsed.scatter(rest, _read_as(form, text.gather(rest)))
    return parsed


def _mended(text: pl.Series) -> pl.Series:
    """Rewrite the rarer writings of dates and zones to those that ``_RARER`` reads."""
    return (
        text.str.replace(r"^(\d{4})[/.](\d{1,2})[/.](\d{1,2})", "$1-$2-$3")
        .str.replace(r"\s*(?:z|UTC|GMT)$", "+00:00")
        .str.replace(r"(T.*\d)\s*([+-]\d\d):?(\d\d)$", "$1$2:$3")
        .str.replace(r"(T.*\d)([+-]\d\d)$", "$1$2:00")
    )


def _read_as(form: str, text: pl.Series) -> pl.Series:
    if form == "%Y-%m-%d":
        return text.str.to_date(form, strict=False).cast(pl.Datetime("us")).dt.epoch("us")
    zone = "UTC" if form.endswith("z") else None
    return text.str.to_datetime(form, strict=False, time_unit="us", time_zone=zone).dt.epoch("us")


def _instants(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Date:
        return column.cast(pl.Datetime("us")).dt.epoch("us")
    return column.dt.epoch("us")


def _refuse(
    parsed: pl.Series, column: pl.Series, rows: pl.Series, file: TableFile | Path, hint: str
) -> None:
    if parsed.null_count() == 0:
        return
    first = int(parsed.is_null().arg_max() or 0)
    value = column[first]
    what = "is empty" if value is None else f'"{value}" cannot be read'
    more = parsed.null_count() - 1
    others = f" (and {more} more like it)" if more else ""
    raise InvalidDataError(f"{place(file, int(rows[first]), column.name)}: {what}{others}; {hint}")
