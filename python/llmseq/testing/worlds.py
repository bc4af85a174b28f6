"""Small made-up logs in which the right answer is known, for behavioural tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from llmseq.data.catalogue import Catalogue
from llmseq.data.dataset import SessionDataset
from llmseq.data.sessions import Sessions
from llmseq.embeddings.matrix import ItemEmbeddings
from llmseq.types import FloatMatrix, ItemArray, Ragged

if TYPE_CHECKING:
    from collections.abc import Sequence

DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True, eq=False, slots=True)
class World:
    """A log and prompts with what belongs on their lists.

    Parameters
    ----------
    train : SessionDataset
        What a model is fitted on; with times.
    embeddings : ItemEmbeddings
        Vectors of every item that agree with the log.
    prompts : Sessions
        Not among the train sessions.
    answers : Ragged
        For each prompt the items that must stand first, in any order.
    """

    train: SessionDataset
    embeddings: ItemEmbeddings
    prompts: Sessions
    answers: Ragged

    @property
    def n_items(self) -> int:
        """Items in the catalogue."""
        return self.train.n_items


def catalogue_of(n_items: int, kinds: ItemArray | None = None) -> Catalogue:
    """Make a catalogue with ids "i0", "i1", …, titles and, if given, each item's kind."""
    ids = [f"i{item}" for item in range(n_items)]
    titles = [f"Item {item}" for item in range(n_items)]
    table = pl.DataFrame({"item_id": ids, "title": titles, "text": titles})
    if kinds is not None:
        table = table.with_columns(pl.Series("kind", [f"kind {kind}" for kind in kinds]))
    return Catalogue(table)


def log_of(
    rows: Sequence[Sequence[int]], n_items: int, kinds: ItemArray | None = None
) -> SessionDataset:
    """Make a dataset of item indices; sessions follow one another a day apart."""
    events = Ragged.from_lists(rows)
    within = np.arange(events.items.size) - events.offsets[:-1][events.rows]
    times = events.rows * DAY + within
    names = np.array([f"s{row}" for row in range(len(rows))], dtype=object)
    return SessionDataset(catalogue_of(n_items, kinds), Sessions(names, events, times))


def clustered_vectors(groups: ItemArray, *, spread: float, seed: int = 0) -> FloatMatrix:
    """Make vectors near one axis for each group, float32 (n_items, 16)."""
    centres = np.eye(int(groups.max()) + 1, 16)[groups]
    noise = np.random.default_rng(seed).normal(scale=spread, size=centres.shape)
    return (centres + noise).astype(np.float32)


def planted_groups(*, n_groups: int = 6, group_size: int = 8, n_sessions: int = 160) -> World:
    """Make sessions that stay in one group of items; the last item of each group has no event.

    The catalogue's column ``kind`` names the group.

    A prompt of three items of a group asks for other items of it.
    """
    rng = np.random.default_rng(11)
    n_items = n_groups * group_size
    groups = (np.arange(n_items) % n_groups).astype(np.int32)
    warm = [np.flatnonzero(groups == group)[:-1] for group in range(n_groups)]
    rows = [rng.permutation(warm[row % n_groups])[:5].tolist() for row in range(n_sessions)]
    prompts = [rng.permutation(warm[group])[:3] for group in (*range(n_groups), *range(n_groups))]
    answers = [
        np.setdiff1d(warm[row % n_groups], prompt).tolist() for row, prompt in enumerate(prompts)
    ]
    return World(
        log_of(rows, n_items, groups),
        ItemEmbeddings(clustered_vectors(groups, spread=0.05), {"encoder": "planted"}),
        Sessions.from_lists([prompt.tolist() for prompt in prompts]),
        Ragged.from_lists(answers),
    )


def checkerboard(n: int = 24) -> World:
    """Make person p's history of all items of p's parity but p: item p is the only right answer.

    The idea is the test of the package "implicit". Items follow one another in a circle, p + 2 to
    p − 2, so that a model of sequences finds the same answer. Train and prompts are the same.
    """
    rows = [[(p + step) % n for step in range(2, n, 2)] for p in range(n)]
    parity = (np.arange(n) % 2).astype(np.int32)
    train = log_of(rows, n, parity)
    return World(
        train,
        ItemEmbeddings(clustered_vectors(parity, spread=0.02), {"encoder": "planted"}),
        train.sessions,
        Ragged.from_lists([[p] for p in range(n)]),
    )
