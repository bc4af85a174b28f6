"""The item table: one vector an item, read by the network and compared with what it returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from llmseq.types import FloatMatrix


class ItemTable(nn.Module):
    """A trained vector for each of V items.

    Make one with `random` or `from_embeddings`. Calling it gives the rows, (V, D); a table whose
    rows follow from other parameters overrides `forward`.
    """

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.rows = nn.Parameter(rows)

    @classmethod
    def random(cls, n_items: int, dim: int, *, scale: float, generator: torch.Generator) -> Self:
        """Start from Xavier-normal rows times ``scale``: items are known by their place alone."""
        rows = torch.empty(n_items, dim)
        return cls(nn.init.xavier_normal_(rows, generator=generator).mul_(scale))

    @classmethod
    def from_embeddings(cls, vectors: FloatMatrix, *, scale: float) -> Self:
        """Start from text vectors (V, D) times ``scale`` and train on: the study's ``llm_init``."""
        return cls(torch.tensor(vectors).mul_(scale))

    def forward(self) -> Tensor:
        """Rows of all items, (V, D)."""
        return self.rows
