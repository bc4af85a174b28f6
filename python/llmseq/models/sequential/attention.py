"""Attention inside each session of a packed batch, with no work on padding.

Events stand end to end, so a query's keys lie less than ``longest`` places from it, the longest
session's length. Cut into blocks of so many events, each query finds all its keys in its own block
and its neighbours: two small dense products a block, whatever the lengths of the sessions.
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
    """Which keys each query of a packed batch may see; the same for every block of the network.

    Parameters
    ----------
    mask : float (R, 1, T, C·T)
        0 where block r's query may look at a key of the C blocks that end with r (causal, C = 2)
        or r + 1 (both ways, C = 3); else −inf.
    n_events : int
        M: events of the batch; the last block is filled up to R·T.
    """

    mask: Tensor
    n_events: int

    @classmethod
    def of(cls, batch: PackedBatch, *, dtype: torch.dtype, causal: bool = True) -> Band:
        """Lay the batch out in blocks as wide as its longest session.

        Parameters
        ----------
        batch : PackedBatch
        dtype : dtype
            Of the attention scores.
        causal : bool
            Each event sees its session up to itself; otherwise its whole session.
        """
        width = batch.longest
        session = functional.pad(batch.sessions, (0, -batch.sessions.numel() % width), value=-1)
        queries = session.view(-1, width)  # R, T
        keys = _with_neighbours(queries, 2 if causal else 3, value=-2)  # R, C·T
        allowed = queries[:, :, None] == keys[:, None, :]  # R, T, C·T
        if causal:
            place = torch.arange(2 * width, device=session.device)
            allowed = allowed & (place <= place[width:, None])
        mask = torch.zeros(allowed.shape, dtype=dtype, device=session.device)
        return cls(mask.masked_fill_(~allowed, -math.inf)[:, None], batch.sessions.numel())

    def queries(self, x: Tensor, n_heads: int) -> Tensor:
        """Cut (M, D) into blocks and heads: (R, H, T, D/H)."""
        n_blocks, _, width, _ = self.mask.shape
        filled = functional.pad(x, (0, 0, 0, n_blocks * width - self.n_events))
        return filled.view(n_blocks, width, n_heads, x.shape[1] // n_heads).transpose(1, 2)

    def keys(self, x: Tensor, n_heads: int) -> Tensor:
        """Cut (M, D) into blocks, each beside its neighbours: (R, H, C·T, D/H)."""
        n_blocks, _, width, key_width = self.mask.shape
        filled = functional.pad(x, (0, 0, 0, n_blocks * width - self.n_events))
        beside = _with_neighbours(filled.view(n_blocks, width, x.shape[1]), key_width // width)
        return beside.view(n_blocks, key_width, n_heads, x.shape[1] // n_heads).transpose(1, 2)

    def events(self, blocks: Tensor) -> Tensor:
        """Undo `queries`: (R, H, T, D/H) to (M, D)."""
        return blocks.transpose(1, 2).flatten(0, 1).flatten(1)[: self.n_events]


def _with_neighbours(blocks: Tensor, n: int, value: float = 0) -> Tensor:
    """Set each block (R, T, …) behind the one before it and, with n = 3, before the next one."""
    rest = (0, 0) * (blocks.dim() - 1)
    parts = [functional.pad(blocks, (*rest, 1, 0), value=value)[:-1], blocks]
    if n == 3:
        parts.append(functional.pad(blocks, (*rest, 0, 1), value=value)[1:])
    return torch.cat(parts, dim=1)


def session_attention(
    query: Tensor, key: Tensor, value: Tensor, band: Band, *, n_heads: int, dropout: Dropout
) -> Tensor:
    """Attend from each event to the events of its session that the band lets it see.

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
    keys = band.keys(key, n_heads)  # R, H, C·T, D/H
    scale = 1 / math.sqrt(keys.shape[-1])
    scores = (band.queries(query * scale, n_heads) @ keys.transpose(2, 3)) + band.mask
    weights = dropout(torch.softmax(scores, dim=-1))  # R, H, T, C·T
    return band.events(weights @ band.keys(value, n_heads))
