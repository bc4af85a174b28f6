"""What a tuned GenItem model's lists hold, and what they add to a fusion, on validation prompts.

    python benches/prompt_lists.py TUNED DATASET [--sessions 300] [--lists lists.parquet]

With ``--lists`` the lists that ``llmseq prompt recommend --part test --out`` wrote are counted:
repeats, items that are no candidates, items of the prompt.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import polars as pl

from llmseq.core import evaluate_lists
from llmseq.data.folder import read_dataset
from llmseq.data.split import split_dataset
from llmseq.embeddings.embed import embed_catalogue
from llmseq.evaluation.significance import paired_test
from llmseq.experiment.prompting import ask
from llmseq.models.catalog import MODELS
from llmseq.models.hybrid.fuse import FusionConfig

K, SEED = 20, 1
OTHERS = ("llmseqsim", "cooccurrence")


@click.command()
@click.argument("tuned", type=click.Path(path_type=Path))
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--sessions", default=300, show_default=True)
@click.option("--lists", "file", type=click.Path(path_type=Path))
def main(tuned: Path, dataset: Path, sessions: int, file: Path | None) -> None:
    """Print both."""
    data = read_dataset(dataset)
    parts = split_dataset(data)
    if file is not None:
        _count(pl.read_parquet(file), data, parts)
        return
    asked = ask(dataset, tuned, n_sessions=sessions, k=K, seed=SEED)
    held_out = asked.held_out
    lists = {"genitem": asked.models[0].lists}
    vectors = {"minilm": embed_catalogue(data.catalogue, "minilm")}
    for name in OTHERS:
        entry = MODELS[name]
        model = entry.recommender_class()(entry.make_config({}, what=name))
        model.fit(parts.fit, embeddings=vectors, rng=np.random.default_rng(0))
        lists[name] = model.recommend(held_out.prompts, K, candidates=parts.select_candidates)

    def ndcg(some):
        return evaluate_lists(some.items, held_out.targets, ks=(K,)).per_session["ndcg@20"]

    for name, made in lists.items():
        print(f"{name:<14} {ndcg(made).mean():.4f}")
    for method in ("rrf", "zscore"):
        for names in (OTHERS[:1], OTHERS):
            fuse = FusionConfig(method=method)
            rest = {name: lists[name] for name in names}
            new = ndcg(fuse.fused({"genitem": lists["genitem"], **rest}, K))
            old = ndcg(fuse.fused(rest, K)) if len(rest) > 1 else ndcg(lists[names[0]])
            lift = paired_test(new, old, rng=np.random.default_rng(0))
            low, high = lift.interval
            print(
                f"{method} with {', '.join(names)}: {new.mean():.4f} against {old.mean():.4f}, "
                f"{lift.absolute:+.4f} [{low:+.4f}, {high:+.4f}]"
            )


def _count(table, data, parts) -> None:
    place = {item: index for index, item in enumerate(data.catalogue.ids)}
    prompts = {
        session: set(parts.test.prompts[row].tolist())
        for row, session in enumerate(parts.test.prompts.ids)
    }
    repeats = outside = seen = 0
    lengths = []
    for (session,), rows in table.group_by("session_id"):
        items = [place.get(item, -1) for item in rows["item_id"]]
        lengths.append(len(items))
        repeats += len(items) - len(set(items))
        outside += sum(item < 0 or not parts.test_candidates[item] for item in items)
        seen += len(set(items) & prompts[session])
    print(
        f"{len(lengths):,} lists of {min(lengths)} to {max(lengths)} items, "
        f"{sum(lengths):,} places: "
        f"{repeats} repeats, {outside} no candidates, {seen} of the prompt"
    )


if __name__ == "__main__":
    main()
