"""``llmseq recommend``: lists from a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from llmseq.cli.console import note, say, show_table, warn
from llmseq.cli.options import names
from llmseq.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

    from llmseq.data.sessions import Sessions
    from llmseq.models.persistence import SavedModel

_PATH = click.Path(path_type=Path)
_FORMATS = (".csv", ".parquet", ".jsonl")


@click.command()
@click.argument("model", type=_PATH)
@click.option("--session", help='Item ids separated by commas, oldest first: "id1,id2".')
@click.option(
    "--prompts",
    type=_PATH,
    help="A log of sessions: session_id, item_id, and timestamp or position where it has one.",
)
@click.option("--k", type=click.IntRange(min=1), default=20, show_default=True, help="Places.")
@click.option("--candidates", type=_PATH, help="Items that may be listed: a file with item_id.")
@click.option(
    "--seen",
    type=click.Choice(["exclude", "keep"]),
    default="exclude",
    show_default=True,
    help="Whether lists may hold items of the prompt.",
)
@click.option("--out", type=_PATH, help="A .csv, .parquet or .jsonl file.")
@click.option("--session-col", help="Column of --prompts. [default: session_id]")
@click.option("--item-col", help="Column of --prompts and --candidates. [default: item_id]")
@click.option("--time-col", help="Column of --prompts. [default: timestamp, if there]")
@click.option("--order-col", help="Column of --prompts. [default: position, if there]")
def command(
    model: Path,
    session: str | None,
    prompts: Path | None,
    k: int,
    candidates: Path | None,
    seen: str,
    out: Path | None,
    **columns: str | None,
) -> None:
    """Recommend with the saved model in the folder MODEL, for one session or a file of them.

    Without --out, one session's list is shown with titles; lists for a file are written as CSV.
    """
    if (session is None) == (prompts is None):
        raise ConfigError('give either --session "id1,id2" or --prompts FILE')
    if out is not None:
        check_format(out)
    from llmseq.experiment.publish import as_table
    from llmseq.models.persistence import load_model

    saved = load_model(model)
    asked = (
        _read_prompts(prompts, saved, columns)
        if prompts is not None
        else _parse_session(session or "", saved)
    )
    mask = None
    if candidates is not None:
        mask, n_unknown = saved.encode_candidates(_read_ids(candidates, columns["item_col"]))
        if n_unknown:
            warn(f"{candidates}: {n_unknown:,} ids are not in the model's catalogue")
    lists = saved.recommender.recommend(asked, k, exclude_seen=seen == "exclude", candidates=mask)
    table = as_table(lists, asked.ids, saved.catalogue.ids)
    n_empty = int((lists.items < 0).all(axis=1).sum())
    if n_empty and prompts is not None:  # a file of rows says nothing of them
        note(f"nothing to list for {n_empty:,} of {len(asked):,} sessions")
    if out is not None:
        write_lists(table, out)
        say(f"{len(asked):,} lists: {out}")
    elif prompts is not None:
        say(table.write_csv().rstrip("\n"))
    else:
        _show(table, saved, k)


def _parse_session(text: str, saved: SavedModel) -> Sessions:
    ids = names(text) or []
    asked, n_unknown = saved.encode_sessions([ids])
    if n_unknown:
        unknown = [
            item
            for item, index in zip(ids, saved.catalogue.index_of(ids), strict=True)
            if index < 0
        ]
        warn(f"not in the model's catalogue, left out: {', '.join(unknown)}")
    return asked


def _read_prompts(path: Path, saved: SavedModel, columns: dict[str, str | None]) -> Sessions:
    from llmseq.data.import_events import read_events
    from llmseq.data.import_options import ImportOptions
    from llmseq.data.import_report import ImportReport

    report = ImportReport()
    chosen = ImportOptions.make({**columns, "max_unknown": 1.0}, what="prompts")
    asked = read_events(path, saved.catalogue, chosen, report)
    for entry in report.dropped:
        note(f"left out {entry['count']:,} of {entry['of']:,} {entry['what']}: {entry['why']}")
    return asked


def _read_ids(path: Path, column: str | None) -> list[str]:
    from llmseq.data.files import as_strings, read_table, require_columns

    table = read_table(path)
    name = column or "item_id"
    require_columns(table, path, [name], "Name yours with --item-col")
    ids: list[str] = as_strings(table[name]).drop_nulls().to_list()
    return ids


def check_format(out: Path) -> None:
    """Refuse a name that says no kind of file.

    Raises
    ------
    ConfigError
        If its ending is another.
    """
    if out.suffix not in _FORMATS:
        raise ConfigError(f"{out}: --out takes a name ending in {', '.join(_FORMATS)}")


def write_lists(table: pl.DataFrame, out: Path) -> None:
    """Write lists as the name's ending says."""
    from llmseq.data.files import write_table
    from llmseq.storage import atomic_file

    with atomic_file(out) as temporary:
        if out.suffix == ".parquet":
            write_table(table, temporary)
        else:
            text = table.write_csv() if out.suffix == ".csv" else table.write_ndjson()
            temporary.write_text(text, encoding="utf-8")


def _show(table: pl.DataFrame, saved: SavedModel, k: int) -> None:
    titles = dict(zip(saved.catalogue.ids, saved.catalogue.titles, strict=True))
    show_table(
        ["rank", "item_id", "title", "score"],
        [(rank, item, titles[item], f"{score:.4g}") for _, rank, item, score in table.iter_rows()],
        left=["item_id", "title"],
    )
    if table.height < k:
        note(f"{table.height} of {k} places: the model knows no more items to list")
