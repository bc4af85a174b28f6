"""``llmseq fit``: one model, saved ready to serve."""

from __future__ import annotations

import time
from pathlib import Path

import click

from llmseq.cli import options
from llmseq.cli.console import duration, note, progress, say

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("dataset", type=_PATH)
@click.option("--model", required=True, help="Its name, for example v-sknn or llm2sasrec.")
@click.option("--out", type=_PATH, required=True, help="Folder of the saved model.")
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting, for example dropout=0.5. May be repeated.",
)
@click.option(
    "--from",
    "start",
    type=_PATH,
    help="A saved model of the same kind whose weights and settings to start from.",
)
@click.option(
    "--on",
    type=click.Choice(["all", "train"]),
    default="all",
    show_default=True,
    help="All sessions, or those that are not test.",
)
@click.option("--encoder", default="minilm", show_default=True, help="As in llmseq compare.")
@click.option("--ids", type=_PATH, help='One item id a line, for "file:" with .npy, .safetensors.')
@click.option("--template", help='Texts of other columns, for example "{title}. {brand}".')
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--threads", "n_threads", type=int, help="At most so many. [default: all]")
@click.option("--device", default="cpu", show_default=True, help="Where neural models train.")
def command(
    dataset: Path,
    model: str,
    out: Path,
    pairs: tuple[str, ...],
    start: Path | None,
    on: str,
    encoder: str,
    ids: Path | None,
    template: str | None,
    seed: int,
    n_threads: int | None,
    device: str,
) -> None:
    """Fit one model on the dataset folder DATASET and save it, ready for llmseq recommend."""
    from llmseq.experiment.single import fit_model
    from llmseq.models.persistence import check_writable

    check_writable(out)
    started = time.monotonic()
    with progress(model) as update:
        made = fit_model(
            dataset,
            model,
            settings=options.settings(pairs, example="dropout=0.5"),
            start=start,
            on=on,  # type: ignore[arg-type]  # click checked it
            encoder=encoder,
            encoder_ids=ids,
            template=template,
            seed=seed,
            n_threads=n_threads,
            device=device,
            progress=update,
        )
    made.save(out)
    for text in made.recommender.summary.notes:
        note(text)
    say(f"{model} fitted in {duration(time.monotonic() - started)}: {out}")
