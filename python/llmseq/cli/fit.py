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
    "--config",
    "file",
    type=_PATH,
    help="Settings from a file: the best.toml of llmseq tune, or one that llmseq compare takes.",
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
@click.option("--encoder", help="As in llmseq compare. [default: that of --config, or minilm]")
@options.ids
@options.item_template
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@options.n_threads
@click.option("--device", default="cpu", show_default=True, help="Where neural models train.")
def command(
    dataset: Path,
    model: str,
    out: Path,
    pairs: tuple[str, ...],
    file: Path | None,
    start: Path | None,
    on: str,
    encoder: str | None,
    ids: Path | None,
    template: str | None,
    seed: int,
    n_threads: int | None,
    device: str,
) -> None:
    """Fit one model on the dataset folder DATASET and save it, ready for llmseq recommend."""
    from llmseq.config import merged
    from llmseq.experiment.single import fit_model
    from llmseq.experiment.spec_files import read_model_file
    from llmseq.models.persistence import check_writable

    check_writable(out)
    given = options.settings(pairs, example="dropout=0.5")
    texts: dict[str, str] = {}
    if file is not None:
        settings, texts = read_model_file(file, model)
        given = merged(settings, given)
    if encoder is not None:  # another encoder has no use for the file's ids
        texts = {"encoder": encoder}
    ids = ids or (Path(texts["encoder_ids"]) if "encoder_ids" in texts else None)
    started = time.monotonic()
    with progress(model) as update:
        made = fit_model(
            dataset,
            model,
            settings=given,
            start=start,
            on=on,  # type: ignore[arg-type]  # click checked it
            encoder=texts.get("encoder", "minilm"),
            encoder_ids=ids,
            template=template or texts.get("template"),
            seed=seed,
            n_threads=n_threads,
            device=device,
            progress=update,
        )
    made.save(out)
    for text in made.recommender.summary.notes:
        note(text)
    say(f"{model} fitted in {duration(time.monotonic() - started)}: {out}")
