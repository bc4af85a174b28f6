"""SASRec: causal self-attention over a session (Kang and McAuley 2018), top to bottom."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from llmseq.models.sequential.attention import Band
from llmseq.models.sequential.blocks import OriginalBlock
from llmseq.models.sequential.dropout import Dropout

if TYPE_CHECKING:
    from llmseq.models.sequential.batches import PackedBatch
    from llmseq.models.sequential.config import SequentialConfig


class SASRec(nn.Module):
    """From the items of a session to a vector that the next item's vector should resemble.

    The item table is not part of the network: `forward` takes its rows, so that any table goes
    with any network, and the same rows score the items (a tied table).

    Parameters
    ----------
    dim : int
        D, the width of the item table.
    config : SequentialConfig
        Depth, heads, length and dropout.
    generator : Generator
        Draws the first weights, and in training the dropout.
    """

    def __init__(self, dim: int, config: SequentialConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.input_scale = config.input_scale or math.sqrt(dim)
        self.dropout = Dropout(config.dropout, generator)
        self.positions = nn.Parameter(torch.empty(config.max_length, dim))
        self.blocks = nn.ModuleList(
            OriginalBlock(dim, config.n_heads, self.dropout) for _ in range(config.n_blocks)
        )
        self.norm = nn.LayerNorm(dim)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_normal_(parameter, generator=generator)
        for linear in self.modules():
            if isinstance(linear, nn.Linear):
                nn.init.zeros_(linear.bias)

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
