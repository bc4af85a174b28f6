"""Texts: tidied, and made by templates that leave no gaps behind."""

from __future__ import annotations

import polars as pl
import pytest

from llmseq.data.text import render, tidy
from llmseq.errors import ConfigError


def test_tidy():
    raw = [
        "Salt &amp; Pepper",
        "&amp;#9733;star",
        " a\t\n b\u00a0c\u200b ",
        "  ",
        None,
        "AT&T 5 < 6",
    ]
    assert tidy(pl.Series(raw)).to_list() == [
        "Salt & Pepper",
        "★star",
        "a b c",
        None,
        None,
        "AT&T 5 < 6",
    ]


@pytest.mark.parametrize(
    ("template", "row", "expected"),
    [
        ("{title}. {brand}", {"title": "Soap", "brand": "Ivy"}, "Soap. Ivy"),
        ("{title}. {brand}", {"title": "Soap", "brand": None}, "Soap."),
        ("{title}. {brand}", {"title": None, "brand": "Ivy"}, "Ivy"),
        ("{title}. {brand}", {"title": None, "brand": None}, None),
        ("{title} ({brand})", {"title": "Soap", "brand": None}, "Soap"),
        ("{title} [{brand}] - new", {"title": "Soap", "brand": "Ivy"}, "Soap [Ivy] - new"),
        ("{{{title}}}", {"title": "Soap", "brand": None}, "{Soap}"),
        ("{title}, {brand}, {title}", {"title": "A", "brand": None}, "A, A"),
    ],
)
def test_render(template, row, expected):
    table = pl.DataFrame({name: pl.Series([value], dtype=pl.String) for name, value in row.items()})
    assert render(table, template).to_list() == [expected]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{titel}", '"titel", which is no column of the items; did you mean "title"?'),
        ("{title", "is malformed"),
        ("no column", "names no column"),
        ("{}", "may hold column names in braces and text only"),
        ("{title!r}", "may hold column names"),
    ],
)
def test_wrong_templates(template, message):
    table = pl.DataFrame({"title": ["x"]})
    with pytest.raises(ConfigError) as error:
        render(table, template)
    assert message in str(error.value)
