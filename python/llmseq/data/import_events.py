"""The log of an import: rows to sessions in a stable order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from llmseq.data.catalogue import Catalogue
from llmseq.data.files import as_strings, place, read_table, require_columns
from llmseq.data.sessions import Sessions
from llmseq.data.table_file import TableFile
from llmseq.data.times import parse_gap, parse_times
from llmseq.errors import InvalidDataError
from llmseq.types import Ragged

if TYPE_CHECKING:
    from pathlib import Path

    from llmseq.data.import_options import ImportOptions
    from llmseq.data.import_report import ImportReport


@dataclass(frozen=True, slots=True)
class _Columns:
    """Which columns of the log hold what; None where it has none."""

    item: str
    session: str | None
    user: str | None
    time: str | None
    order: str | None


def read_events(
    path: Path, catalogue: Catalogue, options: ImportOptions, report: ImportReport
) -> Sessions:
    """Read the log: sessions in order of first appearance, events by time, position, file order.

    Raises
    ------
    InvalidDataError
        If a file or column cannot be used, a time or position cannot be read, or too many events
        name unknown items.
    """
    file = log_file(path, options)
    raw = _with_one_time(read_table(file), file, options)
    report.files["interactions"] = {"path": str(path), "rows": raw.height}
    columns = _find_columns(raw, file, options)
    events = _with_ids(raw, file, columns, report)
    events = _with_order(events, raw, file, columns, report)
    if options.session_gap is not None:
        events = _cut(events, parse_gap(options.session_gap))
    events = _drop_unknown(events, file, catalogue, columns, options, report)
    return _sessions(events, report)


def log_file(path: Path, options: ImportOptions) -> TableFile:
    """Name a log with what the options say of it."""
    return TableFile(path, options.log_header, options.encoding)


def read_items_of_log(path: Path, options: ImportOptions) -> Catalogue:
    """Make a catalogue of the items in a log, without titles and texts, in order of appearance.

    Raises
    ------
    InvalidDataError
        If the file or its column of items cannot be used.
    """
    file, column = log_file(path, options), options.item_col or "item_id"
    raw = read_table(file)
    require_columns(raw, file, [column], "Name yours with --item-col")
    ids = as_strings(raw[column]).drop_nulls().unique(maintain_order=True)
    nothing = pl.lit(None, pl.String)
    return Catalogue(
        ids.alias("item_id").to_frame().with_columns(nothing.alias("title"), nothing.alias("text"))
    )


def _with_one_time(raw: pl.DataFrame, file: TableFile, options: ImportOptions) -> pl.DataFrame:
    """Join a time that stands in several columns to one of their names."""
    name = options.time_col or ""
    if name in raw.columns or "," not in name:
        return raw
    parts = [part.strip() for part in name.split(",")]
    require_columns(raw, file, parts, "They are named by --time-col")
    texts = [as_strings(raw[part]) for part in parts]
    joined = pl.select(pl.concat_str(texts, separator=" ").alias(name))
    return raw.with_columns(joined[name])


def _find_columns(raw: pl.DataFrame, file: TableFile, options: ImportOptions) -> _Columns:
    """Named columns must be there; the default ones are used where they are."""
    given = {
        "--item-col": options.item_col or "item_id",
        "--session-col": options.session_col or "session_id",
        "--user-col": options.user_col,
        "--time-col": options.time_col,
        "--order-col": options.order_col,
    }
    if options.session_gap is not None:
        given["--session-col"] = None
        given["--time-col"] = options.time_col or "timestamp"
    for flag, name in given.items():
        if name is not None:
            hint = f"Name yours with {flag}"
            if flag == "--session-col":
                hint += ", or cut a person's events with --user-col and --session-gap"
            require_columns(raw, file, [name], hint)
    present = raw.columns
    return _Columns(
        item=options.item_col or "item_id",
        session=given["--session-col"],
        user=options.user_col,
        time=given["--time-col"] or ("timestamp" if "timestamp" in present else None),
        order=options.order_col or ("position" if "position" in present else None),
    )


def _with_ids(
    raw: pl.DataFrame, file: TableFile, columns: _Columns, report: ImportReport
) -> pl.DataFrame:
    """Columns row, item, session, user as strings; rows without an id are dropped."""
    named = {"item": columns.item, "session": columns.session, "user": columns.user}
    events = pl.DataFrame(
        {key: as_strings(raw[name]) for key, name in named.items() if name is not None}
    ).with_row_index("row")
    ids = ["item", "user" if columns.session is None else "session"]
    kept = events.drop_nulls(ids)
    dropped = events.height - kept.height
    report.drop("events_without_id", "events", "an id is empty", dropped, events.height)
    if kept.height == 0:
        raise InvalidDataError(f"{file}: no row has both a session id and an item id")
    return kept


def _with_order(
    events: pl.DataFrame,
    raw: pl.DataFrame,
    file: TableFile,
    columns: _Columns,
    report: ImportReport,
) -> pl.DataFrame:
    """Columns time (microseconds) and order (float64) where the log has them."""
    rows = events["row"]
    whole = rows.len() == raw.height
    found = []
    if columns.time is not None:
        values = raw[columns.time] if whole else raw[columns.time].gather(rows)
        times, kind = parse_times(_trimmed(values), rows, file)
        events = events.with_columns(times.alias("time"))
        report.facts["times_read_as"] = kind
        found.append("time")
    if columns.order is not None:
        values = _trimmed(raw[columns.order] if whole else raw[columns.order].gather(rows))
        order = values.cast(pl.Float64, strict=False)
        if order.null_count():
            first = int(order.is_null().arg_max() or 0)
            raise InvalidDataError(
                f'{place(file, int(rows[first]), columns.order)}: "{values[first]}" is no number; '
                "positions must be numbers, or name a column of times with --time-col"
            )
        events = events.with_columns(order.alias("order"))
        found.append("position")
    report.facts["events_ordered_by"] = [*found, "order in the file"]
    return events


def _cut(events: pl.DataFrame, gap: int) -> pl.DataFrame:
    """Make a session end where a person pauses for longer than the gap (microseconds)."""
    pause = pl.col("time").diff().over("user") > gap
    visit = pause.fill_null(value=True).cum_sum().over("user")
    return (
        events.sort("user", "time", maintain_order=True)
        .with_columns(pl.format("{}-{}", "user", visit).alias("session"))
        .sort("row")
    )


def _drop_unknown(
    events: pl.DataFrame,
    file: TableFile,
    catalogue: Catalogue,
    columns: _Columns,
    options: ImportOptions,
    report: ImportReport,
) -> pl.DataFrame:
    """Replace item ids by item indices; events of unknown items are dropped, or too many."""
    index = catalogue.table.select(pl.col("item_id").alias("item")).with_row_index("index")
    events = events.join(index, on="item", how="left", maintain_order="left")
    unknown = events.filter(pl.col("index").is_null())
    share = unknown.height / events.height
    if share > options.max_unknown or unknown.height == events.height:
        first = unknown.row(0, named=True)
        where = f'{place(file, first["row"], columns.item)}: the item "{first["item"]}"'
        n_ids = unknown["item"].n_unique()
        if unknown.height == events.height:
            raise InvalidDataError(
                f"{where} is not in the catalogue, and neither is any other of the log's "
                f"{n_ids:,} ids: is this the column of item ids?"
            )
        raise InvalidDataError(
            f"{where} is not in the items file, like {share:.1%} of all events ({n_ids:,} ids); "
            f"allowed are {options.max_unknown:.0%}: give the whole catalogue, or allow more with "
            "--max-unknown"
        )
    report.drop(
        "events_of_unknown_items",
        "events",
        "their item is not in the items file",
        unknown.height,
        events.height,
    )
    kept = events.filter(pl.col("index").is_not_null())
    lost = events["session"].n_unique() - kept["session"].n_unique() if unknown.height else 0
    report.drop(
        "sessions_of_unknown_items",
        "sessions",
        "all their items are unknown",
        lost,
        events["session"].n_unique() if lost else 0,
    )
    return kept


def _codes(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Give each value a number, in order of first appearance; and the distinct values."""
    distinct = column.unique(maintain_order=True)
    numbers = pl.DataFrame({"value": distinct}).with_row_index("code")
    coded = column.to_frame("value").join(numbers, on="value", how="left", maintain_order="left")
    return coded["code"].cast(pl.Int64), distinct


def _sessions(events: pl.DataFrame, report: ImportReport) -> Sessions:
    codes, ids = _codes(events["session"])
    events = events.with_columns(codes.alias("code"))
    keys = [name for name in events.columns if name in ("time", "order")]
    if keys:
        events = events.sort("code", *keys, maintain_order=True)
    else:
        events = events.sort("code", maintain_order=True)
    _notice_order(events, keys, report)
    lengths = np.bincount(events["code"].to_numpy(), minlength=len(ids))
    items = events["index"].cast(pl.Int32).to_numpy()
    times = events["time"].to_numpy() if "time" in keys else None
    users = None
    if "user" in events.columns:
        # A session of nobody known stands for itself: together they would be one busy person.
        own = pl.format("session {}", pl.col("session"))
        known = pl.format("user {}", pl.col("user"))
        people, _ = _codes(events.select(pl.coalesce(known, own)).to_series())
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        users = people.cast(pl.Int32).to_numpy()[starts]
    return Sessions(
        np.array(ids.to_list(), dtype=object), Ragged.from_lengths(items, lengths), times, users
    )


def _notice_order(events: pl.DataFrame, keys: list[str], report: ImportReport) -> None:
    """Count ties, positions that contradict times, and repeated rows."""
    same_session = pl.col("code").diff() == 0
    if keys:
        tied = pl.all_horizontal(same_session, *(pl.col(key).diff() == 0 for key in keys))
        ties = int(events.select(tied.sum()).item())
        what = "events that share the time or position of the one before, kept in file order"
        report.notice("ties", what, ties, events.height)
    if len(keys) == 2:
        against = int(events.select((same_session & (pl.col("order").diff() < 0)).sum()).item())
        what = "events whose position contradicts their time; the time was believed"
        report.notice("positions_against_times", what, against, events.height)
    if "time" in keys:
        repeated = events.height - events.n_unique(["code", "index", "time"])
        what = "events that repeat another of the same session, item and time; kept"
        report.notice("repeated_events", what, repeated, events.height)


def _trimmed(column: pl.Series) -> pl.Series:
    return as_strings(column) if column.dtype == pl.String else column
