"""Ranking with trained weights: read the prompt, search the item table for what comes next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from llmseq.core import ItemIndex
from llmseq.recommendations import Recommendations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from llmseq.data.sessions import Sessions
    from llmseq.models.sequential.model import SequentialModel
    from llmseq.models.sequential.unseen import UnseenItems
    from llmseq.types import BoolArray, FloatMatrix, Ragged

_PROMPTS_AT_ONCE = 1024


class SequentialRanker:
    """Trained weights and a row for each item, ready to rank; nothing in it changes any more.

    Parameters
    ----------
    model : SequentialModel
        In evaluation mode.
    trained : bool (n_items,)
        Items that training saw, in the order of the table's rows: the candidates unless others are
        asked for.
    unseen : UnseenItems, optional
        Vectors of the other items. With None they are unknown: never read in a prompt and never
        listed.
    """

    def __init__(
        self, model: SequentialModel, *, trained: BoolArray, unseen: UnseenItems | None
    ) -> None:
        self.model = model
        self.trained = trained
        self.known = trained if unseen is None else np.ones_like(trained)
        with torch.inference_mode():
            rows = model.table()
            self._device = rows.device
            if unseen is None:
                others = rows.new_zeros(int((~trained).sum()), rows.shape[1])
            else:
                others = unseen.vectors(model.table, rows)
            inputs = _by_item(trained, rows, others)
            outputs = _by_item(trained, model.head.outputs(rows), model.head.unseen(others))
        self._inputs = inputs
        self._index = ItemIndex(outputs.cpu().numpy())

    def rank(
        self,
        prompts: Sessions,
        k: int,
        *,
        exclude_seen: bool,
        candidates: BoolArray | None,
        n_threads: int | None = None,
    ) -> Recommendations:
        """Rank as the Protocol says; a prompt without a known item gets an empty list."""
        allowed = self.trained if candidates is None else candidates & self.known
        readable = prompts.events.keep_events(self.known[prompts.items])
        rows = np.flatnonzero(readable.lengths)
        items = np.full((len(prompts), k), -1, dtype=np.int32)
        scores = np.full((len(prompts), k), -np.inf, dtype=np.float32)
        if rows.size:
            items[rows], scores[rows] = self._index.search(
                self.encode(readable.take(rows)),
                k,
                exclude=prompts.events.take(rows) if exclude_seen else None,
                candidates=allowed,
                n_threads=n_threads,
            )
        return Recommendations(items, scores)

    def encode(self, prompts: Ragged) -> FloatMatrix:
        """Make what the items are compared with, (S, D'), from prompts, none of them empty."""
        with torch.inference_mode():
            return np.concatenate([hidden.cpu().numpy() for hidden in self._hidden(prompts)])

    def _hidden(self, prompts: Ragged) -> Iterator[Tensor]:
        for start in range(0, len(prompts), _PROMPTS_AT_ONCE):
            rows = np.arange(start, min(start + _PROMPTS_AT_ONCE, len(prompts)))
            batch = self.model.network.prompts(prompts.take(rows), device=self._device)
            hidden = self.model.network(self._inputs, batch)[batch.newest()]
            yield self.model.head(hidden)


def _by_item(trained: BoolArray, rows: Tensor, others: Tensor) -> Tensor:
    """Put rows of trained items and of the others in the order of the catalogue."""
    whole = rows.new_empty(trained.size, rows.shape[1])
    whole[torch.from_numpy(trained)] = rows
    whole[torch.from_numpy(~trained)] = others
    return whole
