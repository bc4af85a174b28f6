"""The loss of a batch: only places where something is learnt reach the output layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from llmseq.models.prompt.language_model import causal, padded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmseq.models.prompt.decode import OutputTokens
    from llmseq.models.prompt.examples import Example
    from llmseq.models.prompt.language_model import LanguageModel

_MULTIPLE = 8
_CHUNK = 128  # places whose scores of the whole vocabulary are held at once


def batch_loss(lm: LanguageModel, output: OutputTokens, batch: Sequence[Example]) -> Tensor:
    """Negative log-likelihood: a title's mean among allowed tokens, else a token's mean.

    Parameters
    ----------
    output
        The tokens that titles use.
    batch
        Examples of one kind: all with allowed tokens, or all without.
    """
    # Few different widths: for each new one the CPU's products are compiled, and kept.
    tokens = padded(
        [example.tokens for example in batch], lm.device, multiple_of=_MULTIPLE
    )  # (B, L)
    hidden = lm.hidden(*causal(tokens, [len(example) for example in batch]))  # (B, L, D)
    rows = [row for row, example in enumerate(batch) for _ in example.places]
    places = [place for example in batch for place in example.places]
    if not places:
        return hidden.sum() * 0.0
    chosen = hidden[torch.tensor(rows), torch.tensor(places)]  # (n, D)
    targets = [target for example in batch for target in example.targets]
    allowed = [some for example in batch for some in example.allowed]
    if allowed[0] is None:
        return _among_all(lm, chosen, torch.tensor(targets, device=lm.device)) / len(targets)
    n_titles = sum(example.n_titles for example in batch)
    return _among_allowed(output, chosen, targets, [a for a in allowed if a is not None]) / n_titles


def _among_allowed(
    output: OutputTokens, hidden: Tensor, targets: list[int], allowed: list[np.ndarray]
) -> Tensor:
    logits = output.logits(hidden)  # (n, V)
    columns = torch.from_numpy(output.places(np.concatenate(allowed)).astype(np.int64)).to(
        hidden.device
    )
    rows = torch.from_numpy(
        np.repeat(np.arange(len(allowed)), [tokens.size for tokens in allowed])
    ).to(hidden.device)
    shut = torch.ones(logits.shape, dtype=torch.bool, device=hidden.device)
    shut[rows, columns] = False
    right = torch.from_numpy(output.places(np.array(targets)).astype(np.int64)).to(hidden.device)
    among = logits.masked_fill(shut, -torch.inf).logsumexp(dim=1)
    return (among - logits.gather(1, right[:, None])[:, 0]).sum()


def _among_all(lm: LanguageModel, hidden: Tensor, targets: Tensor) -> Tensor:
    weights = lm.output_rows()

    def part(some: Tensor, right: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(lm.logits(some, weights), right, reduction="sum")

    total = hidden.new_zeros((), dtype=torch.float32)
    for start in range(0, len(targets), _CHUNK):
        piece = slice(start, start + _CHUNK)
        total = total + checkpoint(part, hidden[piece], targets[piece], use_reentrant=False)
    return total
