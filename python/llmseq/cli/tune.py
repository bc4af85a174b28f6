"""``llmseq tune``: search a model's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from llmseq.cli import options
from llmseq.cli.console import say
from llmseq.cli.run_view import RunView

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("dataset", type=_PATH)
@click.option("--model", required=True, help="Its name, for example v-sknn or llm2sasrec.")
@click.option("--out", type=_PATH, required=True, help="The run folder.")
@click.option("--space", type=_PATH, help="What to search, a TOML file. [default: the shipped one]")
@click.option("--trials", type=int, help="Settings to try at most, earlier runs' included.")
@click.option("--minutes", type=float, help="Time for trials at most, earlier runs' included.")
@click.option(
    "--random",
    "random_trials",
    type=int,
    help="Trials drawn at random before TPE draws. [default: 40, at most half of --trials]",
)
@click.option("--patience", type=int, help="Stop after so many trials without gain. [default: 100]")
@click.option(
    "--folds",
    "n_folds",
    type=int,
    help="Forward-chaining folds; 1: the validation part. [default: 3, without session times 1]",
)
@click.option(
    "--workers", type=int, default=1, show_default=True, help="Processes that share the search."
)
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting that is fixed and not searched, for example n_epochs=10. May be repeated.",
)
@click.option("--encoder", help="As in llmseq compare. [default: minilm]")
@click.option("--seed", type=click.IntRange(min=0), help="Of draws and fits. [default: 0]")
@options.of_runs
def command(
    dataset: Path,
    model: str,
    out: Path,
    space: Path | None,
    trials: int | None,
    minutes: float | None,
    random_trials: int | None,
    patience: int | None,
    n_folds: int | None,
    workers: int,
    pairs: tuple[str, ...],
    encoder: str | None,
    seed: int | None,
    **of_runs: Any,  # noqa: ANN401 - of options.of_runs
) -> None:
    """Search the settings of one model on the train part of the dataset folder DATASET.

    Writes best.toml (for llmseq fit --config and llmseq compare --spec), trials.csv and a report.
    Started again after it was stopped, or with a larger budget, it goes on where it was.
    """
    from llmseq.experiment.tune import tune
    from llmseq.tuning.space import read_space

    with RunView() as view:
        tuned = tune(
            dataset,
            model,
            out,
            space=None if space is None else read_space(space),
            trials=trials,
            minutes=minutes,
            random_trials=random_trials,
            patience=patience,
            n_folds=n_folds,
            n_workers=workers,
            settings=options.settings(pairs, example="n_epochs=10"),
            encoder=encoder,
            seed=seed,
            observer=view,
            **options.run_arguments(of_runs),
        )
    found = tuned.found
    first, best = found.trials[0].value, found.best.value
    before = "" if first is None else f" ({first:.5f} with the settings that were known)"
    say(f"{model}: {tuned.metric} {best:.5f}{before}, trial {found.best.number}; {found.stopped}")
    say(f"best    {tuned.best_path}")
    say(f"report  {tuned.report_path}")
