"""Train one epoch of SASRec with sampled softmax on a large made-up log, in a process of its own.

    python benches/sampled_200k.py

Prints seconds and the peak of resident memory; the exit code is 1 where that is above the limit.
"""

from __future__ import annotations

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from llmseq.data.dataset import SessionDataset
    from llmseq.types import FloatVector


@dataclass(frozen=True)
class Job:
    """Size of the log and how to train; popularity falls as 1 / rank**skew."""

    sessions: int
    items: int
    mean_length: float
    skew: float
    dim: int
    batch_size: int
    n_negatives: int
    threads: int
    seed: int


@dataclass(frozen=True)
class Result:
    """What the epoch took, and on what."""

    n_events: int
    n_trained_items: int
    loss: float
    epoch_seconds: float
    fit_seconds: float
    peak_gib: float


def make_log(job: Job, rng: np.random.Generator) -> SessionDataset:
    """Make sessions of two events and more; every item has an event where there are enough."""
    import polars as pl

    from llmseq.data.catalogue import Catalogue
    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import Sessions
    from llmseq.types import Ragged

    lengths = 1 + rng.geometric(1 / (job.mean_length - 1), job.sessions)
    n_events = int(lengths.sum())
    once = rng.permutation(job.items)[:n_events]
    drawn = rng.choice(job.items, n_events - once.size, p=popularity(job))
    items = rng.permutation(np.concatenate([once, drawn])).astype(np.int32)
    nothing = pl.Series([None] * job.items, dtype=pl.String)
    ids = [f"i{item}" for item in range(job.items)]
    return SessionDataset(
        Catalogue(pl.DataFrame({"item_id": ids, "title": nothing, "text": nothing})),
        Sessions(
            np.array([f"s{row}" for row in range(job.sessions)], dtype=object),
            Ragged.from_lengths(items, lengths),
        ),
    )


def popularity(job: Job) -> FloatVector:
    """Probability of each item, (items,): a long tail."""
    weights = np.arange(1, job.items + 1) ** -job.skew
    return weights / weights.sum()


def train(job: Job) -> Result:
    """Train one epoch; memory is that of the whole process."""
    from llmseq.experiment.cost import measure
    from llmseq.models.protocol import FitContext
    from llmseq.models.sequential.config import SASRecConfig
    from llmseq.models.sequential.recommender import SequentialRecommender

    rng = np.random.default_rng(job.seed)
    log = make_log(job, rng)
    config = SASRecConfig(
        objective="sampled_softmax",
        n_negatives=job.n_negatives,
        embedding_dim=job.dim,
        batch_size=job.batch_size,
        n_epochs=1,
        patience=0,
    )
    model = SequentialRecommender(config)
    with measure() as cost:
        model.fit(log, rng=rng, context=FitContext(n_threads=job.threads))
    (epoch,) = model.summary.history
    return Result(
        n_events=log.sessions.n_events,
        n_trained_items=int((log.item_counts() > 0).sum()),
        loss=epoch["loss"],
        epoch_seconds=epoch["seconds"],
        fit_seconds=cost.seconds,
        peak_gib=cost.peak_memory_mib / 1024,
    )


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=200_000)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--mean-length", type=float, default=8.0)
    parser.add_argument("--skew", type=float, default=1.0)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--n-negatives", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit-gib", type=float, default=4.0, help="exit code 1 above it")
    return parser.parse_args()


def main() -> None:
    options = vars(parse())
    limit = options.pop("limit_gib")
    job = Job(**options)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        result = process.submit(train, job).result()
    print(
        f"{job.sessions:,} sessions, {result.n_events:,} events, "
        f"{result.n_trained_items:,} items with an event, width {job.dim}, "
        f"{job.threads} threads\n"
        f"epoch {result.epoch_seconds:.1f} s, fit {result.fit_seconds:.1f} s, "
        f"loss {result.loss:.3f}, peak {result.peak_gib:.2f} GiB resident"
    )
    if result.peak_gib > limit:
        raise SystemExit(f"above the limit of {limit:g} GiB")


if __name__ == "__main__":
    main()
