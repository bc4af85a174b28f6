"""Objects a line: JSON, and the Python values that some public sets come as."""

from __future__ import annotations

import ast
import io
import json
import re
from typing import TYPE_CHECKING, Any

import polars as pl
from polars.exceptions import PolarsError

from llmseq.errors import InvalidDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmseq.data.table_file import TableFile

_INNER = re.compile(rb"[:\[,]\s*\{")  # an object in an object opens; in a text it costs time only
_PYTHON = re.compile(rb"\s*\{\s*u?'")


def is_python(content: bytes) -> bool:
    """Whether the lines are Python's dictionaries: their first name is in single quotes."""
    return _PYTHON.match(content) is not None


def read_json_lines(file: TableFile, content: bytes) -> pl.DataFrame:
    """Read UTF-8 lines, one object each; a name that a line lacks is null.

    Values keep their types, mixed ones become text. Objects inside are left empty, as they are no
    column: a table with one column for each of their names may be thousands of columns wide.

    Raises
    ------
    InvalidDataError
        If a line is no object; it names the row.
    """
    parse, what = (_python, "Python") if is_python(content) else (_json, "JSON")
    if parse is _python or _INNER.search(content):
        objects = _objects(file, content, parse, what)
        content = "\n".join(json.dumps(_without_objects(each)) for each in objects).encode()
    try:
        return pl.read_ndjson(io.BytesIO(content), infer_schema_length=None)
    except PolarsError as error:
        for _ in _objects(file, content, _json, "JSON"):
            pass
        raise InvalidDataError(f"{file}: not JSON lines ({str(error).splitlines()[0]})") from None


def _objects(
    file: TableFile, content: bytes, parse: Callable[[str], object], what: str
) -> Iterator[dict[str, Any]]:
    for row, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            value = parse(line.decode("utf-8"))
        except (ValueError, SyntaxError, RecursionError, MemoryError) as wrong:
            why = getattr(wrong, "msg", wrong)
            raise InvalidDataError(f"{file}, row {row}: not valid {what} ({why})") from None
        if not isinstance(value, dict):
            raise InvalidDataError(f"{file}, row {row}: expected a {what} object")
        yield value


def _json(line: str) -> object:
    return json.loads(line, parse_constant=lambda _: None)


def _python(line: str) -> object:
    return ast.literal_eval(line.strip())  # reads values only, runs nothing


def _without_objects(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _emptied(value) for name, value in values.items()}


def _emptied(value: object) -> object:
    if isinstance(value, dict):
        return {}
    if isinstance(value, (list, tuple, set)):
        return [{} if isinstance(each, dict) else _emptied(each) for each in value]
    return value
