"""Heads: how a hidden state is compared with the items. Always a dot product in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from llmseq.models.sequential.config import HeadKind


class DotHead(nn.Module):
    """The hidden state against the item's own vector: a tied table and nothing else."""

    def forward(self, hidden: Tensor) -> Tensor:
        """Hidden states (M, D) as they are."""
        return hidden

    def outputs(self, vectors: Tensor) -> Tensor:
        """Item vectors (V, D) as they are."""
        return vectors

    def unseen(self, vectors: Tensor) -> Tensor:
        """Vectors (n, D) of items that training never saw, as they are."""
        return vectors


class ProjectionHead(nn.Module):
    """A trained layer on the hidden state and a trained bias for each item (Sun et al. 2019).

    The bias is one more dimension of the item, against a one in the hidden state, so that scores
    stay dot products for the objectives and for the search alike.

    Parameters
    ----------
    dim : int
        D.
    n_items : int
        V: items that training sees.
    generator : Generator
        Draws the first weights.
    """

    def __init__(self, dim: int, n_items: int, generator: torch.Generator) -> None:
        super().__init__()
        self.layer = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim)
        self.bias = nn.Parameter(torch.zeros(n_items))
        nn.init.xavier_normal_(self.layer.weight, generator=generator)
        nn.init.zeros_(self.layer.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """Hidden states (M, D) to (M, D + 1)."""
        return functional.pad(self.norm(functional.gelu(self.layer(hidden))), (0, 1), value=1.0)

    def outputs(self, vectors: Tensor) -> Tensor:
        """Item vectors (V, D) to (V, D + 1), the bias last."""
        return torch.cat([vectors, self.bias[:, None]], dim=1)

    def unseen(self, vectors: Tensor) -> Tensor:
        """Vectors (n, D) of items that training never saw, with the mean bias."""
        return torch.cat([vectors, self.bias.mean().expand(len(vectors), 1)], dim=1)


Head = DotHead | ProjectionHead


def make_head(kind: HeadKind, dim: int, n_items: int, generator: torch.Generator) -> Head:
    """Make the head that the settings name."""
    return DotHead() if kind == "dot" else ProjectionHead(dim, n_items, generator)
