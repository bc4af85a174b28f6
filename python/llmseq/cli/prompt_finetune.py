"""``llmseq prompt finetune``: LoRA on a language model that runs here."""

from __future__ import annotations

import time
from pathlib import Path

import click

from llmseq.cli import options
from llmseq.cli.console import duration, note, progress, say
from llmseq.cli.prompt_template import TASKS
from llmseq.errors import ConfigError

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("dataset", type=_PATH)
@click.option("--task", type=TASKS, default="genitem", show_default=True)
@click.option("--base-model", help="A .gguf file, a folder, or a name on the hub.")
@click.option("--out", type=_PATH, required=True, help="Folder of the saved model.")
@click.option("--minutes", type=float, help="Budget of the fine-tuning.")
@click.option("--template", type=_PATH, help="An edited template. [default: the task's own]")
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting, for example training.learning_rate=0.0005 or lora.rank=8. May be repeated.",
)
@click.option("--encoder", default="minilm", show_default=True, help="For all tasks but genitem.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@options.n_threads
@click.option("--device", default="cpu", show_default=True, help="Where it trains.")
def command(
    dataset: Path,
    task: str,
    base_model: str | None,
    out: Path,
    minutes: float | None,
    template: Path | None,
    pairs: tuple[str, ...],
    encoder: str,
    seed: int,
    n_threads: int | None,
    device: str,
) -> None:
    """Fine-tune a language model on the fit sessions of DATASET and save its adapter.

    Started again after it was stopped, it goes on from the folder OUT.checkpoint.
    """
    from llmseq.config import flat, merged
    from llmseq.experiment.prompting import finetune, prompt_config
    from llmseq.models.persistence import check_writable

    check_writable(out)
    settings = options.settings(pairs, example="training.n_steps=500")
    if base_model is not None:
        settings["base_model"] = base_model
    if minutes is not None:
        budget = {"budget_seconds": 60.0 * minutes}
        if "training.budget_seconds" in flat(settings):
            raise ConfigError("give either --minutes or --set training.budget_seconds")
        settings = merged({"training": budget}, settings)
    if template is not None:
        settings["template"] = options.template(template)
    config = prompt_config(task, settings)  # type: ignore[arg-type]  # click checked it
    started = time.monotonic()
    with progress(f"fine-tuning ({task})") as update:

        def told(share: float, text: str) -> None:
            if text.startswith("about "):  # what it will take, said once before it starts
                note(text)
            update(share, text)

        made = finetune(
            dataset,
            out,
            config,
            encoder=encoder,
            seed=seed,
            n_threads=n_threads,
            device=device,
            progress=told,
        )
    summary = made.recommender.summary
    say(f"{summary.epochs:,} updates in {duration(time.monotonic() - started)}: {out}")
    for text in summary.notes:
        note(text)
    for record in summary.history:
        if "ndcg@20" in record:
            say(
                f"step {record['step']:>6,}  {duration(record['at_seconds']):>12}  "
                f"loss {record['loss']:.3f}  ndcg@20 {record['ndcg@20']:.4f}"
            )
