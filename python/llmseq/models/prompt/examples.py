"""From questions to tokens, and which of the tokens a model learns to say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from llmseq.models.prompt.config import PromptConfig
    from llmseq.models.prompt.layout import Layout
    from llmseq.models.prompt.tasks import Question
    from llmseq.models.prompt.trie import Trie
    from llmseq.types import ItemArray

Branches = list[tuple[int, "ItemArray"]]


@dataclass(frozen=True, eq=False, slots=True)
class Example:
    """Tokens that go through the model once.

    Parameters
    ----------
    tokens
        Prompt and answer, as far as something is learnt from them.
    places
        Where a token is to be said: the place of the token before it.
    targets
        The token that is right there.
    allowed
        For each place the tokens that it is compared with, rising; None: all there are.
    n_titles
        Titles that are learnt.
    """

    tokens: list[int]
    places: list[int]
    targets: list[int]
    allowed: list[ItemArray | None]
    n_titles: int

    def __len__(self) -> int:
        return len(self.tokens)


class ExampleMaker:
    """Makes examples of one layout.

    Parameters
    ----------
    layout : Layout
    config : PromptConfig
    """

    def __init__(self, layout: Layout, config: PromptConfig) -> None:
        self._layout = layout
        self._task = config.task
        self._by_trie = config.training.loss == "trie"
        self._every = config.training.learn_from == "every"
        self._known: dict[int, Branches] = {}  # of titles among all titles

    def length(self, question: Question) -> int:
        """Tokens of an example, roughly: what batches are put together by."""
        named, line = self._layout.named.tokens, sum(map(len, self._layout.line))
        told = question.history[-self._layout.max_history :]
        if question.choices is not None and "choices" in self._layout.parts:
            told = np.append(told, question.choices)
        fixed = sum(len(part) for part in self._layout.parts if not isinstance(part, str))
        answers = question.answer if self._task == "genlist" else question.answer[:1]
        told_tokens = sum(len(named[item]) + line for item in told.tolist())
        return min(fixed + told_tokens, self._layout.max_tokens) + sum(
            len(named[item]) + 2 for item in answers.tolist()
        )

    def make(self, question: Question) -> Example:
        """Make the example of a question."""
        if self._every and question.choices is None:
            return self._whole_session(question)
        shown = () if question.choices is None else question.choices.tolist()
        made = _Growing(self._layout.prompt(question.history.tolist(), shown))
        answers = self._layout.answers
        if not self._by_trie:
            self._write(made, question.answer.tolist())
            return made.example()
        if question.choices is not None:
            offered = np.zeros(answers.row.size, dtype=np.bool_)
            offered[question.choices] = True
            trie = answers.trie.subset(answers.rows_of(offered))
            row = int(answers.row[question.answer[0]])
            made.learn(trie.tokens[row], trie.branches(row))
            return made.example()
        left = np.ones(len(answers.items), dtype=np.bool_)
        for place, item in enumerate(question.answer.tolist()):
            row = int(answers.row[item])
            if not left[row]:
                continue  # the title of an item that is listed already
            branches = (
                self._branches(answers.trie, row)
                if place == 0
                else answers.trie.subset(left).branches(row)
            )
            made.learn(answers.trie.tokens[row], branches)
            left[row] = False
            if self._task != "genlist":
                break
            made.say_rest([*answers.tokens[item], answers.end])
            made.say(self._layout.between[1:])
        return made.example()

    def _whole_session(self, question: Question) -> Example:
        """Learn every title of a session but the first; needs `Layout.lines_are_answers`."""
        layout, answers = self._layout, self._layout.answers
        items = [
            item
            for item in [*question.history.tolist(), int(question.answer[0])]
            if answers.row[item] >= 0
        ][-layout.max_history - 1 :]
        made = _Growing(layout.prompt(items[:1]))
        for item in items[1:]:
            row = int(answers.row[item])
            if self._by_trie:
                made.learn(answers.trie.tokens[row], self._branches(answers.trie, row))
                made.say_rest([*answers.tokens[item], answers.end])
            else:
                made.learn_all([*answers.tokens[item], answers.end])
            made.say([*layout.line[1][1:], *layout.line[0]])
            if len(made.tokens) > layout.max_tokens:
                break
        return made.example()

    def _write(self, made: _Growing, items: list[int]) -> None:
        """Learn an answer as text, every token of it."""
        answers, more = self._layout.answers, self._layout.between
        listed = items if self._task != "genitem" else items[:1]
        for place, item in enumerate(listed):
            if place:
                made.learn_all(list(more[1:]), titles=0)
            made.learn_all([*answers.tokens[item], answers.end])

    def _branches(self, trie: Trie, row: int) -> Branches:
        if row not in self._known:
            self._known[row] = trie.branches(row)
        return self._known[row]


class _Growing:
    """An example under construction."""

    def __init__(self, prompt: list[int]) -> None:
        self.tokens = prompt
        self._start = len(prompt)  # of the title that is being said
        self._places: list[int] = []
        self._targets: list[int] = []
        self._allowed: list[ItemArray | None] = []
        self._n_titles = 0

    def say(self, tokens: tuple[int, ...] | list[int]) -> None:
        """Add tokens that nothing is learnt from; a title follows."""
        self.tokens += tokens
        self._start = len(self.tokens)

    def learn(self, title: ItemArray, branches: Branches) -> None:
        """Add a title as far as it has a choice."""
        self._n_titles += 1
        for depth, allowed in branches:
            self._places.append(self._start + depth - 1)
            self._targets.append(int(title[depth]))
            self._allowed.append(allowed)
        if branches:
            self.tokens += title[: branches[-1][0]].tolist()

    def say_rest(self, title: list[int]) -> None:
        """Finish the title that was learnt, its end included."""
        self.tokens += title[len(self.tokens) - self._start :]

    def learn_all(self, tokens: list[int], *, titles: int = 1) -> None:
        """Add tokens that are all learnt, among all tokens."""
        self._n_titles += titles
        for token in tokens:
            self._places.append(len(self.tokens) - 1)
            self._targets.append(token)
            self._allowed.append(None)
            self.tokens.append(token)

    def example(self) -> Example:
        """Finish: tokens that nothing is said after are left out."""
        last = max(self._places, default=len(self.tokens) - 1) + 1
        return Example(
            self.tokens[:last],
            self._places,
            self._targets,
            self._allowed,
            self._n_titles,
        )
