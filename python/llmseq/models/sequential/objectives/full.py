"""Exact cross-entropy over every item, without the logits of a whole batch."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

Precision = Literal["auto", "float32", "bfloat16"]

_CHUNK_ROWS = 512
_ALIGNED_COLUMNS = 32  # an odd row length halves the speed of the matrix product
_ALIGNED_ROWS = 64  # the library keeps code for every shape it met: hundreds of MB if all differ


def find_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """Which type the products take: with "auto" bfloat16 where the CPU multiplies it faster."""
    if precision == "auto":
        fast = device.type == "cpu" and (
            torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
        )
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


class FullSoftmax:
    """Exact cross-entropy over every item, never holding more than a chunk of the logits.

    With float32, equal to ``cross_entropy(hidden @ vectors.T, targets)`` in value and gradients.
    Both gradients are made in the forward pass, while a chunk's probabilities are at hand, so that
    nothing of the size events × items outlives its chunk. One buffer serves every chunk of every
    batch. With bfloat16 the logits and the products are rounded to 8 bits; sums stay float32.

    Parameters
    ----------
    precision : "auto", "float32" or "bfloat16"
        Of the three matrix products; see `find_precision`.
    chunk_rows : int
        Events whose logits are held at once.
    """

    def __init__(self, *, precision: Precision = "auto", chunk_rows: int = _CHUNK_ROWS) -> None:
        self.chunk_rows = chunk_rows
        self._precision: Precision = precision
        self._buffer = torch.empty(0)

    def __call__(self, hidden: Tensor, vectors: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of hidden (P, D) against vectors (V, D), targets int64 (P,)."""
        loss: Tensor = _ChunkedCrossEntropy.apply(hidden, vectors, targets, self)
        return loss

    def buffer(self, device: torch.device, n_columns: int) -> Tensor:
        """Room for a chunk of logits (chunk_rows, n_columns), to be written over."""
        shape = (self.chunk_rows, n_columns)
        if self._buffer.shape != shape or self._buffer.device != device:
            dtype = find_precision(self._precision, device)
            self._buffer = torch.empty(shape, dtype=dtype, device=device)
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
        room = own.buffer(hidden.device, n_items + filler)
        table = functional.pad(vectors, (0, 0, 0, filler)).to(room.dtype)  # V', D
        queries = functional.pad(hidden, (0, 0, 0, -n_events % _ALIGNED_ROWS)).to(room.dtype)  # P'
        wanted = functional.embedding(targets, vectors)  # P, D
        losses = hidden.new_empty(n_events)
        grad_queries = torch.empty_like(queries)
        grad_table = torch.zeros_like(table, dtype=vectors.dtype)
        for start in range(0, queries.shape[0], own.chunk_rows):
            part = slice(start, start + own.chunk_rows)
            rows = queries[part]
            chunk = room[: rows.shape[0]]
            torch.mm(rows, table.t(), out=chunk)  # logits
            chunk[:, n_items:] = -torch.inf
            torch.softmax(chunk, dim=1, out=chunk)  # row by row, so in place is safe and cheap
            losses[part] = _losses(chunk, hidden[part], vectors, targets[part])
            torch.mm(chunk, table, out=grad_queries[part])
            grad_table += chunk.t() @ rows
        grad_hidden = grad_queries[:n_events].to(hidden.dtype)
        grad_hidden = grad_hidden - wanted
        grad_vectors = grad_table[:n_items].index_add_(0, targets, hidden, alpha=-1)
        ctx.save_for_backward(grad_hidden, grad_vectors)
        ctx.n_events = n_events
        return losses.sum() / n_events

    @staticmethod
    def backward(
        ctx: Any,  # noqa: ANN401
        grad: Tensor,
    ) -> tuple[Tensor, Tensor, None, None]:
        grad_hidden, grad_vectors = ctx.saved_tensors
        share = grad / ctx.n_events
        return grad_hidden * share, grad_vectors * share, None, None


def _losses(chunk: Tensor, hidden: Tensor, vectors: Tensor, targets: Tensor) -> Tensor:
    """Minus the log of each target's probability; from its logits where that rounds to zero."""
    probabilities = chunk[: len(targets)].gather(1, targets[:, None]).squeeze(1).float()
    losses = -probabilities.log()
    vanished = torch.nonzero(probabilities == 0).squeeze(1)
    if vanished.numel():
        logits = hidden[vanished] @ vectors.t()
        losses[vanished] = functional.cross_entropy(logits, targets[vanished], reduction="none")
    return losses
