"""How well models rank items that training never saw, and what that costs on the others.

Five times (``--seeds``) a tenth of the items with a train event is hidden: their events leave the
log, models and reductions are fitted without them, and the lists may hold the whole catalogue. A
prompt whose target is hidden, or never had a train event, is cold; the others are warm. Each
session's NDCG@20 is averaged over the seeds in which it was cold (or warm), then compared in pairs.

    python benches/cold_items.py shop --part select
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from llmseq.core import evaluate_lists
from llmseq.data.folder import read_dataset, record_test_scoring
from llmseq.data.split import SplitConfig, split_dataset
from llmseq.embeddings.embed import embed_catalogue
from llmseq.evaluation.significance import bootstrap_interval, paired_test
from llmseq.models.catalog import MODELS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import HeldOut, Sessions
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.types import BoolArray, FloatVector

BASELINES = {"cold": "llmseqsim", "warm": "llm_init"}
CUT_OFF = 20


def models(epochs: int) -> dict[str, tuple[str, dict[str, object]]]:
    """Registry name and settings of each row; the sequential ones train equally long."""
    fixed = {"n_epochs": epochs, "patience": 0}
    return {
        "llmseqsim": ("llmseqsim", {}),
        "llm_init": ("llm2sasrec", fixed),
        "bounded_delta": ("llm2sasrec", {**fixed, "item_table": "bounded_delta"}),
    }


def hide(train: SessionDataset, share: float, seed: int) -> tuple[SessionDataset, BoolArray]:
    """Take a share of the items with an event out of a log; also says which items are left."""
    known = train.item_counts() > 0
    rng = np.random.default_rng(seed)
    hidden = np.zeros_like(known)
    chosen = rng.permutation(np.flatnonzero(known))[: round(share * known.sum())]
    hidden[chosen] = True
    sessions: Sessions = train.sessions.keep_events(~hidden[train.sessions.items])
    return replace(train, sessions=sessions), known & ~hidden


def ndcg(
    name: str,
    settings: Mapping[str, object],
    train: SessionDataset,
    held_out: HeldOut,
    embeddings: Mapping[str, ItemEmbeddings],
    seed: int,
) -> FloatVector:
    """Fit a model and give each session's NDCG@20, the whole catalogue listed."""
    entry = MODELS[name]
    model = entry.recommender_class()(entry.make_config(settings, what=name))  # type: ignore[call-arg]
    model.fit(train, embeddings=embeddings, rng=np.random.default_rng(seed))
    everything = np.ones(train.n_items, dtype=np.bool_)
    lists = model.recommend(held_out.prompts, CUT_OFF, candidates=everything)
    metrics = evaluate_lists(lists.items, held_out.targets, ks=(CUT_OFF,))
    return metrics.per_session[f"ndcg@{CUT_OFF}"]


def report(scores: Mapping[str, FloatVector], cold: BoolArray) -> list[str]:
    """Rows of a Markdown table; scores and cold are (n_seeds, n_sessions)."""
    rows = ["| sessions | model | NDCG@20 [95 %] | against | difference [95 %] | p |"]
    rows.append("|---|---|---|---|---|---|")
    for part, mask in (("cold", cold), ("warm", ~cold)):
        some = mask.any(axis=0)
        means = {
            name: (values * mask)[:, some].sum(axis=0) / mask[:, some].sum(axis=0)
            for name, values in scores.items()
        }
        baseline = BASELINES[part]
        for name, values in means.items():
            low, high = bootstrap_interval(values, rng=np.random.default_rng(0))
            row = (
                f"| {part} ({some.sum():,}) | {name} | {values.mean():.4f} [{low:.4f} {high:.4f}] |"
            )
            if name != baseline:
                test = paired_test(values, means[baseline], rng=np.random.default_rng(0))
                low, high = test.interval
                share = "" if test.relative is None else f" ({test.relative:+.1%})"
                row += f" {baseline} | {test.absolute:+.4f} [{low:+.4f} {high:+.4f}]{share} |"
                row += f" {test.p_value:.4f} |"
            else:
                row += " – | – | – |"
            rows.append(row)
    return rows


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--part", type=click.Choice(["select", "test"]), default="select", show_default=True)
@click.option("--seeds", default=5, show_default=True)
@click.option("--share", default=0.1, show_default=True, help="Of the items, hidden for each seed.")
@click.option("--epochs", default=15, show_default=True)
def main(dataset: Path, part: str, seeds: int, share: float, epochs: int) -> None:
    """Compare models on cold and warm items of the dataset folder DATASET."""
    data = read_dataset(dataset)
    split = split_dataset(data, SplitConfig(keep_cold=True))
    if part == "test":
        record_test_scoring(dataset, {"command": f"benches/cold_items.py {dataset} --part test"})
    held_out = split.test if part == "test" else split.select
    embeddings = {"minilm": embed_catalogue(data.catalogue, "minilm")}
    targets = held_out.targets.items[held_out.targets.offsets[:-1]]
    scores: dict[str, list[FloatVector]] = {}
    cold = []
    for seed in range(seeds):
        train, known = hide(split.fit, share, seed)
        cold.append(~known[targets])
        for name, (model, settings) in models(epochs).items():
            made = ndcg(model, settings, train, held_out, embeddings, seed)
            scores.setdefault(name, []).append(made)
            click.echo(
                f"seed {seed} {name}: cold {made[cold[-1]].mean():.4f}, "
                f"warm {made[~cold[-1]].mean():.4f}",
                err=True,
            )
    stacked = {name: np.stack(values) for name, values in scores.items()}
    click.echo("\n".join(report(stacked, np.stack(cold))))


if __name__ == "__main__":
    main()
