"""Blocks of the sequential networks; each maps the events of a packed batch (M, D) to (M, D)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from llmseq.models.sequential.attention import Band, session_attention

if TYPE_CHECKING:
    from llmseq.models.sequential.dropout import Dropout


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
