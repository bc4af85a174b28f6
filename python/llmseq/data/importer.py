"""The front door: a shop's own files to a dataset, with an account of what was dropped and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from llmseq.data.dataset import SessionDataset
from llmseq.data.files import as_strings, place, read_table, require_columns
from llmseq.data.filters import core, drop_long, used_items
from llmseq.data.folder import check_writable, write_dataset
from llmseq.data.held_out import seen_share
from llmseq.data.import_events import read_events, read_items_of_log
from llmseq.data.import_items import read_items
from llmseq.data.import_options import ImportOptions
from llmseq.data.import_report import ImportReport
from llmseq.data.sessions import HeldOut
from llmseq.errors import ConfigError, InvalidDataError

if TYPE_CHECKING:
    from llmseq.data.sessions import Sessions
    from llmseq.types import IdArray


def import_dataset(
    interactions: Path | str,
    items: Path | str | None = None,
    *,
    split: Path | str | None = None,
    item_times: Path | str | None = None,
    out: Path | str | None = None,
    **options: object,
) -> SessionDataset:
    """Read a log of events and a file of items; write the dataset to ``out`` if given.

    CSV, Parquet and JSON lines, gzipped or not; also lines of Python's dictionaries. Ids are
    strings. Sessions come in the order of their first event in the file, events by time, position
    and file order; items keep the order of their file, and those without events stay unless
    ``drop_unused``. What was dropped and why is in ``provenance["report"]``. Nothing is written
    unless everything could be read.

    Parameters
    ----------
    interactions : path
        Log with a session id and an item id, and a time or a position where it has one.
    items : path, optional
        Every item with its id and texts. Without it the items are those of the log, and have no
        texts.
    split : path, optional
        File with ``session_id`` and ``split``: "train", "test", or any other word to leave out.
    item_times : path, optional
        File with the item id and a number or date by which items are older or newer.
    out : path, optional
        Folder to write; a dataset that is there is replaced.
    **options
        Settings of ``ImportOptions``: names of columns, filters, limits.

    Returns
    -------
    SessionDataset

    Raises
    ------
    InvalidDataError
        If a file cannot be used; names file, row or column, and what to do.
    ConfigError
        If an option does not exist or contradicts another.

    Examples
    --------
    >>> from llmseq import import_dataset
    >>> dataset = import_dataset(
    ...     "events.csv.gz", "items.csv", session_col="visit", text="{name}. {brand}"
    ... )  # doctest: +SKIP
    """
    chosen = ImportOptions.make(dict(options), what="import")
    if out is not None:
        check_writable(Path(out))
    report = ImportReport()
    times_path = None if item_times is None else Path(item_times)
    if items is None:
        if times_path is not None:
            raise ConfigError("item_times (--item-times) needs items (--items)")
        catalogue = read_items_of_log(Path(interactions), chosen)
    else:
        catalogue = read_items(Path(items), times_path, chosen, report)
    sessions = read_events(Path(interactions), catalogue, chosen, report)
    sessions = _filter(sessions, catalogue.n_items, chosen, report)
    if chosen.drop_unused:
        n_before = catalogue.n_items
        catalogue, sessions = used_items(catalogue, sessions)
        n_unused = n_before - catalogue.n_items
        report.drop("unused_items", "items", "without an event", n_unused, n_before)
    labels = None if split is None else _read_split(Path(split), sessions, chosen, report)
    dataset = SessionDataset(catalogue, sessions, labels)
    report.facts |= {
        "sessions": len(sessions),
        "events": sessions.n_events,
        "items": dataset.n_items,
        "last_item_seen_before": seen_share(HeldOut.last_item(sessions)),
    }
    idle = int((dataset.item_counts() == 0).sum())
    report.notice("items_without_events", "items without an event; kept", idle, dataset.n_items)
    provenance = {"source": "import", "options": chosen.to_dict(), "report": report.to_dict()}
    dataset = replace(dataset, provenance=provenance)
    if out is not None:
        write_dataset(dataset, out)
    return dataset


def _filter(
    sessions: Sessions, n_items: int, options: ImportOptions, report: ImportReport
) -> Sessions:
    kept = sessions
    if options.max_length is not None:
        kept = drop_long(kept, options.max_length)
        why = f"longer than {options.max_length} events"
        report.drop("long_sessions", "sessions", why, len(sessions) - len(kept), len(sessions))
    least = 5 if options.five_core else 1
    min_length = max(options.min_length, least)
    min_item_count = max(options.min_item_count, least)
    if max(min_length, min_item_count) > 1:
        before, kept = kept, core(kept, n_items, min_length, min_item_count)
        why = f"sessions under {min_length} events, items under {min_item_count}, repeated"
        report.drop("filtered_sessions", "sessions", why, len(before) - len(kept), len(before))
        n_dropped = before.n_events - kept.n_events
        report.drop("filtered_events", "events", why, n_dropped, before.n_events)
    if len(kept) == 0:
        raise InvalidDataError(
            f"the filters left none of the {len(sessions):,} sessions; "
            "ask for fewer events with --min-length, or leave --five-core out"
        )
    return kept


def _read_split(
    path: Path, sessions: Sessions, options: ImportOptions, report: ImportReport
) -> IdArray:
    """Label of every session, "unlisted" for those that the file does not name."""
    raw = read_table(path)
    report.files["split"] = {"path": str(path), "rows": raw.height}
    column = options.session_col if options.session_col in raw.columns else "session_id"
    require_columns(raw, path, [column, "split"], "A split file has session_id and split")
    table = pl.DataFrame(
        {"session": as_strings(raw[column]), "label": as_strings(raw["split"]).str.to_lowercase()}
    ).with_row_index("row")
    for name, source in (("session", column), ("label", "split")):
        if table[name].null_count():
            first = int(table[name].is_null().arg_max() or 0)
            raise InvalidDataError(f"{place(path, first, source)}: is empty")
    table = table.unique(["session", "label"], keep="first", maintain_order=True)
    if table["session"].is_duplicated().any():
        twice = table.filter(pl.col("session").is_duplicated())["session"][0]
        row = table.filter(pl.col("session") == twice)["row"][1]
        raise InvalidDataError(
            f'{place(path, row)}: the session "{twice}" has two different labels'
        )
    own = pl.DataFrame({"session": pl.Series(sessions.ids.tolist(), dtype=pl.String)})
    joined = own.join(table, on="session", how="left", maintain_order="left")
    n_known = joined.height - joined["label"].null_count()
    if n_known == 0:
        raise InvalidDataError(
            f'{path}: none of its sessions is in the log, for example "{table["session"][0]}"'
        )
    report.drop(
        "labels_of_unknown_sessions",
        "rows of the split file",
        "no such session in the log, or it was filtered out",
        table.height - n_known,
        table.height,
    )
    report.notice(
        "unlisted_sessions",
        "sessions that the split file does not name, left out of train and test",
        joined.height - n_known,
        joined.height,
    )
    labels = joined["label"].fill_null("unlisted")
    counts = dict(labels.value_counts(sort=True).iter_rows())
    for part in ("train", "test"):
        if part not in counts:
            found = ", ".join(f"{label} {count:,}" for label, count in counts.items())
            raise InvalidDataError(
                f'{path}, column split: no {part} sessions; expected the words "train" and '
                f'"test", got {found}'
            )
    report.facts["split_labels"] = counts
    return np.array(labels.to_list(), dtype=object)
