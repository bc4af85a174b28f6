"""What training minimises: from hidden states, item vectors and targets to one number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from llmseq.models.sequential.objectives.binary import BinaryCrossEntropy, gbce_weight
from llmseq.models.sequential.objectives.full import FullSoftmax
from llmseq.models.sequential.objectives.sampled import SampledSoftmax

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from llmseq.models.sequential.config import SequentialConfig


class Objective(Protocol):
    """A loss over the events of a batch."""

    def __call__(self, hidden: Tensor, vectors: Tensor, targets: Tensor) -> Tensor:
        """Mean loss, a scalar with gradients for ``hidden`` (P, D) and ``vectors`` (V, D)."""


def make_objective(
    config: SequentialConfig, target_counts: Tensor, generator: torch.Generator
) -> Objective:
    """Make the objective that the settings name.

    Parameters
    ----------
    config : SequentialConfig
    target_counts : int64 (V,)
        How often each item is a target in an epoch.
    generator : Generator
        Draws negatives.
    """
    match config.objective:
        case "full_softmax":
            return FullSoftmax(precision=config.precision)
        case "sampled_softmax":
            return SampledSoftmax(config.n_negatives, target_counts, generator)
        case "bce":
            return BinaryCrossEntropy(config.n_negatives, generator)
        case "gbce":
            weight = gbce_weight(config.n_negatives, target_counts.numel(), config.calibration)
            return BinaryCrossEntropy(config.n_negatives, generator, positive_weight=weight)
