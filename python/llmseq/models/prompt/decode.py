"""Constrained decoding: the best titles of a trie, by beam search with one cache a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from llmseq.models.prompt.tree import TokenTrees
from llmseq.models.prompt.trie import Node, Trie

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from llmseq.models.prompt.language_model import LanguageModel
    from llmseq.types import ItemArray

Found = list[tuple[float, int]]
"""Titles of one prompt, best first: log-likelihood and row."""


@dataclass(frozen=True, slots=True)
class _Beam:
    """A way down the trie: where it is, its log-likelihood, and the last token in the cache."""

    node: Node
    score: float
    n_choices: int
    token: int
    fed: int  # tokens of the path that are in the cache


class OutputTokens:
    """Log-likelihoods among allowed tokens, of the tokens that titles use.

    Parameters
    ----------
    lm : LanguageModel
    trie : Trie
        Any subset of it can be decoded.
    """

    def __init__(self, lm: LanguageModel, trie: Trie) -> None:
        self._lm = lm
        self.tokens = trie.used_tokens()
        self._rows = lm.output_rows(self.tokens)

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of every used token, float32 (n, V)."""
        return self._lm.logits(hidden, self._rows)

    def places(self, tokens: ItemArray) -> ItemArray:
        """Columns of tokens, int32."""
        return np.searchsorted(self.tokens, tokens).astype(np.int32)


def beam_search(
    lm: LanguageModel,
    output: OutputTokens,
    prompts: Sequence[Sequence[int]],
    tries: Sequence[Trie],
    n_beams: int,
    *,
    length_power: float = 0.0,
) -> list[Found]:
    """Find each prompt's likeliest titles.

    The likelihood of a title is the product, over its tokens, end included, of each token's
    likelihood among those that go on to a title of the trie. It only falls on the way down, so the
    search ends when no beam is better than the ``n_beams`` titles found. With as many beams as
    titles nothing is left out: the result is that of scoring every title.

    Parameters
    ----------
    prompts
        Tokens, decoded together; best of like length.
    tries
        What may come out, for each prompt.
    n_beams
        Beams, and titles found at most; fewer where the trie has fewer.
    length_power
        Log-likelihoods are divided by (number of choices on the way) to this power, at the end:
        the search itself goes by the likelihood.

    Returns
    -------
    list
        For each prompt (score, row), best first; equal scores: lower row first.
    """
    trees = TokenTrees(lm, prompts)
    return search(trees, output, tries, n_beams, length_power=length_power, shrink=True)


def search(
    trees: TokenTrees,
    output: OutputTokens,
    tries: Sequence[Trie],
    n_beams: int,
    *,
    length_power: float = 0.0,
    shrink: bool = False,
) -> list[Found]:
    """Do what `beam_search` says from where trees stand.

    With ``shrink`` trees that are done are taken out, and the trees are of no use afterwards.
    """
    done: list[list[tuple[float, int, int]]] = [[] for _ in tries]
    live: list[list[_Beam]] = [[] for _ in tries]
    for row, (trie, root) in enumerate(zip(tries, trees.roots, strict=True)):
        if trie.rows.size == 1:  # it is certain
            done[row].append((0.0, int(trie.rows[0]), 0))
        elif trie.rows.size:
            live[row].append(_Beam(trie.root, 0.0, 0, int(root), 0))
    rows = list(range(len(tries)))  # of the trees
    while True:
        still = [tree for tree, row in enumerate(rows) if live[row]]
        if not still:
            break
        if shrink and len(still) < len(rows):
            trees.keep(np.array(still))
            rows = [rows[tree] for tree in still]
        hidden, owners = _feed(trees, [live[row] for row in rows], [tries[row] for row in rows])
        allowed = [tries[rows[tree]].choices(beam.node) for tree, beam in owners]
        values = _log_likelihoods(output, hidden, [tokens for tokens, _, _ in allowed])
        for row in rows:
            live[row] = []
        for (tree, beam), (_, lows, highs), logs in zip(owners, allowed, values, strict=True):
            row, trie = rows[tree], tries[rows[tree]]
            totals = beam.score + logs
            for child in _best(totals, n_beams):
                node = Node(int(lows[child]), int(highs[child]), beam.node.depth + 1)
                total, n_choices = float(totals[child]), beam.n_choices + 1
                if node.n_titles == 1:
                    done[row].append((total, int(trie.rows[node.low]), n_choices))
                else:
                    below = trie.skip(node)
                    live[row].append(_Beam(below, total, n_choices, beam.token, beam.fed))
        for row in rows:
            done[row] = sorted(done[row], key=lambda entry: (-entry[0], entry[1]))[:n_beams]
            worst = done[row][-1][0] if len(done[row]) == n_beams else -np.inf
            best = sorted(live[row], key=lambda beam: (-beam.score, beam.node.low))[:n_beams]
            live[row] = [beam for beam in best if beam.score > worst]
    return [
        sorted(
            ((score / max(choices, 1) ** length_power, row) for score, row, choices in found),
            key=lambda pair: (-pair[0], pair[1]),
        )
        for found in done
    ]


def _best(values: np.ndarray, n: int) -> Iterator[int]:
    """Places of the highest values, equal ones from the left."""
    yield from np.argsort(-values, kind="stable")[:n].tolist()


def _feed(
    trees: TokenTrees, live: list[list[_Beam]], tries: list[Trie]
) -> tuple[Tensor, list[tuple[int, _Beam]]]:
    """Put the tokens into the cache that lead to each beam's next choice.

    Returns the hidden states there (n, D) and whose they are: tree and beam. The beams of the live
    lists are replaced by those that know their last token.
    """
    parents: list[list[int]] = [[] for _ in live]
    tokens: list[list[int]] = [[] for _ in live]
    ends: list[tuple[int, int, _Beam]] = []
    first = trees.size
    for tree, (beams, trie) in enumerate(zip(live, tries, strict=True)):
        for beam in beams:
            path = trie.path(beam.node, beam.fed).tolist()
            last = beam.token
            for token in path:
                parents[tree].append(last)
                tokens[tree].append(token)
                last = first + len(tokens[tree]) - 1
            ends.append(
                (tree, last, _Beam(beam.node, beam.score, beam.n_choices, last, beam.node.depth))
            )
    owners = [(tree, beam) for tree, _, beam in ends]
    where = torch.tensor([tree for tree, _, _ in ends])
    if not any(tokens):
        return trees.root_hidden[where], owners
    _, hidden = trees.grow(parents, tokens)
    places = torch.tensor([last - first for _, last, _ in ends])
    taken = hidden[where, places.clamp(min=0)]
    roots = trees.root_hidden[where]
    return torch.where((places >= 0)[:, None].to(taken.device), taken, roots), owners


def _log_likelihoods(
    output: OutputTokens, hidden: Tensor, allowed: list[ItemArray]
) -> list[np.ndarray]:
    """Log-likelihoods among the allowed tokens, float64, for each hidden state."""
    with torch.no_grad():
        logits = output.logits(hidden).cpu().numpy()  # (n, V)
    found = []
    for row, tokens in zip(logits, allowed, strict=True):
        values = row[output.places(tokens)].astype(np.float64)
        values -= values.max()
        found.append(values - np.log(np.exp(values).sum()))
    return found


def in_batches(
    prompts: Sequence[Sequence[int]],
    tokens_per_batch: int,
    work: Callable[[list[int]], None],
    told: Callable[[float], None] | None = None,
    *,
    grown: int = 0,
) -> None:
    """Do a piece of work for prompts of like length together.

    Parameters
    ----------
    tokens_per_batch
        Prompts are put together until their number times the longest, with what grows behind it,
        would exceed it.
    work
        Takes the places of a batch's prompts.
    told
        Takes the share done.
    grown
        Tokens that grow behind each prompt, roughly.
    """
    lengths = [len(prompt) + grown for prompt in prompts]
    order = sorted(range(len(prompts)), key=lengths.__getitem__)
    done = start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and lengths[order[end]] * (end + 1 - start) <= tokens_per_batch:
            end += 1
        work(order[start:end])
        done += end - start
        start = end
        if told is not None:
            told(done / len(order))
