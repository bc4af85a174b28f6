"""Blocks of the transformers; each maps the events of a packed batch (M, D) to (M, D)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from llmseq.models.sequential.attention import Band, session_attention

if TYPE_CHECKING:
    from llmseq.models.sequential.config import BlockKind
    from llmseq.models.sequential.dropout import Dropout

_FEED_WIDTH = 4


class OriginalBlock(nn.Module):
    """The block of SASRec's authors: a norm on the query alone, residuals from the normed values.

    ``q = norm(x); h = q + attend(q, x); f = norm(h); f + feed(f)`` with a pointwise feed-forward
    network as wide as the input.

    Parameters
    ----------
    dim : int
        D, which ``n_heads`` must divide.
    n_heads : int
        Attention heads.
    dropout : Dropout
        Applied to the attention weights and after both layers of the feed-forward network.
    """

    def __init__(self, dim: int, n_heads: int, dropout: Dropout) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query_norm = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.attended = nn.Linear(dim, dim)
        self.feed_norm = nn.LayerNorm(dim)
        self.feed_in = nn.Linear(dim, dim)
        self.feed_out = nn.Linear(dim, dim)
        self.dropout = dropout

    def forward(self, x: Tensor, band: Band) -> Tensor:
        """Map (M, D) to (M, D)."""
        normed = self.query_norm(x)
        key, value = self.key_value(x).chunk(2, dim=1)
        attended = session_attention(
            self.query(normed), key, value, band, n_heads=self.n_heads, dropout=self.dropout
        )
        x = self.feed_norm(normed + self.attended(attended))
        hidden = self.dropout(torch.relu(self.feed_in(x)))
        fed: Tensor = self.dropout(self.feed_out(hidden))
        return x + fed


class SelfAttention(nn.Module):
    """Query, key and value from the same input, and a layer after; (M, D) to (M, D)."""

    def __init__(self, dim: int, n_heads: int, dropout: Dropout) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.attended = nn.Linear(dim, dim)
        self.dropout = dropout

    def forward(self, x: Tensor, band: Band) -> Tensor:
        """Attend inside each session."""
        query, key, value = self.query_key_value(x).chunk(3, dim=1)
        found: Tensor = self.attended(
            session_attention(query, key, value, band, n_heads=self.n_heads, dropout=self.dropout)
        )
        return found


class PreNormBlock(nn.Module):
    """Norms inside the branches: ``x + attend(norm(x))``, then ``x + feed(norm(x))``.

    The feed-forward network is four times as wide as the input, with GELU. Parameters as
    `OriginalBlock`; dropout is applied to the attention weights and at the end of both branches.
    """

    def __init__(self, dim: int, n_heads: int, dropout: Dropout) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, n_heads, dropout)
        self.feed_norm = nn.LayerNorm(dim)
        self.feed_in = nn.Linear(dim, _FEED_WIDTH * dim)
        self.feed_out = nn.Linear(_FEED_WIDTH * dim, dim)
        self.dropout = dropout

    def forward(self, x: Tensor, band: Band) -> Tensor:
        """Map (M, D) to (M, D)."""
        x = x + self.dropout(self.attention(self.attention_norm(x), band))
        fed: Tensor = self.dropout(self.feed_out(functional.gelu(self.feed_in(self.feed_norm(x)))))
        return x + fed


class LigrBlock(nn.Module):
    """Gated branches (Borisyuk et al. 2024): ``x + σ(G₁x) · attend(norm(x))``, the same for feed.

    The feed-forward network is a SwiGLU four times as wide as the input. Parameters as
    `OriginalBlock`; dropout is applied to the attention weights and at the end of both branches.
    """

    def __init__(self, dim: int, n_heads: int, dropout: Dropout) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, n_heads, dropout)
        self.attention_gate = nn.Linear(dim, dim)
        self.feed_norm = nn.LayerNorm(dim)
        self.feed_in = nn.Linear(dim, 2 * _FEED_WIDTH * dim)
        self.feed_out = nn.Linear(_FEED_WIDTH * dim, dim)
        self.feed_gate = nn.Linear(dim, dim)
        self.dropout = dropout

    def forward(self, x: Tensor, band: Band) -> Tensor:
        """Map (M, D) to (M, D)."""
        attended = self.dropout(self.attention(self.attention_norm(x), band))
        x = x + torch.sigmoid(self.attention_gate(x)) * attended
        up, gate = self.feed_in(self.feed_norm(x)).chunk(2, dim=1)
        fed = self.dropout(self.feed_out(up * functional.silu(gate)))
        gated: Tensor = torch.sigmoid(self.feed_gate(x)) * fed
        return x + gated


BLOCKS: dict[BlockKind, type[OriginalBlock | PreNormBlock | LigrBlock]] = {
    "original": OriginalBlock,
    "pre_norm": PreNormBlock,
    "ligr": LigrBlock,
}
