"""``llmseq data describe``: statistics and quality of a dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llmseq.cli.console import say, show_table

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
def command(dataset: Path, form: str) -> None:
    """Show statistics of DATASET: lengths, ties, repeats, cold items, texts, and its split."""
    from llmseq.data.folder import read_dataset
    from llmseq.data.quality import describe

    found = describe(read_dataset(dataset))
    if form == "json":
        say(json.dumps(found, indent=2))
        return
    show_table(["", "value"], _rows(found), title=str(dataset), left=["", "value"])


def _rows(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    sessions, events = found["sessions"], found["events"]
    items, texts, times = found["items"], found["texts"], found["times"]
    rows = [
        ("sessions", f"{sessions['count']:,}"),
        ("  events in each", _spread(sessions["lengths"])),
        ("  of one event", f"{sessions['of_one_event']:,}"),
        ("  last item seen before", f"{sessions['last_item_seen_before']:.1%}"),
        ("events", f"{events['count']:,}"),
        ("  repeats in a session", f"{events['repeats']:,}"),
        ("  equal times", "no times" if events["ties"] is None else f"{events['ties']:,}"),
        ("items", f"{items['count']:,}"),
        ("  without events", f"{items['without_events']:,}"),
        ("  under 5 events", f"{items['under_5_events']:,}"),
        ("  events of each", _spread(items["events_each"])),
        ("  events of the top 1%", f"{items['share_of_top_percent']:.1%}"),
        ("texts", f"{texts['items_with_text']:,} ({texts['share_of_items']:.1%} of items)"),
        ("  characters", _spread(texts["characters"])),
        ("  items sharing a title", f"{texts['items_sharing_a_title']:,}"),
    ]
    if sessions["people"] is not None:
        rows.insert(1, ("  people", f"{sessions['people']:,}"))
    if times is not None:
        rows.append(
            ("times", f"{times['first']} to {times['last']} UTC ({times['days']:.0f} days)")
        )
    return rows + _split_rows(found["split"])


def _split_rows(split: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not split["possible"]:
        return [("split", f"cannot be made: {split['why']}")]
    sizes, parts = split["sizes"], split["comparison"]
    rows = [
        ("split", f"{split['method']}: {split['why']}"),
        ("  fit, stop, select, test", ", ".join(f"{sizes[n]:,}" for n in _PARTS) + " sessions"),
        ("  select is", split["validation"]["why"]),
        ("  items without train events", f"{split['items_without_train_events']:,}"),
        ("  leakage", split["leakage"]["summary"]),
    ]
    for label, key, form in _COMPARED:
        shown = " / ".join(form.format(parts[name][key]) for name in ("select", "test"))
        rows.append((f"  {label}, select / test", shown))
    return rows


_PARTS = ("fit", "stop", "select", "test")
_COMPARED = (
    ("mean prompt", "mean_prompt", "{:.1f}"),
    ("last items without train events", "cold_last_items", "{:.1%}"),
    ("events lost", "events_lost", "{:.1%}"),
)


def _spread(quantiles: Mapping[str, float]) -> str:
    if not quantiles:
        return "none"
    return (
        f"mean {quantiles['mean']:.1f}, median {quantiles['median']:.0f}, "
        f"{quantiles['min']:.0f} to {quantiles['max']:,.0f}"
    )
