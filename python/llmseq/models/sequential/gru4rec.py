"""GRU4Rec: a gated recurrent network over whole sessions (Hidasi et al. 2016, Tan et al. 2016)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from llmseq.models.sequential.batches import PackedBatch
from llmseq.models.sequential.dropout import Dropout
from llmseq.models.sequential.network import Network
from llmseq.models.sequential.windows import NextItemWindows

if TYPE_CHECKING:
    from llmseq.models.sequential.config import GRU4RecConfig
    from llmseq.types import Ragged


class GRU4Rec(Network):
    """From the items of a session, one after the other, to the vector of what comes next.

    Parameters
    ----------
    dim : int
        D, the width of the item table.
    config : GRU4RecConfig
        Width of the state, length and dropout (of the input and of the state).
    generator : Generator
        Draws the first weights, and in training the dropout.
    """

    def __init__(self, dim: int, config: GRU4RecConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.max_length = config.max_length
        self.input_scale = config.input_scale or math.sqrt(dim)
        self.dropout = Dropout(config.dropout, generator)
        self.gru = nn.GRU(dim, config.hidden_dim)
        self.out = nn.Linear(config.hidden_dim, dim)
        self.draw_weights(generator)

    def forward(self, vectors: Tensor, batch: PackedBatch) -> Tensor:
        """Read each session up to each of its events.

        Parameters
        ----------
        vectors : (N, D)
            Rows of the item table.
        batch : PackedBatch
            M events.

        Returns
        -------
        (M, D)
            Its dot product with an item's vector scores that item as the next one.
        """
        x: Tensor = functional.embedding(batch.items, vectors)  # M, D
        x = self.dropout(x * self.input_scale)
        if not x.numel():
            return x
        order, sizes = _by_step(batch)
        states, _ = self.gru(PackedSequence(x[order], sizes))
        back = torch.empty_like(order)
        back[order] = torch.arange(order.numel(), device=order.device)
        hidden: Tensor = self.out(self.dropout(states.data[back]))
        return hidden  # M, D

    def windows(self, sessions: Ragged) -> NextItemWindows:
        """After each event the next one is asked."""
        return NextItemWindows(sessions, self.max_length)

    def prompts(self, sessions: Ragged, *, device: torch.device | str = "cpu") -> PackedBatch:
        """Pack the newest events: the last one's state names what comes next."""
        return PackedBatch.pack(sessions.tail(self.max_length), device=device)


def _by_step(batch: PackedBatch) -> tuple[Tensor, Tensor]:
    """Order events as a recurrent network takes them: all first ones, all second ones, and so on.

    Returns the order (M,) and how many sessions have an event at each step; longest sessions first.
    """
    lengths = torch.bincount(batch.sessions)
    length = lengths[batch.sessions]
    step = length - 1 - batch.ages
    rank = torch.empty_like(lengths)
    longest_first = torch.argsort(lengths, descending=True, stable=True)
    rank[longest_first] = torch.arange(lengths.numel(), device=lengths.device)
    order = torch.argsort(step * lengths.numel() + rank[batch.sessions])
    return order, torch.bincount(step).cpu()
