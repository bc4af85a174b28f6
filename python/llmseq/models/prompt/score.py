"""Exact log-likelihoods of given titles after a prompt, all in one pass over their tree."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch

from llmseq.models.prompt.tree import TokenTrees

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from llmseq.models.prompt.decode import OutputTokens
    from llmseq.models.prompt.language_model import LanguageModel
    from llmseq.models.prompt.trie import Trie


_TOKENS = 4096  # of the vocabulary, whose scores are held at once


def score_titles(
    lm: LanguageModel,
    output: OutputTokens,
    prompts: Sequence[Sequence[int]],
    tries: Sequence[Trie],
    rows: Sequence[Sequence[int]],
) -> list[NDArray[np.float64]]:
    """Give the log-likelihood of titles among those of a trie, as `beam_search` would.

    The prompt goes through the model once, and so does each beginning that titles share; tokens
    without a choice behind the last one are left out.

    Parameters
    ----------
    tries
        For each prompt the titles that a likelihood is shared among.
    rows
        For each prompt the titles to score, each a row of its trie.
    """
    wanted = [_paths(trie, chosen) for trie, chosen in zip(tries, rows, strict=True)]
    made = _Grown(lm, prompts, [[path for path, _ in paths] for paths in wanted])
    ends: list[tuple[int, int]] = []
    choices = []
    for tree, paths in enumerate(wanted):
        for path, branches in paths:
            for depth, allowed, token in branches:
                ends.append((tree, made.place(tree, path[:depth])))
                choices.append((output.places(allowed), int(np.searchsorted(allowed, token))))
    values = iter(_chosen(output, made, ends, choices))
    return [
        np.array([sum(next(values) for _ in branches) for _, branches in paths], dtype=np.float64)
        for paths in wanted
    ]


def score_tokens(
    lm: LanguageModel, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[Sequence[int]]]
) -> list[NDArray[np.float64]]:
    """Give the log-likelihood of token lists among everything that the model could say.

    Parameters
    ----------
    answers
        For each prompt the token lists to score, the end included, none empty.
    """
    made = _Grown(lm, prompts, [[tuple(answer[:-1]) for answer in some] for some in answers])
    found = []
    for tree, some in enumerate(answers):
        places = [made.place(tree, tuple(a[:depth])) for a in some for depth in range(len(a))]
        tokens = torch.tensor([token for answer in some for token in answer], device=lm.device)
        logs = _among_all(lm, made.hidden(tree, places), tokens)
        ends = np.cumsum([0, *(len(answer) for answer in some)]).tolist()
        found.append(np.array([logs[start:end].sum() for start, end in pairwise(ends)]))
    return found


def _among_all(
    lm: LanguageModel, hidden: torch.Tensor, tokens: torch.Tensor
) -> NDArray[np.float64]:
    """Log-likelihood of each token among all there are, float64 (n,).

    A piece of the vocabulary at a time, for all places: its rows are read once, and its scores are
    summed up while they are in the CPU's cache.
    """
    weight, bias = lm.output_rows()
    right = torch.empty(len(tokens), dtype=torch.float32, device=lm.device)
    among = torch.full_like(right, -torch.inf)
    with torch.no_grad():
        for start in range(0, len(weight), _TOKENS):
            piece = slice(start, start + _TOKENS)
            rows = weight[piece], None if bias is None else bias[piece]
            logits = lm.logits(hidden, rows)  # (n, V)
            among = torch.logaddexp(among, logits.logsumexp(dim=1))
            inside = ((tokens >= start) & (tokens < start + _TOKENS)).nonzero()[:, 0]
            right[inside] = logits[inside, tokens[inside] - start]
    found: NDArray[np.float64] = (right - among).double().cpu().numpy()
    return found


class _Grown:
    """Trees that hold every beginning of the given token paths once."""

    def __init__(
        self,
        lm: LanguageModel,
        prompts: Sequence[Sequence[int]],
        paths: Sequence[Sequence[tuple[int, ...]]],
    ) -> None:
        trees = TokenTrees(lm, prompts)
        first = trees.size
        self._root_hidden = trees.root_hidden
        self._places: list[dict[tuple[int, ...], int]] = []
        parents: list[list[int]] = []
        tokens: list[list[int]] = []
        for root, some in zip(trees.roots, paths, strict=True):
            known: dict[tuple[int, ...], int] = {(): -1}
            above: list[int] = []
            new: list[int] = []
            for path in some:
                for depth, token in enumerate(path):
                    if path[: depth + 1] not in known:
                        parent = known[path[:depth]]
                        above.append(int(root) if parent < 0 else first + parent)
                        known[path[: depth + 1]] = len(new)
                        new.append(token)
            self._places.append(known)
            parents.append(above)
            tokens.append(new)
        self._hidden = trees.grow(parents, tokens)[1] if any(tokens) else None

    def place(self, tree: int, path: tuple[int, ...]) -> int:
        """Where the hidden state behind a path is; −1 behind the prompt."""
        return self._places[tree][path]

    def hidden(self, tree: int | list[int], places: list[int]) -> torch.Tensor:
        """Hidden states of places (n, D)."""
        which = torch.tensor([tree] * len(places) if isinstance(tree, int) else tree)
        where = torch.tensor(places)
        roots = self._root_hidden[which]
        if self._hidden is None:
            return roots
        inside = self._hidden[which, where.clamp(min=0)]
        return torch.where((where >= 0)[:, None].to(roots.device), inside, roots)


def _paths(
    trie: Trie, rows: Sequence[int]
) -> list[tuple[tuple[int, ...], list[tuple[int, NDArray[np.int32], int]]]]:
    """For each title its tokens down to the last choice, and its choices: depth, allowed, taken."""
    found = []
    for row in rows:
        branches = [
            (depth, allowed, int(trie.tokens[row, depth])) for depth, allowed in trie.branches(row)
        ]
        last = branches[-1][0] if branches else 0
        found.append((tuple(trie.tokens[row, :last].tolist()), branches))
    return found


def _chosen(
    output: OutputTokens,
    made: _Grown,
    ends: list[tuple[int, int]],
    choices: list[tuple[NDArray[np.int32], int]],
) -> list[float]:
    """Log-likelihood of each choice that was taken."""
    if not ends:
        return []
    hidden = made.hidden([tree for tree, _ in ends], [place for _, place in ends])
    with torch.no_grad():
        logits = output.logits(hidden).cpu().numpy()
    found = []
    for row, (columns, taken) in zip(logits, choices, strict=True):
        values = row[columns].astype(np.float64)
        values -= values.max()
        found.append(float(values[taken] - np.log(np.exp(values).sum())))
    return found
