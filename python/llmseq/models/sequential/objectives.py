"""What training minimises: from hidden states, item vectors and targets to one number."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

_CHUNK_ROWS = 256
_ALIGNED_COLUMNS = 32  # an odd row length halves the speed of the matrix product


class Objective(Protocol):
    """A loss over the events of a batch."""

    def __call__(self, hidden: Tensor, vectors: Tensor, targets: Tensor) -> Tensor:
        """Mean loss, a scalar with gradients for ``hidden`` (M, D) and ``vectors`` (N, D)."""


class FullSoftmax:
    """Exact cross-entropy over every item, never holding more than a chunk of the logits.

    Equal to ``cross_entropy(hidden @ vectors.T, targets)`` in value and gradients. Both gradients
    are made in the forward pass, while a chunk's probabilities are at hand, so that nothing of the
    size events × items outlives its chunk. One buffer serves every chunk of every batch.

    Parameters
    ----------
    chunk_rows : int
        Events whose logits are held at once.
    """

    def __init__(self, chunk_rows: int = _CHUNK_ROWS) -> None:
        self.chunk_rows = chunk_rows
        self._buffer = torch.empty(0)

    def __call__(self, hidden: Tensor, vectors: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of hidden (M, D) against vectors (N, D), targets int64 (M,)."""
        loss: Tensor = _ChunkedCrossEntropy.apply(hidden, vectors, targets, self)
        return loss

    def buffer(self, like: Tensor, n_columns: int) -> Tensor:
        """Room for a chunk of logits (chunk_rows, n_columns), to be written over."""
        shape = (self.chunk_rows, n_columns)
        if self._buffer.shape != shape or self._buffer.device != like.device:
            self._buffer = like.new_empty(shape)
        return self._buffer


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch gives it no type
        hidden: Tensor,
        vectors: Tensor,
        targets: Tensor,
        own: FullSoftmax,
    ) -> Tensor:
        n_events, n_items = hidden.shape[0], vectors.shape[0]
        filler = -n_items % _ALIGNED_COLUMNS
        table = functional.pad(vectors, (0, 0, 0, filler)) if filler else vectors  # N', D
        room = own.buffer(hidden, n_items + filler)
        wanted = functional.embedding(targets, vectors)  # M, D
        grad_hidden = torch.empty_like(hidden)
        grad_table = torch.zeros_like(table)
        loss = hidden.new_zeros(())
        for start in range(0, n_events, own.chunk_rows):
            part = slice(start, start + own.chunk_rows)
            rows = hidden[part]
            chunk = room[: rows.shape[0]]
            torch.mm(rows, table.t(), out=chunk)  # logits
            chunk[:, n_items:] = -torch.inf
            highest = chunk.amax(dim=1)
            torch.softmax(chunk, dim=1, out=chunk)  # row by row, so in place is safe and cheap
            log_sum = highest - chunk.amax(dim=1).log()
            loss += (log_sum - (rows * wanted[part]).sum(dim=1)).sum()
            torch.mm(chunk, table, out=grad_hidden[part])
            grad_table.addmm_(chunk.t(), rows)
        grad_hidden -= wanted
        grad_vectors = grad_table[:n_items].index_add_(0, targets, hidden, alpha=-1)
        ctx.save_for_backward(grad_hidden, grad_vectors)
        ctx.n_events = n_events
        return loss / n_events

    @staticmethod
    def backward(
        ctx: Any,  # noqa: ANN401
        grad: Tensor,
    ) -> tuple[Tensor, Tensor, None, None]:
        grad_hidden, grad_vectors = ctx.saved_tensors
        share = grad / ctx.n_events
        return grad_hidden * share, grad_vectors * share, None, None
