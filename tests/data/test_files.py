"""Tables as people have them, and one clear line for each that cannot be read."""

from __future__ import annotations

import gzip

import polars as pl
import pytest

from llmseq.data.files import as_strings, place, read_table, require_columns, write_table
from llmseq.data.table_file import TableFile
from llmseq.errors import InvalidDataError

TABLE = pl.DataFrame({"id": ["007", "b"], "name": ["Salt, fine", 'the "best"']})


def parquet_bytes(table):
    import io

    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("named", [True, False], ids=["named", "no extension"])
def test_every_format_reads_the_same(tmp_path, kind, zipped, named):
    content = {
        "csv": TABLE.write_csv().encode(),
        "jsonl": TABLE.write_ndjson().encode(),
        "parquet": parquet_bytes(TABLE),
    }[kind]
    path = tmp_path / (f"table.{kind}{'.gz' if zipped else ''}" if named else "table")
    path.write_bytes(gzip.compress(content) if zipped else content)
    assert read_table(path).equals(TABLE)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("﻿a,b\n1,2\n", [("1", "2")]),
        ("a;b\n1;2,5\n", [("1", "2,5")]),
        ("a\tb\r\n1\t2\r\n", [("1", "2")]),
        ("a|b\n1|\n", [("1", None)]),
        (' a ,"b"\n1,"x ""y"" z"\n', [("1", 'x "y" z')]),
        ('a,b\n1,12" mirror\n2,x\n', [("1", '12" mirror'), ("2", "x")]),
        ('a,b\n1,"two\nlines"\n2,12" x\n', [("1", "two\nlines"), ("2", '12" x')]),
        ("a,b\n1\n2,x", [("1", None), ("2", "x")]),
        ('"a,b"\n1\n', None),
        ("a::b\n1::2|3\n::x\n", [("1", "2|3"), (None, "x")]),
        ('a:token\tb:token_seq\n1\t"x\n2\ty z\n', [("1", '"x'), ("2", "y z")]),
    ],
)
def test_messy_csv(tmp_path, text, rows):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    table = read_table(path)
    if rows is None:
        assert table.columns == ["a,b"]
    else:
        assert table.columns == ["a", "b"]
        assert table.rows() == rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "t.csv: is empty"),
        (b" \n\n", "t.csv: is empty"),
        (gzip.compress(b"", mtime=0), "t.csv: is empty"),
        (b"a,b\n", "t.csv: has a header but no rows"),
        (b"\x89PNG\r\n\x00\x00\x01", "t.csv: is a binary file"),
        ("a,b\n".encode("utf-16"), "t.csv: is UTF-16"),
        (b"a,b\n1,2\n3,caf\xe9\n", "t.csv, row 3: byte 0xe9 is not UTF-8"),
        (b"a,b\n1,2\n3,4,5\n", "t.csv, row 3: 3 fields, but the header has 2"),
        (b'a,b\n1,x\n2,"never closed\n3,y\n', "t.csv, row 3: a quote is opened and never closed"),
        (b"a,a\n1,2\n", 't.csv: the header names the column "a" twice'),
        (b"PAR1 is how it starts", "t.csv: damaged Parquet file"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9], "t.csv: damaged gzip file"),
        (b'{"a": 1}\n{"a": 2\n', "t.csv, row 2: not valid JSON"),
        (b'{"a": 1}\n[1]\n', "t.csv, row 2: expected a JSON object"),
    ],
)
def test_what_cannot_be_read(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidDataError) as error:
        read_table(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("1,x\n2,y\n", [("1", "x"), ("2", "y")]),
        (
            "1::The Matrix::Action|Crime|Drama|War::z\n2::Café::::z\n",
            [("1", "The Matrix"), ("2", "Café")],
        ),
        ("1\tx\t9\n2\t\t9\n", [("1", "x"), ("2", None)]),
        ('1,12" mirror,0\n2\n', [("1", '12" mirror'), ("2", None)]),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_a_csv_without_a_header(tmp_path, text, rows, encoding):
    path = tmp_path / "t.dat"
    path.write_bytes(text.encode(encoding))
    table = read_table(TableFile(path, ("a", "b"), encoding))
    assert table.columns == ["a", "b"]
    assert table.rows() == rows


@pytest.mark.parametrize(
    ("content", "file", "message"),
    [
        (b"1,2\n", {"columns": ("a", "b", "c")}, "t.dat, row 1: has 2 fields, but 3 names were"),
        (b"a, b,c\n1,2,3\n", {"columns": ("a", "b")}, "t.dat, row 1: is a header that holds"),
        (b"1,2\n3,4,5\n", {"columns": ("a",)}, "t.dat, row 2: 3 fields, but row 1 has 2"),
        (b"1::2\n3::4::5\n", {"columns": ("a",)}, "t.dat, row 2: 3 fields, but row 1 has 2"),
        (b'{"a": 1}\n', {"columns": ("a",)}, "t.dat: its columns have names already"),
        (b"a\n1\n\x81\n", {"encoding": "cp1252"}, "t.dat, row 3: byte 0x81 is not CP1252"),
        (b"a\n1\n\xe9\n", {}, "or import it with its --encoding, such as latin-1"),
    ],
)
def test_what_cannot_be_read_as_it_is_said_to_be(tmp_path, content, file, message):
    path = tmp_path / "t.dat"
    path.write_bytes(content)
    with pytest.raises(InvalidDataError) as error:
        read_table(TableFile(path, **file))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "lines",
    [
        "{'id': '7', 'name': \"Ivy's\", 'price': 4.5}\n"
        "{'id': '8', 'tags': ['x', 'y'], 'of': {'k': 1}}\n",
        "{u'id': u'7', u'name': u'Ivy\\'s', u'price': 4.5}\n\n"
        " {u'id': u'8', u'tags': (u'x', u'y'), u'of': {}}",
        '{"id": "7", "name": "Ivy\'s", "price": 4.5}\n'
        '{"id": "8", "tags": ["x", "y"], "of": {"k": 1}}\n',
    ],
    ids=["Python", "Python 2", "JSON"],
)
def test_objects_of_python_are_read_as_those_of_json(tmp_path, lines):
    path = tmp_path / "t.json"
    path.write_text(lines)
    table = read_table(path)
    assert table.select("id", "name", "price", "tags").rows() == [
        ("7", "Ivy's", 4.5, None),
        ("8", None, None, ["x", "y"]),
    ]
    assert table.schema["of"] == pl.Struct([])
    assert place(path, 0) == f"{path}, row 1"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("{'a': 1}\n{'a': 1\n", "t.json, row 2: not valid Python"),
        ("{'a': 1}\n{'a': open('x')}\n", "t.json, row 2: not valid Python (malformed node"),
        ("{'a': 1}\n['a']\n", "t.json, row 2: expected a Python object"),
        ('{"a": {"b": 1}}\n\n{"a": \n', "t.json, row 3: not valid JSON"),
    ],
)
def test_objects_that_cannot_be_read(tmp_path, lines, message):
    path = tmp_path / "t.json"
    path.write_text(lines)
    with pytest.raises(InvalidDataError) as error:
        read_table(path)
    assert message in str(error.value)


def test_objects_of_many_names_are_no_columns(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text("".join(f'{{"id": {i}, "details": {{"key {i}": 1}}}}\n' for i in range(3_000)))
    assert read_table(path).schema == {"id": pl.Int64, "details": pl.Struct([])}


def test_a_missing_file_suggests_its_neighbour(tmp_path):
    (tmp_path / "events.csv.gz").touch()
    with pytest.raises(InvalidDataError, match=r'no such file; did you mean "events\.csv\.gz"'):
        read_table(tmp_path / "events.csv")
    with pytest.raises(InvalidDataError, match="is a folder"):
        read_table(tmp_path)


def test_a_json_array_is_told_apart(tmp_path):
    path = tmp_path / "t.json"
    path.write_text('[{"a": 1}]')
    with pytest.raises(InvalidDataError, match="write JSON lines instead"):
        read_table(path)


def test_a_missing_column_lists_those_there_are(tmp_path):
    with pytest.raises(InvalidDataError) as error:
        require_columns(TABLE, tmp_path / "t.csv", ["names"], "Name yours with --x")
    assert str(error.value).endswith(
        't.csv: no column "names"; did you mean "name"? It has: id, name. Name yours with --x'
    )


def test_rows_are_counted_as_an_editor_does(tmp_path):
    csv, jsonl = tmp_path / "a.csv.gz", tmp_path / "b.jsonl"
    csv.write_bytes(gzip.compress(b"a\n1\n"))
    jsonl.write_text('{"a": 1}\n')
    assert place(csv, 0, "a") == f"{csv}, row 2, column a"
    assert place(jsonl, 0) == f"{jsonl}, row 1"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7, 8], ["7", "8"]),
        ([7.0, None], ["7", None]),
        ([7.5, 8.0], ["7.5", "8.0"]),
        ([" a ", ""], ["a", None]),
        ([["x", "y"], []], ["x, y", None]),
        ([[1, 2], None], ["1, 2", None]),
        ([["x", None], [None]], ["x", None]),
        ([[["x", "y"], ["z"]], [], None], ["x, y; z", None, None]),
    ],
)
def test_ids_are_strings(values, expected):
    assert as_strings(pl.Series(values)).to_list() == expected


def test_a_full_disk_is_an_oserror():
    from pathlib import Path

    with pytest.raises(OSError, match="No space left"):
        write_table(pl.DataFrame({"a": range(100_000)}), Path("/dev/full"))
