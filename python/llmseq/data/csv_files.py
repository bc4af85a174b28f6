"""Separated values: any of five separators, with or without a header, with messy edges."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

import polars as pl
from polars.exceptions import PolarsError

from llmseq.errors import InvalidDataError

if TYPE_CHECKING:
    from llmseq.data.table_file import TableFile

_SEPARATORS = ",;\t|"
_DOUBLE = "::"  # MovieLens; read with a byte that no text holds instead
_UNIT = "\x1f"
_TYPED = re.compile(r"(.+):(?:token|float)(?:_seq)?")  # a header of RecBole's atomic files
_END = "llmseq-end-of-file"


def read_csv(file: TableFile, content: bytes) -> pl.DataFrame:
    """Read UTF-8 text separated by ``,`` ``;`` tab, ``|`` or ``::``; all columns are strings.

    Empty fields are null. A header of names with types (``user_id:token``) gives the names. Such
    files, and those separated by ``::``, know no quotes.

    Raises
    ------
    InvalidDataError
        If a row does not fit the header or the names given for the columns; it names the row.
    """
    first = content.split(b"\n", 1)[0].decode("utf-8").strip("\r")
    separator = _separator(first)
    if separator == _DOUBLE:
        separator = _UNIT
        content, first = content.replace(b"::", b"\x1f"), first.replace(_DOUBLE, _UNIT)
    typed = [_TYPED.fullmatch(field) for field in first.split(separator)]
    quotes = separator != _UNIT and not all(typed)
    fields = next(csv.reader([first], delimiter=separator)) if quotes else first.split(separator)
    if file.columns is None:
        names = _header(file, [kind[1] for kind in typed if kind] if all(typed) else fields)
    else:
        names = _given(file, file.columns, fields)
    try:
        table = pl.read_csv(
            content,
            separator=separator,
            quote_char='"' if quotes else None,
            has_header=file.columns is None,
            infer_schema=False,
        )
    except PolarsError:
        table = _read_messy(file, content.decode("utf-8"), separator, len(fields), quotes=quotes)
    table = table[:, : len(names)]
    table.columns = names
    return table


def _separator(line: str) -> str:
    unquoted = re.sub(r'"[^"]*"', "", line)
    return _DOUBLE if _DOUBLE in unquoted else max(_SEPARATORS, key=unquoted.count)


def _header(file: TableFile, fields: list[str]) -> list[str]:
    names = [name.strip() for name in fields]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidDataError(f'{file}: the header names the column "{twice}" twice')
    return names


def _given(file: TableFile, names: tuple[str, ...], fields: list[str]) -> list[str]:
    """Hold the names that were given for a file without a header against its first row."""
    if len(names) > len(fields):
        raise InvalidDataError(
            f"{file}, row 1: has {len(fields)} fields, but {len(names)} names were given for its "
            f"columns: {', '.join(names)}"
        )
    if [field.strip() for field in fields[: len(names)]] == list(names):
        raise InvalidDataError(
            f"{file}, row 1: is a header that holds the names given for the columns; give none"
        )
    return list(names)


def _read_messy(
    file: TableFile, text: str, separator: str, width: int, *, quotes: bool
) -> pl.DataFrame:
    """Read row by row, quotes inside fields allowed, and name the first row that does not fit."""
    rows: list[list[str | None]] = []
    text += f"{'' if text.endswith(chr(10)) else chr(10)}{_END}\n"
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
    )
    line = 0
    try:
        for row in reader:
            start, line = line + 1, reader.line_num
            if row == [_END]:
                if file.columns is None:
                    del rows[0]
                return pl.DataFrame(
                    rows, schema=[(str(i), pl.String) for i in range(width)], orient="row"
                )
            if len(row) > width:
                expected = "the header has" if file.columns is None else "row 1 has"
                hint = "; put fields that hold the separator into quotes" if quotes else ""
                raise InvalidDataError(
                    f"{file}, row {start}: {len(row)} fields, but {expected} {width}{hint}"
                )
            rows.append([value or None for value in row] + [None] * (width - len(row)))
    except csv.Error as error:
        raise InvalidDataError(f"{file}, row {line + 1}: {error}") from None
    raise InvalidDataError(f"{file}, row {start}: a quote is opened and never closed")
