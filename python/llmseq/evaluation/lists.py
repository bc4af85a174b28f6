"""Lists, targets, catalogue and train events as files of any system, joined by their ids."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from llmseq.data.files import as_strings, place, read_table, require_columns
from llmseq.errors import InvalidDataError
from llmseq.evaluation.evaluate import KS, Evaluation, check_cut_offs, evaluate
from llmseq.recommendations import Recommendations
from llmseq.types import CountArray, IdArray, Ragged

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_RANK_COLUMNS = ("rank", "order")


@dataclass(frozen=True, eq=False, slots=True)
class ListFiles:
    """What the files hold, as arrays.

    Items are numbered in the order of the catalogue, then of the train events, then of the lists
    and targets: the numbers are internal, but ties in popularity go to the item that comes first.

    Parameters
    ----------
    recommendations : Recommendations
        One list for each session with targets, scores 0.
    targets : Ragged
        In the order in which the sessions first occur in the targets file.
    session_ids : object (n_sessions,)
    users : object (n_sessions,), optional
        Where the targets file has a column ``user_id``.
    popularity : int64 (n_items,), optional
        Train events of each item; None without a train file.
    n_catalogue : int, optional
        Items in the catalogue file; None without one. Items 0 to ``n_catalogue`` − 1 are in it.
    n_items : int
        Items in all files.
    notes : tuple of str
        What people should know: sessions without a list, lists left out, items not in the
        catalogue.
    """

    recommendations: Recommendations
    targets: Ragged
    session_ids: IdArray
    users: IdArray | None
    popularity: CountArray | None
    n_catalogue: int | None
    n_items: int
    n_without_list: int
    n_unknown_sessions: int
    notes: tuple[str, ...] = field(default=())


def read_lists(
    recommendations: Path,
    targets: Path,
    *,
    catalogue: Path | None = None,
    train: Path | None = None,
) -> ListFiles:
    """Read the files (CSV, Parquet or JSON lines, any order of columns and rows) and join them.

    Parameters
    ----------
    recommendations : Path
        session_id, item_id and rank (or order): numbers, smaller is better; they may begin
        anywhere and leave gaps. Without either, the column score (larger is better), else the
        order of the file.
    targets : Path
        session_id, item_id; several a session are allowed. A session without a list is a miss.
    catalogue : Path, optional
        item_id.
    train : Path, optional
        session_id, item_id: one row an event.

    Raises
    ------
    InvalidDataError
        If a column is missing, an id or a rank empty, a list holds an item or a rank twice, or no
        list belongs to a session with targets.
    """
    listed = _read_recommendations(recommendations)
    wanted = _read_ids(targets, ("session_id", "item_id"), optional=("user_id",))
    notes = []
    n_rows = wanted.height
    wanted = wanted.unique(["session_id", "item_id"], keep="first", maintain_order=True)
    repeated = n_rows - wanted.height
    if repeated:
        notes.append(f"rows of targets that stand more than once, counted once: {repeated}")
    known = None if catalogue is None else _read_ids(catalogue, ("item_id",))
    events = None if train is None else _read_ids(train, ("session_id", "item_id"))
    sessions = wanted.select("session_id").unique(maintain_order=True).with_row_index("session")
    tables = [table for table in (known, events, listed, wanted) if table is not None]
    items = (
        pl.concat([table.select("item_id") for table in tables])
        .unique(maintain_order=True)
        .with_row_index("item")
    )
    n_catalogue = None if known is None else known["item_id"].n_unique()
    lists = listed.join(sessions, on="session_id", how="inner", maintain_order="left").join(
        items, on="item_id", how="left", maintain_order="left"
    )
    n_unknown = listed.join(sessions, on="session_id", how="anti")["session_id"].n_unique()
    if lists.height == 0:
        raise InvalidDataError(
            f"no session of {recommendations} has a target in {targets}: for example "
            f'"{listed["session_id"][0]}" against "{wanted["session_id"][0]}"; '
            "both files must use the same session ids"
        )
    n_without = sessions.height - lists["session"].n_unique()
    if n_without:
        notes.append(
            f"sessions without a list, counted as misses: {n_without} of {sessions.height}"
        )
    if n_unknown:
        notes.append(f"lists of sessions without a target, left out: {n_unknown}")
    if n_catalogue is not None:
        outside = lists.filter(pl.col("item") >= n_catalogue)
        if outside.height:
            notes.append(
                f"listed items that are not in the catalogue: {outside['item'].n_unique()}, for "
                f'example "{outside["item_id"][0]}"; they keep their places but do not count for '
                "coverage"
            )
    return ListFiles(
        recommendations=_matrix(lists, sessions.height),
        targets=_ragged(wanted, sessions, items),
        session_ids=np.array(sessions["session_id"].to_list(), dtype=object),
        users=_users(wanted, sessions),
        popularity=None if events is None else _counts(events, items),
        n_catalogue=n_catalogue,
        n_items=items.height,
        n_without_list=n_without,
        n_unknown_sessions=n_unknown,
        notes=tuple(notes),
    )


def score_lists(files: ListFiles, ks: Sequence[int] = KS) -> Evaluation:
    """Score the lists by every metric that the files allow.

    Serendipity, novelty and popularity lift need the train events; coverage and Gini the catalogue.
    Items outside the catalogue keep their places in the lists, so they can hit and they push others
    down, but coverage and Gini look at catalogue items only. Popularity lift compares with the mean
    count of all items in the files.
    """
    scored = evaluate(files.recommendations, files.targets, ks=ks, popularity=files.popularity)
    if files.n_catalogue is None:
        return scored
    means = dict(scored.means)
    any_target = Ragged.from_lists([[0]] * len(files.targets))  # coverage and Gini ask for none
    for k in check_cut_offs(ks):
        inside = _only_below(files.n_catalogue, files.recommendations.top(k))
        exposure = evaluate(inside, any_target, ks=(k,), n_items=files.n_catalogue)
        means |= {name: exposure.means[name] for name in (f"coverage@{k}", f"gini@{k}")}
    return replace(scored, means=means)


def _only_below(n_items: int, lists: Recommendations) -> Recommendations:
    """Leave the items from ``n_items`` on out of the lists."""
    outside = (lists.items < 0) | (lists.items >= n_items)
    order = np.argsort(outside, axis=1, kind="stable")
    items = np.take_along_axis(np.where(outside, -1, lists.items), order, axis=1)
    return Recommendations(items, np.where(items < 0, -np.inf, 0.0).astype(np.float32))


def _read_ids(
    path: Path, columns: tuple[str, ...], *, optional: tuple[str, ...] = ()
) -> pl.DataFrame:
    """Read columns of ids as strings; an empty one is an error that names the row."""
    table = read_table(path)
    require_columns(table, path, columns)
    kept = table.select(
        as_strings(table[name]).alias(name)
        for name in (*columns, *(each for each in optional if each in table.columns))
    )
    for name in columns:
        if kept[name].null_count():
            row = int(kept[name].is_null().arg_max() or 0)
            raise InvalidDataError(f"{place(path, row, name)}: is empty")
    return kept


def _read_recommendations(path: Path) -> pl.DataFrame:
    """Rows sorted by session and place, checked: session_id, item_id."""
    kept = _read_ids(path, ("session_id", "item_id"), optional=(*_RANK_COLUMNS, "score"))
    twice = kept.select("session_id", "item_id").is_duplicated()
    if twice.any():
        session, item = kept.filter(twice).select("session_id", "item_id").row(0)
        raise InvalidDataError(
            f'{path}: the list of session "{session}" holds item "{item}" more than once'
        )
    by = next((name for name in (*_RANK_COLUMNS, "score") if name in kept.columns), None)
    if by is None:
        return kept
    numbers = kept[by].cast(pl.Float64, strict=False)
    wrong = ~numbers.is_finite().fill_null(value=False)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise InvalidDataError(
            f'{place(path, row, by)}: expected a number, got "{kept[by][row] or ""}"'
        )
    ranked = kept.with_columns((-numbers if by == "score" else numbers).alias(by))
    again = ranked.select("session_id", by).is_duplicated()
    if by != "score" and again.any():
        session, rank = ranked.filter(again).select("session_id", by).row(0)
        raise InvalidDataError(
            f'{path}: the list of session "{session}" has two items at {by} {rank:g}'
        )
    return ranked.sort(by, maintain_order=True)


def _matrix(lists: pl.DataFrame, n_sessions: int) -> Recommendations:
    """Place rows, best first within a session, into one list a session."""
    rows = lists["session"].to_numpy().astype(np.int64)
    order = np.argsort(rows, kind="stable")
    rows = rows[order]
    lengths = np.bincount(rows, minlength=n_sessions)
    places = np.arange(rows.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    items = np.full((n_sessions, int(lengths.max())), -1, dtype=np.int32)
    items[rows, places] = lists["item"].to_numpy()[order]
    return Recommendations(items, np.where(items < 0, -np.inf, 0.0).astype(np.float32))


def _ragged(wanted: pl.DataFrame, sessions: pl.DataFrame, items: pl.DataFrame) -> Ragged:
    joined = wanted.join(sessions, on="session_id", maintain_order="left")
    joined = joined.join(items, on="item_id", maintain_order="left").sort(
        "session", maintain_order=True
    )
    lengths = np.bincount(joined["session"].to_numpy(), minlength=sessions.height)
    return Ragged.from_lengths(joined["item"].to_numpy().astype(np.int32), lengths)


def _users(wanted: pl.DataFrame, sessions: pl.DataFrame) -> IdArray | None:
    """Whose session each is; a session without a user stands for itself."""
    if "user_id" not in wanted.columns:
        return None
    first = wanted.group_by("session_id", maintain_order=True).agg(pl.col("user_id").first())
    joined = sessions.join(first, on="session_id", how="left", maintain_order="left")
    own = pl.format("session {}", pl.col("session_id"))
    return np.array(
        joined.select(pl.coalesce(pl.format("user {}", pl.col("user_id")), own)).to_series(),
        dtype=object,
    )


def _counts(events: pl.DataFrame, items: pl.DataFrame) -> CountArray:
    codes = events.join(items, on="item_id")["item"].to_numpy()
    return np.bincount(codes, minlength=items.height).astype(np.int64)
