"""Tables as people have them: CSV, Parquet or JSON lines, gzipped or not, with messy edges."""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import json
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl
from polars.exceptions import PolarsError

from llmseq.errors import InvalidDataError

if TYPE_CHECKING:
    from collections.abc import Iterable

Format = Literal["csv", "jsonl", "parquet"]

_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_BOM = b"\xef\xbb\xbf"
_SEPARATORS = ",;\t|"
_END = "llmseq-end-of-file"


def read_table(path: Path | str) -> pl.DataFrame:
    """Read a table; what it is follows from its content, not from its name.

    CSV (UTF-8, with or without a byte order mark; separated by ``,`` ``;`` tab or ``|``; with a
    header line) gives strings only, so "007" stays "007"; empty fields are null. Parquet and JSON
    lines keep their types. Each may be gzipped. Rows keep the order of the file.

    Raises
    ------
    InvalidDataError
        If the file is missing, empty, binary, not UTF-8, damaged, or a row does not fit the header;
        the message names the row.
    """
    path = Path(path)
    content = _content(path)
    kind = _format(path, content)
    if kind == "parquet":
        table = _read_parquet(path, content)
    else:
        _refuse_binary(path, content)
        table = _read_jsonl(path, content) if kind == "jsonl" else _read_csv(path, content)
    if table.height == 0:
        raise InvalidDataError(f"{path}: has a header but no rows")
    return table


def place(path: Path, row: int, column: str | None = None) -> str:
    """Name a row for an error message, as an editor or a spreadsheet counts it.

    Parameters
    ----------
    row : int
        From 0, in the table that ``read_table`` gave. A CSV's header is its row 1.
    """
    with path.open("rb") as file:
        head = file.read(4)
    if head.startswith(_GZIP):
        with gzip.open(path) as file:
            head = file.read(4)
    first = 1 if head.removeprefix(_BOM).startswith((_PARQUET, b"{")) else 2
    where = f"{path}, row {row + first}"
    return where if column is None else f"{where}, column {column}"


def require_columns(
    table: pl.DataFrame, path: Path, columns: Iterable[str], hint: str = ""
) -> None:
    """Refuse a table without one of the columns; the message lists those it has.

    Raises
    ------
    InvalidDataError
        Naming the first missing column, close matches, and ``hint``: what to do about it.
    """
    for column in columns:
        if column not in table.columns:
            raise InvalidDataError(
                f'{path}: no column "{column}"{did_you_mean(column, table.columns)} '
                f"It has: {', '.join(table.columns)}{'. ' + hint if hint else ''}"
            )


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """End of a clause: a question that offers the closest choice, or a full stop."""
    close = difflib.get_close_matches(name, list(choices), n=1)
    return f'; did you mean "{close[0]}"?' if close else "."


def as_strings(column: pl.Series) -> pl.Series:
    """Values as the strings that ids and texts are: trimmed, empty ones null, 7.0 as "7"."""
    if column.dtype.is_float():
        whole = column.cast(pl.Int64, strict=False)
        if (whole.cast(column.dtype) == column).all():
            column = whole
    elif column.dtype == pl.List(pl.String):
        column = column.list.drop_nulls().list.join(", ")
    text = column.cast(pl.String).str.strip_chars()
    return text.set(text == "", None)


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write Parquet; a full disk is an ``OSError`` here, which polars itself hides."""
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    path.write_bytes(buffer.getbuffer())


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        names = [other.name for other in path.parent.glob("*")] if path.parent.is_dir() else []
        raise InvalidDataError(f"{path}: no such file{did_you_mean(path.name, names)}") from None
    except IsADirectoryError:
        raise InvalidDataError(f"{path}: is a folder, not a file") from None
    if content.startswith(_GZIP):
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise InvalidDataError(f"{path}: damaged gzip file ({error})") from None
    if not content.strip():
        raise InvalidDataError(f"{path}: is empty")
    return content.removeprefix(_BOM)


def _format(path: Path, content: bytes) -> Format:
    if content.startswith(_PARQUET):
        return "parquet"
    start = content[:1024].lstrip()
    suffixes = {suffix.lower() for suffix in path.suffixes}
    if start.startswith(b"{") or suffixes & {".jsonl", ".ndjson"}:
        return "jsonl"
    if start.startswith(b"[") and ".json" in suffixes:
        raise InvalidDataError(
            f"{path}: a JSON array; write JSON lines instead, one object a line, or CSV"
        )
    return "csv"


def _refuse_binary(path: Path, content: bytes) -> None:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InvalidDataError(f"{path}: is UTF-16; save it as UTF-8")
    if b"\0" in content:
        raise InvalidDataError(
            f"{path}: is a binary file; expected CSV, JSON lines or Parquet, gzipped or not"
        )
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise InvalidDataError(
            f"{path}, row {row}: byte {content[error.start]:#04x} is not UTF-8; "
            "save the file as UTF-8"
        ) from None


def _read_parquet(path: Path, content: bytes) -> pl.DataFrame:
    try:
        return pl.read_parquet(io.BytesIO(content))
    except PolarsError as error:
        raise InvalidDataError(f"{path}: damaged Parquet file ({_first_line(error)})") from None


def _read_jsonl(path: Path, content: bytes) -> pl.DataFrame:
    try:
        return pl.read_ndjson(io.BytesIO(content), infer_schema_length=None)
    except PolarsError as error:
        for row, line in enumerate(content.splitlines(), start=1):
            try:
                value = json.loads(line) if line.strip() else {}
            except ValueError as wrong:
                raise InvalidDataError(f"{path}, row {row}: not valid JSON ({wrong})") from None
            if not isinstance(value, dict):
                raise InvalidDataError(f"{path}, row {row}: expected a JSON object") from None
        raise InvalidDataError(f"{path}: not JSON lines ({_first_line(error)})") from None


def _read_csv(path: Path, content: bytes) -> pl.DataFrame:
    header = content.split(b"\n", 1)[0].decode("utf-8")
    unquoted = re.sub(r'"[^"]*"', "", header)
    separator = max(_SEPARATORS, key=unquoted.count)
    names = next(csv.reader([header.strip("\r")], delimiter=separator))
    names = [name.strip() for name in names]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidDataError(f'{path}: the header names the column "{twice}" twice')
    try:
        table = pl.read_csv(content, separator=separator, infer_schema=False)
    except PolarsError:
        table = _read_messy_csv(path, content.decode("utf-8"), separator, len(names))
    table.columns = names
    return table


def _read_messy_csv(path: Path, text: str, separator: str, width: int) -> pl.DataFrame:
    """Read row by row, quotes inside fields allowed, and name the first row that does not fit."""
    rows: list[list[str | None]] = []
    text += f"{'' if text.endswith(chr(10)) else chr(10)}{_END}\n"
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    line = 0
    try:
        for row in reader:
            start, line = line + 1, reader.line_num
            if row == [_END]:
                return pl.DataFrame(
                    rows[1:], schema=[(str(i), pl.String) for i in range(width)], orient="row"
                )
            if len(row) > width:
                raise InvalidDataError(
                    f"{path}, row {start}: {len(row)} fields, but the header has {width}; "
                    "put fields that hold the separator into quotes"
                )
            rows.append([value or None for value in row] + [None] * (width - len(row)))
    except csv.Error as error:
        raise InvalidDataError(f"{path}, row {line + 1}: {error}") from None
    raise InvalidDataError(f"{path}, row {start}: a quote is opened and never closed")


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
