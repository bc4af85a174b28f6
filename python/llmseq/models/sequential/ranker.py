"""Ranking with trained weights: read the prompt, search the item table for what comes next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from llmseq.core import ItemIndex
from llmseq.models.sequential.batches import PackedBatch
from llmseq.recommendations import Recommendations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmseq.data.sessions import Sessions
    from llmseq.types import BoolArray, FloatMatrix, Ragged

_PROMPTS_AT_ONCE = 1024


class SequentialRanker:
    """A network and its item table, ready to rank; nothing in it changes any more.

    Parameters
    ----------
    network : Module
        In evaluation mode; maps (vectors, packed batch) to hidden states (M, D).
    vectors : float32 (n_items, D)
        The item table by item index.
    trained : bool (n_items,)
        Items that training saw: the candidates unless others are asked for.
    known : bool (n_items,)
        Items whose vector means something: only they are read in a prompt or ever listed.
    max_length : int
        Events of a prompt that the network reads, the newest.
    """

    def __init__(
        self,
        network: nn.Module,
        vectors: FloatMatrix,
        *,
        trained: BoolArray,
        known: BoolArray,
        max_length: int,
    ) -> None:
        self.network = network
        self.vectors = vectors
        self.trained = trained
        self.known = known
        self._max_length = max_length
        self._device = next(network.parameters()).device
        self._table = torch.from_numpy(vectors).to(self._device)
        self._index = ItemIndex(vectors)

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
        """Hidden state after the newest event of each prompt, (S, D); none of them empty."""
        with torch.inference_mode():
            found = [
                hidden.cpu().numpy() for hidden in self._hidden(prompts.tail(self._max_length))
            ]
        return np.concatenate(found)

    def _hidden(self, prompts: Ragged) -> Iterator[Tensor]:
        for start in range(0, len(prompts), _PROMPTS_AT_ONCE):
            rows = np.arange(start, min(start + _PROMPTS_AT_ONCE, len(prompts)))
            batch = PackedBatch.pack(prompts.take(rows), device=self._device)
            yield self.network(self._table, batch)[batch.newest()]
