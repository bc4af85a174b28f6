"""BERT4Rec: self-attention both ways, trained on hidden events (Sun et al. 2019)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from llmseq.models.sequential.attention import Band
from llmseq.models.sequential.batches import MASK, PackedBatch
from llmseq.models.sequential.blocks import BLOCKS
from llmseq.models.sequential.dropout import Dropout
from llmseq.models.sequential.network import Network
from llmseq.models.sequential.windows import ClozeWindows
from llmseq.types import Ragged

if TYPE_CHECKING:
    from llmseq.models.sequential.config import BERT4RecConfig


class BERT4Rec(Network):
    """From a session with hidden events to vectors that the hidden items' vectors should resemble.

    To name the next item, a hidden event is put at the end of the prompt. The item table is not
    part of the network; the vector that stands for a hidden event is.

    Parameters
    ----------
    dim : int
        D, the width of the item table.
    config : BERT4RecConfig
        Blocks, heads, length, dropout and the share hidden in training.
    generator : Generator
        Draws the first weights, and in training the dropout.
    """

    def __init__(self, dim: int, config: BERT4RecConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.max_length = config.max_length
        self.mask_prob = config.mask_prob
        self.input_scale = config.input_scale or math.sqrt(dim)
        self.dropout = Dropout(config.dropout, generator)
        self.positions = nn.Parameter(torch.empty(config.max_length, dim))
        self.hidden_event = nn.Parameter(torch.empty(1, dim))
        self.blocks = nn.ModuleList(
            BLOCKS[config.block](dim, config.n_heads, self.dropout) for _ in range(config.n_blocks)
        )
        self.norm = nn.LayerNorm(dim)
        self.draw_weights(generator)

    def forward(self, vectors: Tensor, batch: PackedBatch) -> Tensor:
        """Read each session as a whole.

        Parameters
        ----------
        vectors : (N, D)
            Rows of the item table.
        batch : PackedBatch
            Sessions of at most ``max_length`` events, M in all, some of them hidden.

        Returns
        -------
        (M, D)
            At a hidden event, its dot product with an item's vector scores that item.
        """
        seen = functional.embedding(batch.items.clamp_min(0), vectors) * self.input_scale  # M, D
        hidden = (batch.items == MASK)[:, None]
        x = torch.where(hidden, self.hidden_event, seen)
        x = self.dropout(x + functional.embedding(batch.ages, self.positions))
        band = Band.of(batch, dtype=x.dtype, causal=False)
        for block in self.blocks:
            x = block(x, band)
        states: Tensor = self.norm(x)
        return states  # M, D

    def windows(self, sessions: Ragged) -> ClozeWindows:
        """Random events are hidden and have to be named."""
        return ClozeWindows(sessions, self.max_length, self.mask_prob)

    def prompts(self, sessions: Ragged, *, device: torch.device | str = "cpu") -> PackedBatch:
        """Put a hidden event after the newest ones."""
        kept = sessions.tail(self.max_length - 1)
        items = np.insert(kept.items, kept.offsets[1:], MASK)
        with_mask = Ragged(items, kept.offsets + np.arange(len(kept) + 1))
        return PackedBatch.pack(with_mask, device=device)
