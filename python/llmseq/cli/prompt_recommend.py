"""``llmseq prompt recommend``: lists for drawn held-out prompts, scored beside other models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from llmseq.cli.console import duration, note, progress, say, show_table

if TYPE_CHECKING:
    from llmseq.experiment.prompting import Answered, Asked

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("model", type=_PATH)
@click.argument("dataset", type=_PATH)
@click.option(
    "--part",
    type=click.Choice(["validation", "test"]),
    default="validation",
    show_default=True,
    help="Each scoring of test is counted in the dataset folder.",
)
@click.option("--sessions", type=click.IntRange(min=1), help="Prompts, drawn by --seed. [all]")
@click.option("--k", type=click.IntRange(min=1), default=20, show_default=True, help="Places.")
@click.option(
    "--beside", type=_PATH, multiple=True, help="A saved model to compare with. May be repeated."
)
@click.option("--rerank", type=_PATH, help="A saved model whose lists MODEL puts in order.")
@click.option("--out", type=_PATH, help="MODEL's lists: a .csv, .parquet or .jsonl file.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def command(
    model: Path,
    dataset: Path,
    part: str,
    sessions: int | None,
    k: int,
    beside: tuple[Path, ...],
    rerank: Path | None,
    out: Path | None,
    seed: int,
) -> None:
    """Recommend with the saved MODEL for held-out prompts of DATASET, and score the lists.

    For sessions of your own use llmseq recommend, which takes prompt models too.
    """
    from llmseq.cli.recommend import check_format, write_lists
    from llmseq.data.folder import read_dataset
    from llmseq.experiment.prompting import ask
    from llmseq.experiment.publish import as_table

    if out is not None:
        check_format(out)
    with progress("lists") as update:
        answered = ask(
            dataset,
            model,
            part=part,  # type: ignore[arg-type]  # click checked it
            n_sessions=sessions,
            k=k,
            seed=seed,
            beside=beside,
            rerank=rerank,
            progress=update,
        )
    _show(answered, k)
    if out is not None:
        ids = read_dataset(dataset).catalogue.ids
        write_lists(as_table(answered.models[0].lists, answered.held_out.prompts.ids, ids), out)
        say(f"lists: {out}")


def _show(answered: Answered, k: int) -> None:
    n = len(answered.held_out)
    show_table(
        ["model", f"ndcg@{k}", "95 % interval", f"hr@{k}", "first against it", "p", "1,000 lists"],
        [_row(asked, k, n) for asked in answered.models],
        title=f"{n:,} sessions",
    )
    for asked in answered.models:
        listed = asked.lists.items >= 0
        line = f"{asked.name}: {listed.sum(axis=1).mean():.1f} items a list"
        written = asked.written
        if written is not None and written.n_titles:
            line += (
                f"; of {written.n_titles:,} titles written "
                f"{written.n_repeats / written.n_titles:.1%} repeat another, "
                f"{written.n_unknown / written.n_titles:.1%} are not in the catalogue"
            )
        note(line)


def _row(asked: Asked, k: int, n: int) -> tuple[str, ...]:
    means, (low, high) = asked.scored.means, asked.interval
    versus = asked.versus
    return (
        asked.name,
        f"{means[f'ndcg@{k}']:.4f}",
        f"{low:.4f} to {high:.4f}",
        f"{means[f'hr@{k}']:.4f}",
        ""
        if versus is None
        else f"{versus.absolute:+.4f} ({versus.interval[0]:+.4f} to {versus.interval[1]:+.4f})",
        "" if versus is None else f"{versus.p_value:.4f}",
        duration(asked.seconds * 1000 / n),
    )
