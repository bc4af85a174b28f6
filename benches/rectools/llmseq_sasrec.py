"""Train our SASRec with the full softmax on saved arrays, as `rectools_sasrec.py` does."""

from __future__ import annotations

import platform
import time

import numpy as np
import polars as pl
import torch
from task import LIST_LENGTH, Answer, Arrays, Settings, peak_mib, settings, side_parser

import llmseq
from llmseq.data.catalogue import Catalogue
from llmseq.data.dataset import SessionDataset
from llmseq.data.sessions import Sessions
from llmseq.models.protocol import FitContext
from llmseq.models.sequential.config import SASRecConfig
from llmseq.models.sequential.objectives.full import find_precision
from llmseq.models.sequential.recommender import SequentialRecommender
from llmseq.types import ItemArray, OffsetArray, Ragged


def make_sessions(items: ItemArray, lengths: OffsetArray) -> Sessions:
    """Number the sessions."""
    ids = np.array([str(row) for row in range(lengths.size)], dtype=object)
    return Sessions(ids, Ragged.from_lengths(items, lengths))


def make_dataset(arrays: Arrays) -> SessionDataset:
    """Number the items; nothing is known about them."""
    nothing = pl.Series([None] * arrays.candidates.size, dtype=pl.String)
    ids = [str(item) for item in range(arrays.candidates.size)]
    catalogue = Catalogue(pl.DataFrame({"item_id": ids, "title": nothing, "text": nothing}))
    return SessionDataset(catalogue, make_sessions(arrays.session_items, arrays.session_lengths))


def make_config(given: Settings, precision: str) -> SASRecConfig:
    """Make the settings that both sides share."""
    return SASRecConfig.make(
        {
            "embedding_dim": given.dim,
            "n_blocks": given.n_blocks,
            "n_heads": given.n_heads,
            "max_length": given.max_length,
            "dropout": given.dropout,
            "objective": "full_softmax",
            "precision": precision,
            "learning_rate": given.learning_rate,
            "batch_size": given.batch_size,
            "patience": 0,
        },
        what="model sasrec",
    )


def run(given: Settings, arrays: Arrays, precision: str) -> Answer:
    """Train from the start for each number of epochs; time and memory are of the longest."""
    config = make_config(given, precision)
    train = make_dataset(arrays)
    prompts = make_sessions(arrays.prompt_items, arrays.prompt_lengths)
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # imports torch's compiler, as the peer
    lists, epoch_seconds, fit_seconds, peak = {}, [], 0.0, 0.0
    for epochs in reversed(given.epochs):
        model = SequentialRecommender(config.replace(n_epochs=epochs))
        start = time.perf_counter()
        model.fit(
            train,
            rng=np.random.default_rng(given.seed),
            context=FitContext(n_threads=given.threads),
        )
        if not lists:
            fit_seconds, peak = time.perf_counter() - start, peak_mib()
            epoch_seconds = [epoch["seconds"] for epoch in model.summary.history]
        ranked = model.recommend(prompts, LIST_LENGTH, candidates=arrays.candidates)
        lists[epochs] = ranked.items.tolist()
    used = find_precision(config.precision, torch.device("cpu"))
    return Answer(
        epoch_seconds=epoch_seconds,
        fit_seconds=fit_seconds,
        peak_mib=peak,
        lists=lists,
        versions={
            "llmseq": llmseq.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        notes={"threads": str(given.threads), "precision": str(used).removeprefix("torch.")},
    )


def main() -> None:
    parser = side_parser(__doc__)
    parser.add_argument("--precision", default="auto", help="auto, float32 or bfloat16")
    options = parser.parse_args()
    given = settings(options)
    run(given, Arrays.read(given.arrays), options.precision).write(given.answer)


if __name__ == "__main__":
    main()
