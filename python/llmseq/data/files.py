"""Tables as people have them: CSV, Parquet or JSON lines, gzipped or not."""

from __future__ import annotations

import difflib
import gzip
import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl
from polars.exceptions import PolarsError

from llmseq.data.csv_files import read_csv
from llmseq.data.json_lines import read_json_lines
from llmseq.data.table_file import TableFile
from llmseq.errors import InvalidDataError

if TYPE_CHECKING:
    from collections.abc import Iterable

_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_BOM = b"\xef\xbb\xbf"


def read_table(source: TableFile | Path | str) -> pl.DataFrame:
    """Read a table; what it is follows from its content, not from its name.

    CSV (with or without a byte order mark; separated by ``,`` ``;`` tab, ``|`` or ``::``; with a
    header line, or names of columns in a ``TableFile``) gives strings only, so "007" stays "007";
    empty fields are null. Parquet and JSON lines keep their types. Each may be gzipped. Text is
    UTF-8 unless a ``TableFile`` says otherwise. Rows keep the order of the file.

    Raises
    ------
    InvalidDataError
        If the file is missing, empty, binary, in another encoding, damaged, or a row does not fit
        the header; the message names the row.
    """
    file = source if isinstance(source, TableFile) else TableFile(Path(source))
    content = _content(file.path)
    is_parquet = content.startswith(_PARQUET)
    if not is_parquet:
        content = _as_utf8(file, content)
    kind = "parquet" if is_parquet else _format(file.path, content)
    if kind != "csv" and file.columns is not None:
        raise InvalidDataError(
            f"{file}: its columns have names already, as it is no CSV; give none for it"
        )
    match kind:
        case "parquet":
            table = _read_parquet(file.path, content)
        case "jsonl":
            table = read_json_lines(file, content)
        case "csv":
            table = read_csv(file, content)
    if table.height == 0:
        raise InvalidDataError(f"{file}: has a header but no rows")
    return table


def place(source: TableFile | Path, row: int, column: str | None = None) -> str:
    """Name a row for an error message, as an editor or a spreadsheet counts it.

    Parameters
    ----------
    row : int
        From 0, in the table that ``read_table`` gave. A CSV's header is its row 1.
    """
    file = source if isinstance(source, TableFile) else TableFile(source)
    first = 1 if file.columns is not None or _is_without_header(file.path) else 2
    where = f"{file}, row {row + first}"
    return where if column is None else f"{where}, column {column}"


def _is_without_header(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(4)
    if head.startswith(_GZIP):
        with gzip.open(path) as file:
            head = file.read(4)
    return head.removeprefix(_BOM).startswith((_PARQUET, b"{"))


def require_columns(
    table: pl.DataFrame, source: TableFile | Path, columns: Iterable[str], hint: str = ""
) -> None:
    """Refuse a table without one of the columns; the message lists those it has.

    Raises
    ------
    InvalidDataError
        Naming the first missing column, close matches, and ``hint``: what to do about it.
    """
    for column in columns:
        if column not in table.columns:
            if any(name.replace(".", "", 1).isdecimal() for name in table.columns):
                hint = (
                    "Its first row looks like data; if there is no header line, add one, or name "
                    "the columns where a command takes them: --log-header, --items-header"
                )
            raise InvalidDataError(
                f'{source}: no column "{column}"{did_you_mean(column, table.columns)} '
                f"It has: {', '.join(table.columns)}{'. ' + hint if hint else ''}"
            )


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """End of a clause: a question that offers the closest choice, or a full stop."""
    close = difflib.get_close_matches(name, list(choices), n=1)
    return f'; did you mean "{close[0]}"?' if close else "."


def as_strings(column: pl.Series) -> pl.Series:
    """Values as the strings that ids and texts are: trimmed, empty ones null, 7.0 as "7".

    Lists become their values with commas between them; of lists of lists, with semicolons between
    the outer ones.
    """
    if column.dtype.is_float():
        whole = column.cast(pl.Int64, strict=False)
        if (whole.cast(column.dtype) == column).all():
            column = whole
    elif isinstance(column.dtype, pl.List):
        column = _joined(column)
    text = column.cast(pl.String).str.strip_chars()
    return text.set(text == "", None)


def holds_texts(kind: pl.DataType) -> bool:
    """Whether ``as_strings`` has a text for values of this type."""
    for _ in range(2):
        kind = kind.inner if isinstance(kind, pl.List) else kind  # type: ignore[assignment]
    return not kind.is_nested()


def _joined(column: pl.Series) -> pl.Series:
    separator = ", "
    if isinstance(column.dtype.inner, pl.List):  # type: ignore[attr-defined]
        inner = pl.element().cast(pl.List(pl.String)).list.drop_nulls().list.join(", ")
        column, separator = column.list.eval(inner), "; "
    return column.cast(pl.List(pl.String)).list.drop_nulls().list.join(separator)


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


def _format(path: Path, content: bytes) -> Literal["csv", "jsonl"]:
    start = content[:1024].lstrip()
    suffixes = {suffix.lower() for suffix in path.suffixes}
    if start.startswith(b"{") or suffixes & {".jsonl", ".ndjson"}:
        return "jsonl"
    if start.startswith(b"[") and ".json" in suffixes:
        raise InvalidDataError(
            f"{path}: a JSON array; write JSON lines instead, one object a line, or CSV"
        )
    return "csv"


def _as_utf8(file: TableFile, content: bytes) -> bytes:
    """Decode a text, refuse what is none, and encode it again."""
    if file.encoding.lower() == "utf-8" and content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InvalidDataError(f"{file}: is UTF-16; save it as UTF-8")
    try:
        text = content.decode(file.encoding)
    except UnicodeDecodeError as error:
        if b"\0" not in content:
            row = content.count(b"\n", 0, error.start) + 1
            raise InvalidDataError(
                f"{file}, row {row}: byte {content[error.start]:#04x} is not "
                f"{file.encoding.upper()}; save the file as UTF-8, or import it with its "
                "--encoding, such as latin-1"
            ) from None
        text = "\0"
    if "\0" in text:
        raise InvalidDataError(
            f"{file}: is a binary file; expected CSV, JSON lines or Parquet, gzipped or not"
        )
    return content if file.encoding == "utf-8" else text.encode()


def _read_parquet(path: Path, content: bytes) -> pl.DataFrame:
    try:
        return pl.read_parquet(io.BytesIO(content))
    except PolarsError as error:
        raise InvalidDataError(
            f"{path}: damaged Parquet file ({str(error).splitlines()[0]})"
        ) from None
