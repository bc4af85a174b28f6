"""Softmax over a drawn set of items, for catalogues whose full softmax costs too much."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


class SampledSoftmax:
    """Cross-entropy over a batch's own targets and uniform negatives, shared by all its events.

    Each logit is lowered by the log of the probability that its item is in the set (Bengio and
    Senécal 2008), without which popular items, being often targets, would be punished too often;
    an event's own target is always there and is left as it is, apart from that same correction.

    Parameters
    ----------
    n_negatives : int
        Uniform items drawn for each batch, with replacement.
    target_counts : int64 (V,)
        How often each item is a target in an epoch.
    generator : Generator
        Draws them.
    """

    def __init__(self, n_negatives: int, target_counts: Tensor, generator: torch.Generator) -> None:
        self._n_negatives = n_negatives
        self._share = target_counts / target_counts.sum()  # V
        self._generator = generator

    def __call__(self, hidden: Tensor, vectors: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of hidden (P, D) against drawn rows of vectors (V, D), targets int64 (P,)."""
        n_items = vectors.shape[0]
        drawn = torch.randint(
            n_items, (self._n_negatives,), generator=self._generator, device=targets.device
        )
        items, place = torch.unique(torch.cat([targets, drawn]), return_inverse=True)  # S
        logits = hidden @ functional.embedding(items, vectors).t()  # P, S
        logits = logits - self.log_inclusion(items, n_targets=targets.numel(), n_items=n_items)
        return functional.cross_entropy(logits, place[: targets.numel()])

    def log_inclusion(self, items: Tensor, *, n_targets: int, n_items: int) -> Tensor:
        """Log of the probability (S,) that an item is among a batch's targets or negatives."""
        share = self._share.to(items.device, torch.float64)[items]
        log_missing = n_targets * torch.log1p(-share.clamp_max(1 - 1e-12))
        log_missing = log_missing + self._n_negatives * torch.log1p(
            torch.tensor(-1 / max(n_items, 2), dtype=torch.float64)
        )
        return torch.log(-torch.expm1(log_missing)).float()
