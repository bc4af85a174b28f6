"""The items file of an import: ids, titles, texts, times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from llmseq.data.catalogue import Catalogue
from llmseq.data.files import as_strings, holds_texts, place, read_table, require_columns
from llmseq.data.table_file import TableFile
from llmseq.data.text import render, template_columns, tidy
from llmseq.data.times import parse_order
from llmseq.errors import InvalidDataError

if TYPE_CHECKING:
    from pathlib import Path

    from llmseq.data.import_options import ImportOptions
    from llmseq.data.import_report import ImportReport


def read_items(
    path: Path, item_times: Path | None, options: ImportOptions, report: ImportReport
) -> Catalogue:
    """Read the items file and, if given, the file with times of items.

    Raises
    ------
    InvalidDataError
        If a file or column cannot be used, an id stands twice, or too many items have no text.
    """
    file = TableFile(path, options.items_header, options.encoding)
    raw = read_table(file)
    report.files["items"] = {"path": str(path), "rows": raw.height}
    names = ["item_id", options.item_col] if options.id_col is None else [options.id_col]
    id_column = _id_column(raw, file, *names)
    columns = {
        name: as_strings(raw[name]) for name, kind in raw.schema.items() if holds_texts(kind)
    }
    table = pl.DataFrame(columns).with_row_index("_row")
    if dropped := [name for name in raw.columns if name not in table.columns]:
        report.facts["item_columns_dropped"] = dropped
    empty = table[id_column].is_null()
    report.drop("items_without_id", "items", "their id is empty", int(empty.sum()), raw.height)
    table = table.filter(~empty)
    if table.height == 0:
        raise InvalidDataError(f'{path}: every id in column "{id_column}" is empty')
    if options.drop_duplicates:
        before, table = table, table.unique(id_column, keep="first", maintain_order=True)
        why = "an item of the same id stands before them"
        report.drop("duplicate_items", "items", why, before.height - table.height, before.height)
    hint = "each item needs one row: remove the others, or keep the first with --drop-duplicates"
    _refuse_duplicates(table, id_column, file, hint)
    texts = [name for name in table.columns if name not in ("_row", id_column)]
    table = table.with_columns(tidy(table[name]) for name in texts)
    table = _with_texts(table, file, options, report)
    table = table.rename({} if id_column == "item_id" else _renames(table, id_column))
    time_column = options.item_time_col or ("item_time" if "item_time" in raw.columns else None)
    if item_times is not None:
        table = _join_times(table, item_times, options, report)
    elif time_column is not None:
        require_columns(raw, file, [time_column], "It is named by --item-time-col")
        values = raw[time_column].gather(table["_row"])
        times = parse_order(_blank_to_null(values), table["_row"], file)
        table = table.with_columns(times.alias("item_time"))
        _report_times(table, report)
    rest = [name for name in table.columns if name not in ("_row", "item_id", "title", "text")]
    return Catalogue(table.select("item_id", "title", "text", *rest))


def _renames(table: pl.DataFrame, id_column: str) -> dict[str, str]:
    renames = {id_column: "item_id"}
    if "item_id" in table.columns:  # a column of that name that is not the id stays, renamed
        renames["item_id"] = "item_id_of_file"
    return renames


def _id_column(table: pl.DataFrame, file: TableFile, *names: str | None) -> str:
    """Find the first of the names that the table has."""
    wanted = [name for name in names if name is not None]
    found = [name for name in wanted if name in table.columns]
    if not found:
        require_columns(table, file, wanted[:1], "Name the column of item ids with --id-col")
    return found[0]


def _refuse_duplicates(table: pl.DataFrame, id_column: str, file: TableFile, hint: str) -> None:
    twice = table.filter(pl.col(id_column).is_duplicated())
    if twice.height:
        item = twice[id_column][0]
        second = twice.filter(pl.col(id_column) == item)["_row"][1]
        raise InvalidDataError(
            f'{place(file, second, id_column)}: the item id "{item}" stands there a second time '
            f"({twice[id_column].n_unique()} ids are duplicated); {hint}"
        )


def _with_texts(
    table: pl.DataFrame, file: TableFile, options: ImportOptions, report: ImportReport
) -> pl.DataFrame:
    title = options.title_col or "title"
    if options.title_col is not None:
        require_columns(table, file, [title], "It is named by --title-col")
    elif options.text is None:
        hint = 'Name yours with --title-col, or write a template: --text "{name}. {brand}"'
        require_columns(table, file, [title], hint)
    template = options.text or f"{{{title}}}"
    if options.text is not None:
        hint = f'The template --text "{template}" names it'
        require_columns(table, file, template_columns(template), hint)
    text = render(table.drop("_row"), template)
    titles = table[title] if title in table.columns else text
    report.facts["text_template"] = template
    n_untexted = text.null_count()
    if n_untexted > options.max_untexted * table.height:
        first = int(table["_row"][int(text.is_null().arg_max() or 0)])
        raise InvalidDataError(
            f"{place(file, first)}: no text, as {n_untexted:,} of {table.height:,} items "
            f"({n_untexted / table.height:.0%}; allowed are {options.max_untexted:.0%}); the "
            f'template is "{template}": choose other columns with --text, or allow more with '
            "--max-untexted"
        )
    report.notice("items_without_text", "items without text", n_untexted, table.height)
    return table.with_columns(titles.alias("title"), text.alias("text"))


def _join_times(
    table: pl.DataFrame, path: Path, options: ImportOptions, report: ImportReport
) -> pl.DataFrame:
    file = TableFile(path)
    raw = read_table(file)
    report.files["item_times"] = {"path": str(path), "rows": raw.height}
    id_column = _id_column(raw, file, options.id_col, "item_id", options.item_col)
    others = [name for name in raw.columns if name != id_column]
    column = options.item_time_col or (others[0] if len(others) == 1 else None)
    if column is None:
        raise InvalidDataError(
            f"{path}: expected two columns, item_id and a number or date, got "
            f"{', '.join(raw.columns)}; say which with --item-time-col"
        )
    require_columns(raw, file, [column], "It is named by --item-time-col")
    rows = pl.Series("row", range(raw.height))
    times = pl.DataFrame(
        {
            "_row": rows,
            id_column: as_strings(raw[id_column]),
            "item_time": parse_order(_blank_to_null(raw[column]), rows, file),
        }
    ).filter(pl.col(id_column).is_not_null())
    _refuse_duplicates(times, id_column, file, "each item needs one row")
    strange = times.filter(~pl.col(id_column).is_in(table["item_id"].implode())).height
    report.drop("times_of_unknown_items", "item times", "no such item", strange, times.height)
    if strange == times.height:
        raise InvalidDataError(
            f'{path}: none of its ids is in the items file, for example "{times[id_column][0]}"'
        )
    joined = table.drop("item_time", strict=False).join(
        times.select(pl.col(id_column).alias("item_id"), "item_time"),
        on="item_id",
        how="left",
        maintain_order="left",
    )
    _report_times(joined, report)
    return joined


def _blank_to_null(column: pl.Series) -> pl.Series:
    return as_strings(column) if column.dtype == pl.String else column


def _report_times(table: pl.DataFrame, report: ImportReport) -> None:
    missing = table["item_time"].null_count()
    report.notice("items_without_time", "items without a time", missing, table.height)
