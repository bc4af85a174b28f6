"""SASRec: causal self-attention over a session (Kang and McAuley 2018), top to bottom."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from llmseq.models.sequential.attention import Band
from llmseq.models.sequential.batches import PackedBatch
from llmseq.models.sequential.blocks import BLOCKS
from llmseq.models.sequential.dropout import Dropout
from llmseq.models.sequential.network import Network
from llmseq.models.sequential.windows import NextItemWindows

if TYPE_CHECKING:
    from llmseq.models.sequential.config import SASRecConfig
    from llmseq.types import Ragged


class SASRec(Network):
    """From the items of a session to a vector that the next item's vector should resemble.

    The item table is not part of the network: `forward` takes its rows, so that any table goes
    with any network, and the same rows score the items (a tied table).

    Parameters
    ----------
    dim : int
        D, the width of the item table.
    config : SASRecConfig
        Blocks, heads, length and dropout.
    generator : Generator
        Draws the first weights, and in training the dropout.
    """

    def __init__(self, dim: int, config: SASRecConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.max_length = config.max_length
        self.input_scale = config.input_scale or math.sqrt(dim)
        self.dropout = Dropout(config.dropout, generator)
        self.positions = nn.Parameter(torch.empty(config.max_length, dim))
        self.blocks = nn.ModuleList(
            BLOCKS[config.block](dim, config.n_heads, self.dropout) for _ in range(config.n_blocks)
        )
        self.norm = nn.LayerNorm(dim)
        self.draw_weights(generator)

    def forward(self, vectors: Tensor, batch: PackedBatch) -> Tensor:
        """Read each session up to each of its events.

        Parameters
        ----------
        vectors : (N, D)
            Rows of the item table.
        batch : PackedBatch
            Sessions of at most ``max_length`` events, M in all.

        Returns
        -------
        (M, D)
            Its dot product with an item's vector scores that item as the next one.
        """
        x: Tensor = functional.embedding(batch.items, vectors)  # M, D
        x = self.dropout(x * self.input_scale + functional.embedding(batch.ages, self.positions))
        band = Band.of(batch, dtype=x.dtype)
        for block in self.blocks:
            x = block(x, band)
        hidden: Tensor = self.norm(x)
        return hidden  # M, D

    def windows(self, sessions: Ragged) -> NextItemWindows:
        """After each event the next one is asked."""
        return NextItemWindows(sessions, self.max_length)

    def prompts(self, sessions: Ragged, *, device: torch.device | str = "cpu") -> PackedBatch:
        """Pack the newest events: the last one's state names what comes next."""
        return PackedBatch.pack(sessions.tail(self.max_length), device=device)
