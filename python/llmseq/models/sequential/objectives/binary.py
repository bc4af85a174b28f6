"""Binary cross-entropy against drawn negatives, plain and calibrated for the sampling rate."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

_CHUNK_ROWS = 256


def gbce_weight(n_negatives: int, n_items: int, calibration: float) -> float:
    """Weight β of gBCE's positive term (Petrov and Macdonald 2023).

    ``α = negatives / (items − 1)`` is the sampling rate and ``β = α (t (1 − 1/α) + 1/α)`` with
    calibration t: 1 for plain cross-entropy (t = 0), α for scores that are probabilities (t = 1).

    Examples
    --------
    >>> gbce_weight(10, 101, 0.0), round(gbce_weight(10, 101, 1.0), 6)
    (1.0, 0.1)
    """
    rate = min(1.0, n_negatives / max(n_items - 1, 1))
    return rate * (calibration * (1 - 1 / rate) + 1 / rate)


class BinaryCrossEntropy:
    """Target against negatives, each a yes or no.

    ``−(β · log σ(target) + Σ log(1 − σ(negative))) / (1 + n_negatives)``, mean over events. A
    negative that is the event's own target is left out. Each event has negatives of its own:
    shared by a batch they push all events the same way, and learning suffers. Their vectors are
    gathered chunk by chunk and once more for the gradients, so that no more are ever held.

    Parameters
    ----------
    n_negatives : int
        Uniform items drawn for each event, with replacement.
    generator : Generator
        Draws them.
    positive_weight : float
        β; 1 for plain binary cross-entropy.
    """

    def __init__(
        self, n_negatives: int, generator: torch.Generator, *, positive_weight: float = 1.0
    ) -> None:
        self._n_negatives = n_negatives
        self._generator = generator
        self._positive_weight = positive_weight

    def __call__(self, hidden: Tensor, vectors: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of hidden (P, D) against drawn rows of vectors (V, D), targets int64 (P,)."""
        shape = (targets.numel(), self._n_negatives)
        drawn = torch.randint(
            vectors.shape[0], shape, generator=self._generator, device=targets.device
        )
        total = hidden.new_zeros(())
        for start in range(0, targets.numel(), _CHUNK_ROWS):
            part = slice(start, start + _CHUNK_ROWS)
            chunk = (hidden[part], vectors, targets[part], drawn[part])
            total = total + checkpoint(self._sum, *chunk, use_reentrant=False)
        return total / targets.numel()

    def _sum(self, hidden: Tensor, vectors: Tensor, targets: Tensor, drawn: Tensor) -> Tensor:
        """Sum the losses of a chunk of events."""
        negatives = torch.bmm(functional.embedding(drawn, vectors), hidden[:, :, None])[:, :, 0]
        positives = (hidden * functional.embedding(targets, vectors)).sum(dim=1)  # P
        wrong = functional.softplus(negatives).masked_fill(drawn == targets[:, None], 0.0)
        right = self._positive_weight * functional.softplus(-positives)
        return (right + wrong.sum(dim=1)).sum() / (1 + self._n_negatives)
