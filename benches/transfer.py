"""Does a trunk trained on one shop help on another, where items are known by their texts alone?

    python benches/transfer.py beauty-data movielens --target-split leave-last-out

Fits LLM2SASRec with a frozen text table (an adapter maps raw text vectors to items, so that nothing
in the network belongs to one catalogue) on SOURCE, then on TARGET twice: from scratch and from the
weights of SOURCE, and scores a part of TARGET. "As it is" is not trained on TARGET: one epoch at a
learning rate that changes nothing. With ``--share`` only so many of TARGET's sessions are learnt
from.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from llmseq.core import evaluate_lists
from llmseq.data.folder import read_dataset, record_test_scoring
from llmseq.data.split import SplitConfig, split_dataset
from llmseq.embeddings.embed import embed_catalogue
from llmseq.evaluation.significance import bootstrap_interval, paired_test
from llmseq.models.protocol import FitContext, WarmStart
from llmseq.models.sequential.config import SASRecConfig
from llmseq.models.sequential.recommender import SequentialRecommender

CUT_OFF = 20


def config(batch_size: int, epochs: int) -> SASRecConfig:
    """Text alone: raw vectors, frozen, through a trained adapter."""
    return SASRecConfig(
        item_table="frozen_adapter",
        reduction={"method": "none"},
        input_scale=1.0,
        dropout=0.3,
        batch_size=batch_size,
        n_epochs=epochs,
        patience=4,
    )


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--target-split", default="auto", show_default=True)
@click.option("--part", type=click.Choice(["select", "test"]), default="select", show_default=True)
@click.option("--encoder", default="minilm", show_default=True)
@click.option("--epochs", default=10, show_default=True, help="On SOURCE, at most.")
@click.option("--target-epochs", default=60, show_default=True, help="On TARGET, at most.")
@click.option("--batch-size", default=16, show_default=True, help="On TARGET.")
@click.option("--share", default=1.0, show_default=True, help="Of TARGET's sessions.")
def main(
    source: Path,
    target: Path,
    target_split: str,
    part: str,
    encoder: str,
    epochs: int,
    target_epochs: int,
    batch_size: int,
    share: float,
) -> None:
    """Fit on the dataset folder SOURCE, then on TARGET from there and from scratch."""
    first, second = read_dataset(source), read_dataset(target)
    texts = {data: {encoder: embed_catalogue(data.catalogue, encoder)} for data in (first, second)}
    parts = split_dataset(first)
    trunk = SequentialRecommender(config(256, epochs))
    trunk.fit(
        parts.fit,
        embeddings=texts[first],
        validation=parts.stop,
        rng=np.random.default_rng(0),
    )
    click.echo(f"trunk: {trunk.summary.epochs} epochs on {len(parts.fit.sessions):,} sessions")

    split = split_dataset(second, SplitConfig(method=target_split))  # type: ignore[arg-type]
    held_out, candidates = split.select, split.select_candidates
    if part == "test":
        record_test_scoring(target, {"command": f"benches/transfer.py {source} {target}"})
        held_out, candidates = split.test, split.test_candidates
    n = len(split.fit.sessions)
    rows = np.sort(np.random.default_rng(0).permutation(n)[: max(1, round(share * n))])
    train = split.fit.take(rows)
    new = np.full(second.n_items, -1, dtype=np.int32)
    start = FitContext(start=WarmStart(trunk, new))
    found = {}
    for name, context, rate, most in (
        ("as it is", start, 1e-12, 1),
        ("from the trunk", start, 1e-3, target_epochs),
        ("from scratch", FitContext(), 1e-3, target_epochs),
    ):
        settings = config(batch_size, most).replace(learning_rate=rate)
        model = SequentialRecommender(settings)
        model.fit(
            train,
            embeddings=texts[second],
            validation=split.stop,
            rng=np.random.default_rng(0),
            context=context,
        )
        lists = model.recommend(held_out.prompts, CUT_OFF, candidates=candidates)
        metrics = evaluate_lists(lists.items, held_out.targets, ks=(CUT_OFF,))
        values = found[name] = metrics.per_session[f"ndcg@{CUT_OFF}"]
        low, high = bootstrap_interval(values, rng=np.random.default_rng(0))
        click.echo(
            f"{name}: NDCG@{CUT_OFF} {values.mean():.4f} [{low:.4f}, {high:.4f}], "
            f"{model.summary.epochs} epochs, {len(train.sessions):,} sessions, "
            f"{len(held_out):,} prompts"
        )
    test = paired_test(found["from the trunk"], found["from scratch"], rng=np.random.default_rng(0))
    low, high = test.interval
    click.echo(
        f"from the trunk − from scratch: {test.absolute:+.4f} [{low:+.4f}, {high:+.4f}], "
        f"p {test.p_value:.4f}"
    )


if __name__ == "__main__":
    main()
