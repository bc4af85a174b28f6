"""Causal attention inside each session of a packed batch, with no work on padding.

Events stand end to end, so a query's keys lie less than ``longest`` places before it, the longest
session's length. Cut into blocks of so many events, each query finds all its keys in its own block
and the one before: two small dense products a block, whatever the lengths of the sessions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from llmseq.models.sequential.batches import PackedBatch
    from llmseq.models.sequential.dropout import Dropout


@dataclass(frozen=True, eq=False, slots=True)
class Band:
    """Which key each query of a packed batch may see; the same for every block of the network.

    Parameters
    ----------
    mask : float (R, 1, T, 2T)
        0 where block r's query may look at the keys of blocks r − 1 and r, else −inf.
    n_events : int
        M: events of the batch; the last block is filled up to R·T.
    """

    mask: Tensor
    n_events: int

    @classmethod
    def of(cls, batch: PackedBatch, *, dtype: torch.dtype) -> Band:
        """Lay the batch out in blocks as wide as its longest session."""
        width = batch.longest
        session = functional.pad(batch.sessions, (0, -batch.sessions.numel() % width), value=-1)
        queries = session.view(-1, width)  # R, T
        before = functional.pad(queries, (0, 0, 1, 0), value=-2)[:-1]
        keys = torch.cat([before, queries], dim=1)  # R, 2T
        place = torch.arange(2 * width, device=session.device)
        seen = place <= place[width:, None]  # T, 2T
        allowed = (queries[:, :, None] == keys[:, None, :]) & seen  # R, T, 2T
        mask = torch.zeros(allowed.shape, dtype=dtype, device=session.device)
        return cls(mask.masked_fill_(~allowed, -math.inf)[:, None], batch.sessions.numel())

    def queries(self, x: Tensor, n_heads: int) -> Tensor:
        """Cut (M, D) into blocks and heads: (R, H, T, D/H)."""
        n_blocks, _, width, _ = self.mask.shape
        filled = functional.pad(x, (0, 0, 0, n_blocks * width - self.n_events))
        return filled.view(n_blocks, width, n_heads, x.shape[1] // n_heads).transpose(1, 2)

    def keys(self, x: Tensor, n_heads: int) -> Tensor:
        """Cut (M, D) into blocks, each behind the block before it: (R, H, 2T, D/H)."""
        own = self.queries(x, n_heads)
        before = functional.pad(own, (0, 0, 0, 0, 0, 0, 1, 0))[:-1]
        return torch.cat([before, own], dim=2)

    def events(self, blocks: Tensor) -> Tensor:
        """Undo `queries`: (R, H, T, D/H) to (M, D)."""
        return blocks.transpose(1, 2).flatten(0, 1).flatten(1)[: self.n_events]


def session_attention(
    query: Tensor, key: Tensor, value: Tensor, band: Band, *, n_heads: int, dropout: Dropout
) -> Tensor:
    """Attend from each event to the events of its session up to itself.

    Parameters
    ----------
    query, key, value : (M, D)
        ``n_heads`` must divide D.
    band : Band
        Layout of the batch.
    dropout : Dropout
        Applied to the attention weights.

    Returns
    -------
    (M, D)
    """
    keys = band.keys(key, n_heads)  # R, H, 2T, D/H
    scale = 1 / math.sqrt(keys.shape[-1])
    scores = (band.queries(query * scale, n_heads) @ keys.transpose(2, 3)) + band.mask
    weights = dropout(torch.softmax(scores, dim=-1))  # R, H, T, 2T
    return band.events(weights @ band.keys(value, n_heads))
