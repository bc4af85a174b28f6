"""``llmseq compare``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from llmseq.cli import options
from llmseq.cli.evaluate import parse_cut_offs
from llmseq.cli.run_view import RunView, show_run
from llmseq.errors import ConfigError

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("dataset", type=_PATH, required=False)
@click.option(
    "--spec",
    type=_PATH,
    help="A TOML file that says what to compare: one of configs, or the spec.toml of an earlier "
    "run. It may name the dataset folder too.",
)
@click.option(
    "--out", type=_PATH, help="The run folder. [default: runs/<name of the dataset or the spec>]"
)
@click.option(
    "--models",
    help="Names separated by commas, instead of those of the preset. llm2sasrec@tfidf takes text "
    "vectors of its own.",
)
@click.option(
    "--preset",
    help="Instead of a spec: quick, thorough (all models, each tuned with 20 trials, three seeds) "
    "or strong (SASRec, BERT4Rec, GRU4Rec and their LLM2 forms, three seeds). [default: quick]",
)
@click.option(
    "--k",
    "ks",
    callback=lambda ctx, param, value: None if value is None else parse_cut_offs(ctx, param, value),
    help="Cut-offs of the metrics, separated by commas. [default: 10,20]",
)
@click.option(
    "--encoder",
    "encoders",
    multiple=True,
    help='Text vectors: minilm, "hf:<model name or folder>", tfidf, "remote:<model name>", '
    '"file:<vectors>", "permuted:<encoder>" or "spectrum:<encoder>" (docs/specs.md), or none to '
    "compare without text. May be repeated: each further one adds an LLMSeqSim with its vectors. "
    "[default: minilm]",
)
@click.option("--seed", type=int, help="Of everything that is drawn. [default: 0]")
@click.option("--seeds", "n_seeds", type=int, help="Fits of every model, each with its own seed.")
@click.option(
    "--score",
    type=click.Choice(["test", "validation"]),
    help="validation never scores the test part: for development. [default: test]",
)
@click.option(
    "--refit",
    is_flag=True,
    default=None,
    help="Also score all models fitted again on all of train.",
)
@click.option(
    "--no-refit",
    "refit_winner",
    flag_value=False,
    default=None,
    type=bool,
    help="Do not fit the winner again on all sessions.",
)
@click.option("--baseline", help="Test all against this model. [default: the best without text]")
@click.option("--trials", type=int, help="Tune every model with so many trials; see llmseq tune.")
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="MODEL.KEY=VALUE",
    help="A setting of a model, for example sasrec.dropout=0.5. May be repeated.",
)
@click.option(
    "--keep-cold",
    is_flag=True,
    default=None,
    help="Keep items that never occur in train in test; every item may be listed.",
)
@options.of_runs
def command(
    dataset: Path | None,
    spec: Path | None,
    out: Path | None,
    models: str | None,
    preset: str | None,
    ks: tuple[int, ...] | None,
    encoders: tuple[str, ...],
    seed: int | None,
    n_seeds: int | None,
    score: str | None,
    refit: bool | None,  # noqa: FBT001 - a click option
    refit_winner: bool | None,  # noqa: FBT001 - a click option
    baseline: str | None,
    trials: int | None,
    pairs: tuple[str, ...],
    keep_cold: bool | None,  # noqa: FBT001 - a click option
    **of_runs: Any,  # noqa: ANN401 - of options.of_runs
) -> None:
    """Fit, tune, score and compare models on the dataset folder DATASET.

    DATASET may be left out where a spec names it. Writes a run folder with the leaderboard, a
    report, recommendations and models ready to serve. Started again after it was stopped, it goes
    on where it was.
    """
    from llmseq.experiment.run import compare
    from llmseq.experiment.spec_files import dataset_of

    if spec is not None and preset is not None:
        raise ConfigError(f'give either --spec {spec} or --preset "{preset}"')
    if preset is not None and preset.endswith(".toml"):
        raise ConfigError(f"--preset {preset}: a file goes with --spec")
    if spec is not None:
        dataset = dataset or dataset_of(spec)
    if dataset is None:
        named = "" if spec is None else f"; {spec} names none"
        raise ConfigError(f"name the dataset folder to compare on{named}")
    with RunView() as view:
        run = compare(
            dataset,
            out or Path("runs") / (dataset.resolve().name if spec is None else spec.stem),
            models=options.names(models),
            preset=preset or ("quick" if spec is None else str(spec)),
            k=ks,
            encoder=encoders or None,
            seed=seed,
            n_seeds=n_seeds,
            score=score,  # type: ignore[arg-type]  # click checked it
            refit=refit,
            refit_winner=refit_winner,
            baseline=baseline,
            trials=trials,
            settings=options.settings(pairs, example="sasrec.dropout=0.5"),
            observer=view,
            **options.run_arguments(of_runs, keep_cold=keep_cold),
        )
    show_run(run)
