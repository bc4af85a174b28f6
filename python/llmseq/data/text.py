"""Texts of items: tidying what shops write, and templates such as ``"{title}. {brand}"``."""

from __future__ import annotations

import html
import string

import polars as pl

from llmseq.data.files import did_you_mean
from llmseq.errors import ConfigError

_SPACE = r"[\s\x00-\x1f\x7f\u00a0\u200b\ufeff]+"
_DANGLING_START = r"^[\s.,;:|/–—·-]+"
_DANGLING_END = r"[\s,;:|/–—·-]+$"
_EMPTY_BRACKETS = r"\(\W*\)|\[\W*\]|\{\W*\}"


def tidy(column: pl.Series) -> pl.Series:
    """Unescape HTML entities and make every run of white space one space; empty texts are null.

    Examples
    --------
    >>> tidy(pl.Series(["Salt &amp;  Pepper", "  "])).to_list()
    ['Salt & Pepper', None]
    """
    values = [
        html.unescape(html.unescape(value)) if value is not None and "&" in value else value
        for value in column.to_list()  # twice: feeds escape twice ("&amp;#9733;")
    ]
    text = pl.Series(column.name, values, dtype=pl.String).str.replace_all(_SPACE, " ")
    text = text.str.strip_chars()
    return text.set(text == "", None)


def template_columns(template: str) -> list[str]:
    """Columns that a template names, in order.

    Raises
    ------
    ConfigError
        If the template is malformed or names no column.
    """
    return [column for _, column in _pieces(template) if column is not None]


def render(table: pl.DataFrame, template: str) -> pl.Series:
    """Fill a template for every row.

    An empty column leaves nothing behind: empty brackets and dangling separators go too. A row
    whose columns are all empty has no text (null).

    Parameters
    ----------
    table : DataFrame
        String columns.
    template
        Text with column names in braces; ``{{`` and ``}}`` for braces themselves.

    Returns
    -------
    Series
        String, one row each.

    Raises
    ------
    ConfigError
        If the template is malformed or names a column that the table has not.

    Examples
    --------
    >>> items = pl.DataFrame({"title": ["Soap", "Balm", None], "brand": ["Ivy", None, None]})
    >>> render(items, "{title} ({brand})").to_list()
    ['Soap (Ivy)', 'Balm', None]
    """
    pieces = _pieces(template)
    columns = template_columns(template)
    for name in columns:
        if name not in table.columns:
            raise ConfigError(
                f'the text template "{template}" names "{name}", which is no column of the items'
                f"{did_you_mean(name, table.columns)} They have: {', '.join(table.columns)}"
            )
    parts: list[pl.Expr] = []
    for literal, column in pieces:
        parts.append(pl.lit(literal))
        if column is not None:
            parts.append(pl.col(column).fill_null(""))
    known = [pl.col(name).is_not_null() for name in columns]
    whole = pl.concat_str(parts).str.replace_all(r"\s+", " ").str.strip_chars()
    mended = (
        pl.concat_str(parts)
        .str.replace_all(_EMPTY_BRACKETS, "")
        .str.replace_all(r"\s+", " ")
        .str.replace_all(r"([.,;:|/]) (?:[.,;:|/] )+", "$1 ")
        .str.replace(_DANGLING_END, "")
        .str.replace(_DANGLING_START, "")
    )
    text = pl.when(pl.all_horizontal(known)).then(whole).when(pl.any_horizontal(known)).then(mended)
    return table.select(text.otherwise(None).alias("text"))["text"]


def _pieces(template: str) -> list[tuple[str, str | None]]:
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ConfigError(f'the text template "{template}" is malformed: {error}') from None
    pieces: list[tuple[str, str | None]] = []
    for literal, name, spec, conversion in parsed:
        if name == "" or spec or conversion:
            raise ConfigError(
                f'the text template "{template}" may hold column names in braces and text only, '
                'for example "{title}. {brand}"'
            )
        pieces.append((literal, name))
    if all(name is None for _, name in pieces):
        raise ConfigError(
            f'the text template "{template}" names no column; write one in braces, '
            'for example "{title}. {brand}"'
        )
    return pieces
