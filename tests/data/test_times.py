"""Times as logs stamp them."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from llmseq.data.times import parse_gap, parse_order, parse_times
from llmseq.errors import ConfigError, InvalidDataError

MOMENT = dt.datetime(2024, 5, 31, 13, 45, tzinfo=dt.UTC)
SECONDS = int(MOMENT.timestamp())


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "log.csv"
    made.write_text("t\n")
    return made


def rows_of(column):
    return pl.Series("row", range(len(column)))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (SECONDS, "Unix seconds"),
        (float(SECONDS), "Unix seconds"),
        (str(SECONDS), "Unix seconds"),
        (SECONDS * 10**3, "Unix milliseconds"),
        (SECONDS * 10**6, "Unix microseconds"),
        (SECONDS * 10**9, "Unix nanoseconds"),
        ("2024-05-31T13:45:00", "ISO dates"),
        ("2024-05-31 13:45:00.000", "ISO dates"),
        ("2024/05/31 13:45", "ISO dates"),
        ("2024-05-31T13:45:00Z", "ISO dates"),
        ("2024-05-31T15:45:00+02:00", "ISO dates"),
        ("2024-05-31 15:45:00 +0200", "ISO dates"),
        ("2024-05-31 13:45:00 UTC", "ISO dates"),
        (MOMENT, "dates"),
        (MOMENT.replace(tzinfo=None), "dates"),
    ],
)
def test_one_moment_in_every_writing(path, value, kind):
    column = pl.Series("t", [value])
    parsed, found = parse_times(column, rows_of(column), path)
    assert (parsed.to_list(), found) == ([SECONDS * 10**6], kind)
    assert parsed.dtype == pl.Int64


def test_days_since_a_start(path):
    column = pl.Series("t", ["11 days 16:00:16", "1 day", "0 days 9:00:01"])
    parsed, found = parse_times(column, rows_of(column), path)
    seconds = [11 * 86400 + 16 * 3600 + 16, 86400, 9 * 3600 + 1]
    assert (parsed.to_list(), found) == ([s * 10**6 for s in seconds], "days since a start")
    mixed = pl.Series("t", ["11 days", "eleven days"])
    with pytest.raises(InvalidDataError, match='row 3, column t: "eleven days" cannot be read'):
        parse_times(mixed, rows_of(mixed), path)


def test_fractions_of_a_second_survive(path):
    column = pl.Series("t", ["1717163100.25", "1717163100"])
    assert parse_times(column, rows_of(column), path)[0].to_list() == [
        1717163100_250000,
        1717163100_000000,
    ]


@pytest.mark.parametrize("value", ["2024-05-31", "20240531", dt.date(2024, 5, 31)])
def test_whole_days(path, value):
    column = pl.Series("t", [value])
    midnight = int(dt.datetime(2024, 5, 31, tzinfo=dt.UTC).timestamp()) * 10**6
    assert parse_times(column, rows_of(column), path)[0].to_list() == [midnight]


def test_small_numbers_are_called_what_they_are(path):
    column = pl.Series("t", ["3", "1"])
    parsed, kind = parse_times(column, rows_of(column), path)
    assert parsed[0] > parsed[1]
    assert kind.startswith("running numbers")


@pytest.mark.parametrize(
    ("values", "row", "what"),
    [
        (["2024-05-31", "31.05.2024", "x"], 3, '"31.05.2024" cannot be read (and 1 more like it)'),
        (["1717163100", "soon"], 3, '"soon" cannot be read'),
        (["2024-05-31", None], 3, "is empty"),
        (["2024-02-30", "2024-02-28"], 2, '"2024-02-30" cannot be read'),
        ([float("nan"), 1.7e9], 2, '"nan" cannot be read'),
        ([-1, 1_700_000_000], 2, '"-1" cannot be read'),
        ([True, False], 2, "cannot be read"),
    ],
)
def test_unreadable_times_name_file_row_and_column(path, values, row, what):
    column = pl.Series("t", values)
    with pytest.raises(InvalidDataError) as error:
        parse_times(column, rows_of(column), path)
    assert str(error.value).startswith(f"{path}, row {row}, column t: ")
    assert what in str(error.value)
    assert "expected Unix seconds" in str(error.value)


def test_item_times_are_numbers_or_dates_and_may_be_missing(path):
    numbers = pl.Series("n", ["3", None, "-4.5"])
    assert parse_order(numbers, rows_of(numbers), path).to_list() == [3.0, None, -4.5]
    dates = pl.Series("d", ["2024-05-31", None, "2023-01-01"])
    found = parse_order(dates, rows_of(dates), path).to_list()
    assert found[1] is None
    assert found[0] > found[2]
    wrong = pl.Series("n", ["3", "new"])
    with pytest.raises(InvalidDataError, match=r'row 3, column n: "new" cannot be read'):
        parse_order(wrong, rows_of(wrong), path)


@pytest.mark.parametrize(
    ("text", "seconds"), [("45s", 45), ("30m", 1800), ("1.5h", 5400), ("2d", 172800)]
)
def test_gaps(text, seconds):
    assert parse_gap(text) == seconds * 10**6


@pytest.mark.parametrize("text", ["30", "m", "-5m", "0m", "30 minutes"])
def test_wrong_gaps(text):
    with pytest.raises(ConfigError, match="expected a number and a unit"):
        parse_gap(text)
