"""Results for people: recommendations with external ids, saved models, the refitted winner."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from llmseq.data.files import write_table
from llmseq.errors import ArtifactError
from llmseq.experiment.contest import refit
from llmseq.models.hybrid.recommender import HybridRecommender
from llmseq.models.persistence import SavedModel, read_manifest
from llmseq.storage import atomic_file, fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from llmseq.experiment.artifacts import RunFolder
    from llmseq.experiment.bench import Bench
    from llmseq.experiment.contender import Contender, Lists
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
        _save(run.models / contender.name, bench, contender)


def save_winner(run: RunFolder, bench: Bench, winner: Contender) -> None:
    """Fit the winner, or each of its members, again on all sessions and save it."""
    fits = [f"fit {part.spec.entry.family}" for part in winner.fitted()]
    bench.tracker.expect([*fits, "report"])
    _save(run.winner, bench, refit(bench, winner, n_seeds=1, part="all"))


def _save(path: Path, bench: Bench, contender: Contender) -> None:
    parts = list(contender.members.values()) or [contender]
    stages = [part.fits[0].stage.key for part in parts]
    key = fingerprint(contender.config.to_dict(), stages)
    if _is_there(path, key):
        return
    provenance: dict[str, Any] = {
        "name": contender.name,
        "key": key,
        "dataset": bench.spec.dataset,
        "fingerprint": bench.spec.fingerprint,
        "fitted_on": "all sessions" if contender.part == "all" else "train less validation",
        "seed": bench.spec.seed,
        "stages": stages,
    }
    if encoder := bench.spec.encoder_of(contender.spec):
        provenance["encoder"] = encoder
    if path.exists():  # of another fit, or damaged
        shutil.rmtree(path)
    model = _load(bench, contender)
    SavedModel(model, bench.dataset.catalogue, provenance).save(path)


def _load(bench: Bench, contender: Contender) -> Recommender:
    if contender.hybrid is None:
        return contender.fits[0].load()
    members = {name: member.fits[0].load() for name, member in contender.members.items()}
    return HybridRecommender(contender.hybrid, members).fit(
        bench.train(contender.part),
        embeddings=bench.own_vectors,
        rng=np.random.default_rng(bench.spec.seed),
    )


def _is_there(path: Path, key: str) -> bool:
    try:
        return bool(read_manifest(path)["provenance"].get("key") == key)
    except ArtifactError:
        return False
