"""Results for people: recommendations with external ids, saved models, the refitted winner."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from llmseq.data.files import write_table
from llmseq.errors import ArtifactError
from llmseq.experiment.contest import Contender, Lists, refit
from llmseq.models.hybrid.fuse import FusionConfig, FusionRecommender
from llmseq.models.persistence import SavedModel, read_manifest
from llmseq.storage import atomic_file, fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from llmseq.experiment.artifacts import RunFolder
    from llmseq.experiment.bench import Bench
    from llmseq.models.protocol import Recommender
    from llmseq.recommendations import Recommendations
    from llmseq.types import IdArray


def write_recommendations(run: RunFolder, bench: Bench, lists: Mapping[str, Lists]) -> None:
    """Write the first seed's lists of every model, cut at the largest k."""
    ids = bench.dataset.catalogue.ids
    held_out = bench.held_out(bench.scored)
    for name, made in lists.items():
        table = as_table(made.per_seed[0].top(max(bench.spec.ks)), held_out.prompts.ids, ids)
        run.recommendations.mkdir(exist_ok=True)
        with atomic_file(run.recommendations / f"{name}.parquet") as temporary:
            write_table(table, temporary)


def as_table(lists: Recommendations, session_ids: IdArray, item_ids: IdArray) -> pl.DataFrame:
    """Write lists as rows: session_id, rank (from 1), item_id, score.

    Parameters
    ----------
    session_ids : object (n_sessions,)
    item_ids : object (n_items,)
    """
    rows, places = np.nonzero(lists.items >= 0)
    return pl.DataFrame(
        {
            "session_id": session_ids[rows].tolist(),
            "rank": (places + 1).astype(np.int32),
            "item_id": item_ids[lists.items[rows, places]].tolist(),
            "score": lists.scores[rows, places],
        },
        schema_overrides={"session_id": pl.String, "item_id": pl.String},
    )


def save_models(run: RunFolder, bench: Bench, contenders: Sequence[Contender]) -> None:
    """Save every model, fitted with the first seed, ready to serve."""
    for contender in contenders:
        _save(run.models / contender.name, bench, contender, contenders)


def save_winner(run: RunFolder, bench: Bench, winner: str, contenders: Sequence[Contender]) -> None:
    """Fit the winner, or each of its members, again on all sessions and save it."""
    chosen = next(contender for contender in contenders if contender.name == winner)
    needed = [
        contender
        for contender in contenders
        if contender.name == winner or contender.name in chosen.members
    ]
    fits = [f"fit {part.spec.entry.family}" for part in needed if part.fits]
    bench.tracker.expect([*fits, "report"])
    again = [
        refit(bench, contender, n_seeds=1, part="all") if contender.fits else contender
        for contender in needed
    ]
    chosen = next(contender for contender in again if contender.name == winner)
    _save(run.winner, bench, chosen, again)


def _save(path: Path, bench: Bench, contender: Contender, contenders: Sequence[Contender]) -> None:
    by_name = {other.name: other for other in contenders}
    parts = [by_name[name] for name in contender.members] or [contender]
    stages = [part.fits[0].stage.key for part in parts]
    key = fingerprint(contender.config.to_dict(), stages)
    if _is_there(path, key):
        return
    provenance: dict[str, Any] = {
        "name": contender.name,
        "key": key,
        "dataset": bench.spec.dataset,
        "fingerprint": bench.spec.fingerprint,
        "fitted_on": "all sessions" if path.name == "winner" else "train less validation",
        "seed": bench.spec.seed,
        "stages": stages,
    }
    if encoder := bench.spec.encoder_of(contender.spec):
        provenance["encoder"] = encoder
    if path.exists():  # of another fit, or damaged
        shutil.rmtree(path)
    model = _load(contender, by_name)
    SavedModel(model, bench.dataset.catalogue, provenance).save(path)


def _load(contender: Contender, by_name: Mapping[str, Contender]) -> Recommender:
    if contender.members and isinstance(contender.config, FusionConfig):
        members = {name: by_name[name].fits[0].load() for name in contender.members}
        return FusionRecommender(contender.config, members)
    return contender.fits[0].load()


def _is_there(path: Path, key: str) -> bool:
    try:
        return bool(read_manifest(path)["provenance"].get("key") == key)
    except ArtifactError:
        return False
