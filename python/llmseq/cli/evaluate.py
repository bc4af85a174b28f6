"""``llmseq evaluate``: score ranked lists from any system."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llmseq.cli.console import note, say, show_table
from llmseq.errors import ConfigError

if TYPE_CHECKING:
    from llmseq.evaluation.evaluate import Evaluation
    from llmseq.evaluation.lists import ListFiles
    from llmseq.evaluation.significance import Interval


def parse_cut_offs(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:  # noqa: ARG001
    """Read "10,20"."""
    try:
        cuts = tuple(int(part) for part in value.split(","))
    except ValueError:
        raise ConfigError(f'--k takes whole numbers such as 10,20, got "{value}"') from None
    if min(cuts) < 1:
        raise ConfigError(f"--k must be at least 1, got {min(cuts)}")
    return cuts


@click.command()
@click.option(
    "--recommendations",
    type=click.Path(path_type=Path),
    required=True,
    help="Lists: session_id, item_id and rank (or order), else score, else the order of the file.",
)
@click.option(
    "--targets",
    type=click.Path(path_type=Path),
    required=True,
    help="What came next: session_id, item_id; optionally user_id, to draw people for intervals.",
)
@click.option(
    "--catalogue",
    type=click.Path(path_type=Path),
    help="All items: item_id. The denominator of coverage.",
)
@click.option(
    "--train",
    type=click.Path(path_type=Path),
    help="Train events: session_id, item_id. What popularity is counted on.",
)
@click.option(
    "--k",
    "ks",
    default="10,20",
    show_default=True,
    callback=parse_cut_offs,
    help="Cut-offs, separated by commas.",
)
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="A table for people, or JSON with names such as ndcg@20.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the bootstrap that makes the intervals.",
)
def command(
    recommendations: Path,
    targets: Path,
    catalogue: Path | None,
    train: Path | None,
    ks: tuple[int, ...],
    style: str,
    seed: int,
) -> None:
    """Score ranked lists from any system against what came next.

    Files are CSV, Parquet or JSON lines. A session without a list is a miss; lists of sessions
    without a target are left out. Intervals are 95 % bootstrap over sessions.

    \b
    Example:
      llmseq evaluate --recommendations lists.csv --targets next.csv --k 10,20
    """  # noqa: D301 - click wants the character
    import numpy as np

    from llmseq.evaluation.lists import read_lists, score_lists

    files = read_lists(recommendations, targets, catalogue=catalogue, train=train)
    scored = score_lists(files, ks)
    intervals = scored.intervals(files.users, rng=np.random.default_rng(seed))
    if style == "json":
        _write_json(files, scored, intervals)
        return
    _show(scored, intervals)
    for text in files.notes:
        note(f"note: {text}")
    if train is None:
        note("note: serendipity, novelty and popularity lift need --train")
    if catalogue is None:
        note("note: coverage and Gini need --catalogue")


def _show(scored: Evaluation, intervals: dict[str, Interval]) -> None:
    rows = []
    for name, value in scored.means.items():
        low, high = intervals.get(name, (None, None))
        span = "" if low is None or high is None else f"{low:.4f} to {high:.4f}"
        rows.append((name, f"{value:.4f}", span))
    show_table(["metric", "value", "95 % interval"], rows, title=f"{scored.n_sessions:,} sessions")


def _write_json(files: ListFiles, scored: Evaluation, intervals: dict[str, Interval]) -> None:
    import json

    values: dict[str, Any] = {
        **scored.means,
        "interval": {name: list(interval) for name, interval in intervals.items()},
        "n_sessions": scored.n_sessions,
        "n_without_list": files.n_without_list,
        "n_unknown_sessions": files.n_unknown_sessions,
        "notes": list(files.notes),
    }
    say(json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False))
