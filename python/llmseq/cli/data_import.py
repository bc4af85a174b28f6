"""``llmseq data import``: a shop's own files to a dataset folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llmseq.cli.console import say, warn

if TYPE_CHECKING:
    from collections.abc import Mapping


def _header(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str] | None:  # noqa: ARG001
    """Read "a,b,c"."""
    return None if value is None else [name.strip() for name in value.split(",")]


_PATH = click.Path(path_type=Path)
_MANY_SEEN = 0.05  # share of last items in their own prompt from which exclusion hides a lot


@click.command()
@click.option("--interactions", type=_PATH, required=True, help="Log: one row an event.")
@click.option("--items", type=_PATH, help="Items: one row each, ids and texts.")
@click.option("--out", type=_PATH, required=True, help="Folder to write.")
@click.option(
    "--log-header", callback=_header, help="Names of the log's columns if it has no header: a,b,c."
)
@click.option("--items-header", callback=_header, help="Names of the items' columns, likewise.")
@click.option("--encoding", help="Of files that are text: latin-1, cp1252.  [default: utf-8]")
@click.option("--session-col", help="Column of session ids.  [default: session_id]")
@click.option("--item-col", help="Column of item ids in the log.  [default: item_id]")
@click.option(
    "--time-col", help="Column of times, or several: day,clock.  [default: timestamp, if there]"
)
@click.option("--order-col", help="Column of positions.  [default: position, if there]")
@click.option("--user-col", help="Column of people.")
@click.option("--session-gap", help="Cut a person's events at pauses over this: 30m, 12h, 2d.")
@click.option("--id-col", help="Column of item ids in the items file.  [default: item_id]")
@click.option("--title-col", help="Column of titles.  [default: title]")
@click.option("--text", help='Text of an item from its columns: "{title}. {brand}".')
@click.option("--item-times", type=_PATH, help="File: item id, and a number or date.")
@click.option("--item-time-col", help="Column of that number or date.")
@click.option("--split", type=_PATH, help="File: session_id, and split (train or test).")
@click.option("--five-core", is_flag=True, help="Every session and item has five events or more.")
@click.option("--min-length", type=int, help="Drop sessions of fewer events.")
@click.option("--max-length", type=int, help="Drop sessions of more events.")
@click.option("--min-item-count", type=int, help="Drop items of fewer events.")
@click.option("--drop-unused", is_flag=True, help="Drop items that are left without an event.")
@click.option("--drop-duplicates", is_flag=True, help="Of items with the same id keep the first.")
@click.option(
    "--max-unknown", type=float, help="Share of events that may name unknown items.  [default: 0.1]"
)
@click.option(
    "--max-untexted", type=float, help="Share of items that may lack a text.  [default: 0.1]"
)
def command(
    interactions: Path,
    items: Path | None,
    out: Path,
    split: Path | None,
    item_times: Path | None,
    **options: Any,  # noqa: ANN401 - checked by ImportOptions
) -> None:
    """Read a log and its items, write a dataset folder.

    CSV, Parquet and JSON lines, gzipped or not. Without --items, the items are those of the log and
    have no texts. What was dropped and why is printed, and kept in the folder. docs/data.md has the
    command for many public data sets. Next: `llmseq data describe`, `llmseq compare`.
    """
    from llmseq.data.importer import import_dataset

    given = {name: value for name, value in options.items() if value is not None}
    dataset = import_dataset(
        interactions, items, split=split, item_times=item_times, out=out, **given
    )
    report = dataset.provenance["report"]
    for line in account(report):
        say(line)
    without_texts = " --encoder none" if items is None else ""
    say(f"Wrote {out}. Next: llmseq compare {out}{without_texts} --out RUN")
    if report["facts"]["last_item_seen_before"] > _MANY_SEEN:
        warn(
            f"{report['facts']['last_item_seen_before']:.0%} of the sessions end with an item they "
            "hold already; lists leave seen items out and cannot find those: compare with "
            "--seen keep if people buy again"
        )


def account(report: Mapping[str, Any]) -> list[str]:
    """Say in lines what an import read, what it dropped and why, and what it noticed.

    Parameters
    ----------
    report : mapping
        ``provenance["report"]`` of an imported dataset.
    """
    facts = report["facts"]
    lines = [f"Read {file['rows']:,} rows of {file['path']}" for file in report["files"].values()]
    if "times_read_as" in facts:
        lines.append(f"Took the times for {facts['times_read_as']}")
    lines.append(f"Ordered events by {', then '.join(facts['events_ordered_by'])}")
    template = facts.get("text_template")
    lines.append("Took the items of the log" if template is None else f'Made texts by "{template}"')
    if "item_columns_dropped" in facts:
        lines.append(f"Left out nested columns: {', '.join(facts['item_columns_dropped'])}")
    lines += [
        f"Dropped {_part(entry)} {entry['what']}: {entry['why']}" for entry in report["dropped"]
    ] or ["Dropped nothing"]
    lines += [f"Noticed {_part(entry)} {entry['what']}" for entry in report["noticed"]]
    if "split_labels" in facts:
        counts = (f"{label} {count:,}" for label, count in facts["split_labels"].items())
        lines.append(f"Split: {', '.join(counts)} sessions")
    lines.append(f"{facts['last_item_seen_before']:.1%} of last items stand earlier in the session")
    sizes = (f"{facts[name]:,} {name}" for name in ("sessions", "events", "items"))
    lines.append(f"Dataset: {', '.join(sizes)}")
    return lines


def _part(entry: Mapping[str, Any]) -> str:
    share = entry["count"] / max(1, entry["of"])
    shown = f"{share:.1%}" if share >= 0.001 else "under 0.1%"
    return f"{entry['count']:,} of {entry['of']:,} ({shown})"
