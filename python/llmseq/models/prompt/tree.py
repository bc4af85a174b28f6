"""Continuations of a batch of prompts that grow like trees on the prompts' one cache.

Every continuation is a path in a tree whose root is the prompt's last token. A new token is one
more entry of its prompt's cache, and the attention mask says which entries are on its path: nothing
is ever copied, neither a prompt for its continuations nor a continuation that forks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from llmseq.models.prompt.language_model import causal, padded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from llmseq.models.prompt.language_model import LanguageModel


class TokenTrees:
    """One tree for each prompt.

    Parameters
    ----------
    lm : LanguageModel
    prompts : sequence of sequences of int
        Tokens, none of them empty. Best of like length: they are padded to the longest.

    Notes
    -----
    A token's name is its place in the cache. The root of tree b is ``roots[b]``.
    """

    def __init__(self, lm: LanguageModel, prompts: Sequence[Sequence[int]]) -> None:
        from transformers import DynamicCache

        self._lm = lm
        self._cache = DynamicCache()
        lengths = np.array([len(prompt) for prompt in prompts])
        tokens = padded(prompts, lm.device)  # (B, P)
        with torch.no_grad():
            hidden = lm.hidden(*causal(tokens, lengths.tolist()), self._cache)  # (B, P, D)
        width = tokens.shape[1]
        self.roots = lengths - 1
        self.root_hidden = hidden[
            torch.arange(len(prompts)), torch.from_numpy(self.roots)
        ]  # (B, D)
        self._positions = np.broadcast_to(np.arange(width), (len(prompts), width)).copy()
        # What a token sees, from the root on; a prompt's other tokens see no continuation.
        self._seen = np.zeros((len(prompts), width, width), dtype=np.bool_)
        for row, length in enumerate(lengths):
            self._seen[row, length - 1, :length] = True

    @property
    def size(self) -> int:
        """Name that the next new token of every tree gets."""
        return int(self._positions.shape[1])

    def grow(
        self, parents: Sequence[Sequence[int]], tokens: Sequence[Sequence[int]]
    ) -> tuple[int, Tensor]:
        """Put tokens behind others.

        Parameters
        ----------
        parents
            For each prompt the names of the tokens that the new ones follow; a new one may follow
            another new one before it.
        tokens
            For each prompt the new tokens.

        Returns
        -------
        int, float (B, n, D)
            The name of each prompt's first new token (the others follow), and the hidden states of
            the new tokens, padded.
        """
        n_trees, n_old = self._positions.shape
        new = padded(tokens, self._lm.device)  # (B, n)
        n_new = new.shape[1]
        positions = np.zeros((n_trees, n_old + n_new), dtype=np.int64)
        positions[:, :n_old] = self._positions
        seen = np.zeros((n_trees, n_old + n_new, n_old + n_new), dtype=np.bool_)
        seen[:, :n_old, :n_old] = self._seen
        for tree, above in enumerate(parents):
            for place, parent in enumerate(above, start=n_old):
                seen[tree, place] = seen[tree, parent]
                seen[tree, place, place] = True
                positions[tree, place] = positions[tree, parent] + 1
        with torch.no_grad():
            hidden = self._lm.hidden(
                new,
                _tensor(positions[:, n_old:], self._lm),
                _tensor(seen[:, n_old:], self._lm),
                _tensor(positions, self._lm),
                self._cache,
            )
        self._positions, self._seen = positions, seen
        return n_old, hidden

    def advance(self, tokens: Sequence[Sequence[int]]) -> None:
        """Put tokens behind every root; the last of them becomes the root."""
        first = self.size
        parents = [
            [int(root), *range(first, first + len(some) - 1)] if some else []
            for root, some in zip(self.roots, tokens, strict=True)
        ]
        if not any(tokens):
            return
        _, hidden = self.grow(parents, tokens)
        for tree, some in enumerate(tokens):
            if some:
                self.roots[tree] = first + len(some) - 1
                self.root_hidden[tree] = hidden[tree, len(some) - 1]

    def keep(self, trees: NDArray[np.integer]) -> None:
        """Go on with some of the trees only."""
        self._cache.batch_select_indices(torch.as_tensor(trees, device=self._lm.device))
        self._positions, self._seen = self._positions[trees], self._seen[trees]
        self.roots, self.root_hidden = self.roots[trees], self.root_hidden[torch.as_tensor(trees)]


def _tensor(array: NDArray[np.generic], lm: LanguageModel) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(lm.device)
