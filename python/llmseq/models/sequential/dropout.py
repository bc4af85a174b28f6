"""Dropout whose random bits come in bulk: torch's own draws a float for each element."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LEVELS = 1 << 16  # 16 random bits an element: the share dropped is exact to 1/65,536


class Dropout(nn.Module):
    """Set elements to zero with a given probability and scale up the others; off in `eval`.

    Parameters
    ----------
    share : float
        Probability of zero, from 0 to below 1.
    generator : Generator
        Source of the bits, on the device of the input. Only training needs it.
    """

    def __init__(self, share: float, generator: torch.Generator) -> None:
        super().__init__()
        self.threshold = round(share * _LEVELS)
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements of any shape."""
        if not self.training or self.threshold == 0:
            return x
        scale = _LEVELS / (_LEVELS - self.threshold)
        return x * (self._bits(x) >= self.threshold - _LEVELS // 2).to(x.dtype).mul_(scale)

    def _bits(self, x: Tensor) -> Tensor:
        words = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device)
        words.random_(-(2**63), None, generator=self.generator)
        return words.view(torch.int16)[: x.numel()].view(x.shape)
