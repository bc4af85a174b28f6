"""``llmseq export``: a run's lists for other tools."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from llmseq.cli.console import note, say
from llmseq.cli.options import names

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("run", type=_PATH)
@click.option("--out", type=_PATH, required=True, help="Folder to make.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "rectools", "lenskit", "trec"]),
    default="csv",
    show_default=True,
    help="csv: as llmseq evaluate reads it. trec: run and qrels, also for ranx.",
)
@click.option("--models", help="Names separated by commas. [default: all of the run]")
@click.option("--dataset", type=_PATH, help="The run's dataset, if it was moved.")
def command(run: Path, out: Path, form: str, models: str | None, dataset: Path | None) -> None:
    """Write the lists of the run folder RUN as tables for other tools.

    The folder holds a file of lists for each model, the targets, and for all formats but trec the
    train events and the catalogue.

    \b
    Example:
      llmseq export runs/first --models sasrec,llm2sasrec --format rectools --out lists
    """  # noqa: D301 - click wants the character
    from llmseq.experiment.export import export_lists

    made = export_lists(run, out, form=form, models=names(models), dataset=dataset)  # type: ignore[arg-type]
    say(f"{made.n_sessions:,} lists, scored on {made.scored_on}, of {', '.join(made.lists)}: {out}")
    if made.n_seeds > 1:
        note(
            f"note: the lists are of the first of {made.n_seeds} seeds; the leaderboard has their "
            "means"
        )
    if form == "csv":
        first = next(iter(made.lists.values()))
        files = {"targets": "targets", "catalogue": "items", "train": "train"}
        words = [
            word for name, file in files.items() for word in (f"--{name}", f"{out / file}.csv")
        ]
        say(f"Next: {shlex.join(['llmseq', 'evaluate', '--recommendations', str(first), *words])}")
