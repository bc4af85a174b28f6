"""Prompts as chat messages in plain text: for export and for hosted models, without a tokeniser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmseq.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmseq.models.prompt.config import PromptConfig
    from llmseq.models.prompt.tasks import Question
    from llmseq.models.prompt.titles import Titles

LETTERS_A_TOKEN = 4
"""How token budgets count where the model's own tokeniser is not here."""


@dataclass(frozen=True, eq=False, slots=True)
class ChatWriter:
    """Writes prompts and answers.

    Parameters
    ----------
    config : PromptConfig
        Budgets of tokens count as four letters each.
    texts
        Titles by item index, the long ones cut.
    n_cut
        Titles that were cut.
    """

    config: PromptConfig
    texts: tuple[str | None, ...]
    n_cut: int

    @classmethod
    def of(cls, config: PromptConfig, titles: Titles) -> ChatWriter:
        """Cut the titles.

        Raises
        ------
        ConfigError
            If the budget has no room for the longest title.
        """
        limit = config.max_title_tokens * LETTERS_A_TOKEN
        texts = tuple(None if t is None else t[:limit].rstrip() for t in titles.texts)
        longest = max(len(text) for text in texts if text is not None)
        made = cls(config, texts, sum(t is not None and len(t) > limit for t in titles.texts))
        room = made._room(())
        if longest + len(config.wording.chat.line) > room:
            raise ConfigError(
                f"max_prompt_tokens = {config.max_prompt_tokens} leaves {max(room, 0)} letters for "
                f"titles, but one title has {longest}: raise it, or lower max_title_tokens (now "
                f"{config.max_title_tokens})"
            )
        return made

    def messages(self, history: Sequence[int], choices: Sequence[int] = ()) -> list[dict[str, str]]:
        """Messages of a prompt, the oldest items left out where the budget is too small."""
        form = self.config.wording.chat
        room, lines = self._room(choices), list[str]()
        for item in reversed(history):
            if self.texts[item] is None:
                continue
            line = self._line(item)
            room -= len(line)
            if room < 0 or len(lines) == self.config.max_history:
                break
            lines.append(line)
        user = form.user.format(
            history="".join(reversed(lines)),
            choices="".join(self._line(item) for item in choices),
            k=self.config.decoding.n_beams,
        )
        first = [{"role": "system", "content": form.system}] if form.system else []
        return [*first, {"role": "user", "content": user}]

    def answer(self, items: Sequence[int]) -> str:
        """Text of an answer."""
        form = self.config.wording.chat.answer
        return "".join(form.format(title=self.texts[item]) for item in items).rstrip("\n")

    def pairs(self, questions: Sequence[Question]) -> Iterator[dict[str, list[dict[str, str]]]]:
        """Training pairs in the form that hosted fine-tuning takes."""
        for question in questions:
            shown = () if question.choices is None else question.choices.tolist()
            told = self.messages(question.history.tolist(), shown)
            said = {"role": "assistant", "content": self.answer(question.answer.tolist())}
            yield {"messages": [*told, said]}

    def _line(self, item: int) -> str:
        return self.config.wording.chat.line.format(title=self.texts[item])

    def _room(self, choices: Sequence[int]) -> int:
        form = self.config.wording.chat
        fixed = len(form.system) + len(form.user)
        if "{choices}" in form.user:
            fixed += sum(len(self._line(item)) for item in choices)
        return self.config.max_prompt_tokens * LETTERS_A_TOKEN - fixed
