"""Lists from a model that runs here: constrained for each task, or sampled and matched."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from llmseq.models.prompt.decode import Found, OutputTokens, beam_search, in_batches, search
from llmseq.models.prompt.layout import Layout
from llmseq.models.prompt.match import Matcher, Written
from llmseq.models.prompt.sample import sample_completions
from llmseq.models.prompt.score import score_titles
from llmseq.models.prompt.tree import TokenTrees
from llmseq.storage import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmseq.models.prompt.config import PromptConfig
    from llmseq.models.prompt.language_model import LanguageModel
    from llmseq.models.prompt.titles import Titles
    from llmseq.models.prompt.trie import Trie
    from llmseq.types import BoolArray, ItemArray

_TOKENS_A_TITLE = 10  # that a beam or a choice puts behind a prompt, roughly

Listed = list[tuple[int, float]]
"""Items of one prompt, best first, and their scores, which never rise."""


class ListMaker:
    """Makes lists with a model, a layout and settings.

    Parameters
    ----------
    lm : LanguageModel
    layout : Layout
    titles : Titles
    config : PromptConfig
    """

    def __init__(
        self, lm: LanguageModel, layout: Layout, titles: Titles, config: PromptConfig
    ) -> None:
        self._lm = lm
        self.layout = layout
        self._titles = titles
        self._config = config
        self.output = OutputTokens(lm, layout.answers.trie)
        self._matcher: Matcher | None = None

    @classmethod
    def load(cls, lm: LanguageModel, titles: Titles, config: PromptConfig) -> ListMaker:
        """Make one with the layout that the settings say."""
        layout = Layout.make(lm, config, titles, k=config.decoding.n_beams)
        return cls(lm, layout, titles, config)

    def make(
        self,
        histories: Sequence[ItemArray],
        allowed: Sequence[BoolArray],
        choices: Sequence[ItemArray] | None = None,
        told: Callable[[float], None] | None = None,
    ) -> tuple[list[Listed], Written]:
        """Make a list for each history.

        Parameters
        ----------
        allowed
            Items that may be listed, all of them with a title.
        choices
            What is on offer, where the task has choices.
        told
            Takes the share done.

        Returns
        -------
        list, Written
            The lists, and what free decoding wrote.
        """
        shown = [() if choices is None else choices[row].tolist() for row in range(len(histories))]
        prompts = [
            self.layout.prompt(history.tolist(), offered)
            for history, offered in zip(histories, shown, strict=True)
        ]
        offered = [
            mask if choices is None else mask & _mask(choices[row], mask.size)
            for row, mask in enumerate(allowed)
        ]
        made: list[Listed] = [[] for _ in histories]
        written = Written()
        limit = self._config.decoding.tokens_per_batch
        grown = _TOKENS_A_TITLE * max(self._config.decoding.n_beams, self._config.n_choices)
        work: Callable[[list[int]], None]
        if self._config.decoding.method == "sampled":
            n_each = self._config.decoding.n_beams if self._config.task == "genitem" else 1

            def work(batch: list[int]) -> None:
                lists = self._sampled(batch, prompts, histories, offered, n_each, written)
                for row, listed in zip(batch, lists, strict=True):
                    made[row] = listed

            grown = n_each * self._config.max_title_tokens
        else:

            def work(batch: list[int]) -> None:
                lists = self._constrained(
                    [prompts[row] for row in batch], [offered[row] for row in batch]
                )
                for row, listed in zip(batch, lists, strict=True):
                    made[row] = listed

        in_batches(prompts, limit, work, told, grown=grown)
        return made, written

    def rerank(
        self,
        histories: Sequence[ItemArray],
        items: Sequence[ItemArray],
        told: Callable[[float], None] | None = None,
    ) -> list[Listed]:
        """Order given items by the likelihood of their titles among all titles."""
        answers = self.layout.answers
        prompts = [self.layout.prompt(history.tolist()) for history in histories]
        made: list[Listed] = [[] for _ in histories]

        def work(batch: list[int]) -> None:
            rows = [sorted({int(answers.row[item]) for item in items[row]}) for row in batch]
            tries = [answers.trie for _ in batch]
            scores = score_titles(
                self._lm, self.output, [prompts[row] for row in batch], tries, rows
            )
            for row, titles, values in zip(batch, rows, scores, strict=True):
                found = sorted(zip(values.tolist(), titles, strict=True), key=_best_first)
                made[row] = self._items(found, _mask(items[row], answers.row.size))

        limit = self._config.decoding.tokens_per_batch
        longest = max((len(some) for some in items), default=0)
        in_batches(prompts, limit, work, told, grown=_TOKENS_A_TITLE * longest)
        return made

    def _constrained(self, prompts: list[list[int]], allowed: list[BoolArray]) -> list[Listed]:
        decoding, answers = self._config.decoding, self.layout.answers
        tries = [answers.trie.subset(answers.rows_of(mask)) for mask in allowed]
        match self._config.task:
            case "genlist":
                return self._one_after_another(prompts, tries, allowed)
            case "rank":
                rows = [trie.rows.tolist() for trie in tries]
                scores = score_titles(self._lm, self.output, prompts, tries, rows)
                found = [
                    sorted(zip(values.tolist(), titles, strict=True), key=_best_first)
                    for values, titles in zip(scores, rows, strict=True)
                ]
            case _:
                found = beam_search(
                    self._lm,
                    self.output,
                    prompts,
                    tries,
                    decoding.n_beams,
                    length_power=decoding.length_power,
                )
        longest = self._config.n_choices if self._config.task == "rank" else decoding.n_beams
        return [
            self._items(some, mask)[:longest] for some, mask in zip(found, allowed, strict=True)
        ]

    def _one_after_another(
        self, prompts: list[list[int]], tries: list[Trie], allowed: list[BoolArray]
    ) -> list[Listed]:
        """GenList: each title by its own search, after the ones before it, which left the trie.

        A place's score is the log-likelihood of the list so far.
        """
        decoding, answers = self._config.decoding, self.layout.answers
        trees = TokenTrees(self._lm, prompts)
        rows: list[Found] = [[] for _ in prompts]
        lengths = np.zeros(len(prompts), dtype=np.int64)
        totals = [0.0] * len(prompts)
        for _ in range(decoding.n_beams):
            best = search(trees, self.output, tries, decoding.beams_per_title)
            said: list[list[int]] = []
            for tree, found in enumerate(best):
                if not found or lengths[tree] >= decoding.n_beams:
                    said.append([])
                    tries[tree] = tries[tree].subset(np.zeros(len(answers.items), dtype=np.bool_))
                    continue
                score, row = found[0]
                totals[tree] += score
                rows[tree].append((totals[tree], row))
                lengths[tree] += int(allowed[tree][answers.items[row]].sum())
                left = np.ones(len(answers.items), dtype=np.bool_)
                left[row] = False
                tries[tree] = tries[tree].subset(left)
                title = answers.trie.tokens[row]
                said.append([*title[title >= 0].tolist(), *self.layout.between[1:]])
            if not any(said):
                break
            trees.advance(said)
        return [
            self._items(found, mask)[: decoding.n_beams]
            for found, mask in zip(rows, allowed, strict=True)
        ]

    def _items(self, found: Found, allowed: BoolArray) -> Listed:
        """Titles to items; an item that shares a title follows the more popular one."""
        listed: Listed = []
        limit = np.float32(np.inf)
        lowest = -1  # item index of the last one, which an equal score may not go below
        for score, row in found:
            for item in self.layout.answers.items[row].tolist():
                if not allowed[item]:
                    continue
                value = min(np.float32(score), limit)
                if value == limit and item < lowest:
                    value = np.nextafter(limit, np.float32(-np.inf))
                listed.append((item, float(value)))
                limit, lowest = value, item
        return listed

    def _sampled(
        self,
        batch: list[int],
        prompts: Sequence[list[int]],
        histories: Sequence[ItemArray],
        allowed: Sequence[BoolArray],
        n_each: int,
        written: Written,
    ) -> list[Listed]:
        decoding, answers = self._config.decoding, self.layout.answers
        n_titles = 1 if n_each > 1 else decoding.n_beams
        title = self._config.max_title_tokens + 4
        texts = sample_completions(
            self._lm,
            [prompts[row] for row in batch],
            n_each,
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            max_tokens=title * n_titles,
            end=answers.end,
            n_titles=n_titles,
            seeds=[seed_of(self._config.seed, histories[row]) for row in batch],
        )
        if self._matcher is None:
            self._matcher = Matcher(self._titles, decoding.matcher, device=str(self._lm.device))
        said = [self._read(completions, n_titles) for completions in texts]
        self._matcher.prepare([text for some in said for text in some])
        return [
            ranked(self._matcher.fill(some, allowed[row], decoding.n_beams, written))
            for row, some in zip(batch, said, strict=True)
        ]

    def _read(self, completions: list[list[int]], n_titles: int) -> list[str]:
        """Texts of titles: of one completion in its order, of several the most frequent first."""
        pieces = [piece for tokens in completions for piece in self._pieces(tokens)[:n_titles]]
        texts = [self._text(piece) for piece in pieces]
        if n_titles > 1:
            return [text for text in texts if text]
        return most_frequent_first([text for text in texts if text])

    def _pieces(self, tokens: list[int]) -> list[list[int]]:
        """Cut a completion at the token that ends a title."""
        skip = list(self.layout.between[1:])
        pieces: list[list[int]] = [[]]
        for token in tokens:
            if token == self.layout.answers.end:
                pieces.append([])
            else:
                pieces[-1].append(token)
        return [
            piece[len(skip) :] if number and piece[: len(skip)] == skip else piece
            for number, piece in enumerate(pieces)
            if piece
        ]

    def _text(self, tokens: list[int]) -> str:
        """Say what a title's tokens mean: the whole title if they are those of a cut one."""
        trie, answers = self.layout.answers.trie, self.layout.answers
        width = trie.tokens.shape[1]
        if len(tokens) < width:
            row = np.full(width, -1, dtype=np.int32)
            row[: len(tokens) + 1] = [*tokens, answers.end]
            known = self._by_tokens.get(row.tobytes())
            if known is not None:
                return self._titles.texts[int(answers.items[known][0])] or ""
        text: str = self._lm.tokenizer.decode(tokens, skip_special_tokens=True)
        return text.strip()

    @cached_property
    def _by_tokens(self) -> dict[bytes, int]:
        """Row of each title by its tokens."""
        tokens = self.layout.answers.trie.tokens
        return {row.tobytes(): place for place, row in enumerate(tokens)}


def most_frequent_first(texts: Sequence[str]) -> list[str]:
    """Order completions by how often each was drawn; a text stands as often as it was drawn.

    Repeats come after all different texts: each of them is to be replaced.

    Examples
    --------
    >>> most_frequent_first(["a", "b", "b"])
    ['b', 'a', 'b']
    """
    counts: dict[str, int] = {}
    for text in texts:
        counts[text] = counts.get(text, 0) + 1
    order = sorted(counts, key=lambda text: -counts[text])
    return [*order, *(text for text in order for _ in range(counts[text] - 1))]


def ranked(items: Sequence[int]) -> Listed:
    """Give scores to items that only have an order: one over the rank."""
    return [(item, 1.0 / rank) for rank, item in enumerate(items, start=1)]


def seed_of(seed: int, history: ItemArray) -> int:
    """Seed of what is drawn for a prompt; it does not depend on other prompts."""
    return int(fingerprint(seed, np.asarray(history, dtype=np.int32))[:15], 16)


def _mask(items: ItemArray, n_items: int) -> BoolArray:
    mask = np.zeros(n_items, dtype=np.bool_)
    mask[items] = True
    return mask


def _best_first(pair: tuple[float, int]) -> tuple[float, int]:
    return -pair[0], pair[1]
