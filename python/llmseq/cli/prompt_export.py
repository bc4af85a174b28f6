"""``llmseq prompt export``: training pairs for hosted fine-tuning."""

from __future__ import annotations

from pathlib import Path

import click

from llmseq.cli import options
from llmseq.cli.console import note, say
from llmseq.cli.prompt_template import TASKS

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("dataset", type=_PATH)
@click.option("--task", type=TASKS, default="genitem", show_default=True)
@click.option("--out", type=_PATH, required=True, help="A .jsonl file.")
@click.option("--template", type=_PATH, help="An edited template. [default: the task's own]")
@click.option(
    "--on",
    type=click.Choice(["fit", "train"]),
    default="fit",
    show_default=True,
    help="fit keeps the validation parts out, train takes every session that is not test.",
)
@click.option("--encoder", default="minilm", show_default=True, help="For the tasks with choices.")
@click.option("--limit", type=click.IntRange(min=1), help="Pairs at most, drawn by --seed.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="A setting.")
def command(
    dataset: Path,
    task: str,
    out: Path,
    template: Path | None,
    on: str,
    encoder: str,
    limit: int | None,
    seed: int,
    pairs: tuple[str, ...],
) -> None:
    """Write training pairs of DATASET as JSON lines, in the chat form that hosted services take.

    They come from train sessions only. Token budgets count as four letters a token.
    """
    from llmseq.experiment.prompting import export_pairs, prompt_config

    settings = options.settings(pairs, example="max_history=10")
    if template is not None:
        settings["template"] = options.template(template)
    config = prompt_config(task, settings)  # type: ignore[arg-type]  # click checked it
    made = export_pairs(
        dataset,
        out,
        config,
        part=on,  # type: ignore[arg-type]  # click checked it
        encoder=encoder,
        limit=limit,
        seed=seed,
    )
    say(f"{made.n_pairs:,} pairs: {out}")
    if made.n_left_out:
        note(f"left out {made.n_left_out:,} sessions without two items that have a title")
    if made.n_cut:
        note(f"cut {made.n_cut:,} titles longer than max_title_tokens = {config.max_title_tokens}")
