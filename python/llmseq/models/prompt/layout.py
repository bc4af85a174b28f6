"""A template cut into tokens: what stands around titles, so that prompts are put together fast."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmseq.errors import ConfigError
from llmseq.models.prompt.titles import TokenTitles, tokenise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmseq.models.prompt.config import PromptConfig
    from llmseq.models.prompt.language_model import LanguageModel
    from llmseq.models.prompt.titles import Titles

_PLACES = re.compile(r"(\{history\}|\{choices\})")


@dataclass(frozen=True, eq=False, slots=True)
class Layout:
    """How a prompt is put together.

    Parameters
    ----------
    parts
        Tokens of the text, with "history" and "choices" in their places.
    line
        Tokens before and after a title of a line.
    between
        Tokens after a title of the answer when another follows; the first of them ends it.
    named, answers
        Titles as they stand in lines and in the answer.
    max_tokens
        Of a whole prompt.
    max_history
        Items of a history.
    """

    parts: tuple[tuple[int, ...] | str, ...]
    line: tuple[tuple[int, ...], tuple[int, ...]]
    between: tuple[int, ...]
    named: TokenTitles
    answers: TokenTitles
    max_tokens: int
    max_history: int

    @classmethod
    def make(cls, lm: LanguageModel, config: PromptConfig, titles: Titles, *, k: int) -> Layout:
        """Cut a template and tokenise the titles for it.

        Parameters
        ----------
        k
            What ``{k}`` says.

        Raises
        ------
        ConfigError
            If the model has no chat template but the form is chat, or the budget of tokens has no
            room for one title.
        """
        if config.form == "chat":
            text, line, answer = _chat_text(lm, config)
            parts = [lm.encode_form(part) for part in _split(text, k)]
        else:
            form = config.wording.plain
            text, line, answer = form.text, form.line, form.answer
            parts = [lm.encode_form(part) for part in _split(text, k)]
            parts[0] = [*lm.beginning(), *parts[0]]
        names = _PLACES.findall(text)
        mixed: list[tuple[int, ...] | str] = [tuple(parts[0])]
        for name, part in zip(names, parts[1:], strict=True):
            mixed += [name.strip("{}"), tuple(part)]
        before, lead, after = _around(line)
        answer_before, answer_lead, answer_after = _around(answer)
        if answer_before:
            raise ConfigError(
                f'template: the answer starts with "{answer_before}"; put it at the end of the text'
            )
        between = tuple(lm.encode_form(answer_after))
        limit = config.max_title_tokens
        made = cls(
            tuple(mixed),
            (tuple(lm.encode_form(before)), tuple(lm.encode_form(after))),
            between,
            tokenise(lm, titles, lead=lead, end=between[0], max_tokens=limit),
            tokenise(lm, titles, lead=answer_lead, end=between[0], max_tokens=limit),
            config.max_prompt_tokens,
            config.max_history,
        )
        made._check_budget(config)
        return made

    @property
    def lines_are_answers(self) -> bool:
        """Whether a line of the history is written as an answer after the text is.

        Then every item of a session can be learnt from in one pass.
        """
        last = self.parts[-1]
        before, after = self.line
        return (
            self.parts[-2] == "history"
            and last == before
            and after[:1] == self.between[:1]
            and self.named.tokens == self.answers.tokens
        )

    def prompt(self, history: Sequence[int], choices: Sequence[int] = ()) -> list[int]:
        """Tokens of a prompt; the oldest items are left out where the budget is too small."""
        lines = self._history(history, self._room(choices))
        tokens: list[int] = []
        for part in self.parts:
            if part == "history":
                tokens += [token for line in lines for token in line]
            elif part == "choices":
                tokens += [token for item in choices for token in self._line(item)]
            elif not isinstance(part, str):
                tokens += part
        return tokens

    def _room(self, choices: Sequence[int]) -> int:
        fixed = sum(len(part) for part in self.parts if not isinstance(part, str))
        if "choices" in self.parts:
            fixed += sum(len(self._line(item)) for item in choices)
        return self.max_tokens - fixed

    def _history(self, items: Sequence[int], room: int) -> list[list[int]]:
        """Give the lines of the newest items that there is room for, oldest first."""
        lines: list[list[int]] = []
        for item in reversed(items):
            if not self.named.tokens[item]:
                continue
            line = self._line(item)
            room -= len(line)
            if room < 0 or len(lines) == self.max_history:
                break
            lines.append(line)
        return lines[::-1]

    def _line(self, item: int) -> list[int]:
        before, after = self.line
        return [*before, *self.named.tokens[item], *after]

    def _check_budget(self, config: PromptConfig) -> None:
        longest = max(len(title) for title in self.named.tokens)
        line = longest + sum(len(part) for part in self.line)
        wanted = line
        if "choices" in self.parts:
            wanted += line * (config.n_choices if config.task == "rank" else config.n_clusters)
        room = self._room(())
        if wanted > room:
            raise ConfigError(
                f"max_prompt_tokens = {self.max_tokens} leaves {room} tokens for titles, but one "
                f"line of the history{' and the choices' if wanted > line else ''} can take "
                f"{wanted}: raise max_prompt_tokens to {self.max_tokens - room + wanted}, or lower "
                f"max_title_tokens (now {config.max_title_tokens})"
            )


def _split(text: str, k: int) -> list[str]:
    """Texts around the places of history and choices, the other braces resolved."""
    return [
        part.replace("{k}", str(k)).replace("{{", "{").replace("}}", "}")
        for part in _PLACES.split(text)[::2]
    ]


def _around(line: str) -> tuple[str, str, str]:
    """Text before a title, the space that belongs to the title, and the text after it.

    Tokenisers glue a space to the word that follows it.
    """
    before, after = line.replace("{{", "{").replace("}}", "}").split("{title}")
    return (before[:-1], " ", after) if before.endswith(" ") else (before, "", after)


def messages(config: PromptConfig, user: str) -> list[dict[str, str]]:
    """Messages of a chat, the system's left out if it is empty."""
    system = config.wording.chat.system
    first = [{"role": "system", "content": system}] if system else []
    return [*first, {"role": "user", "content": user}]


def _chat_text(lm: LanguageModel, config: PromptConfig) -> tuple[str, str, str]:
    """Render the chat template around the places of a prompt; returns text, line and answer."""
    if lm.tokenizer.chat_template is None:
        raise ConfigError(
            f'{lm.base.name} has no chat template: set form = "plain", or take a model that was '
            "trained to chat"
        )
    form = config.wording.chat
    asked = _render(lm, messages(config, form.user), more=True)
    told = [*messages(config, form.user), {"role": "assistant", "content": "{title}"}]
    whole = _render(lm, told, more=False)
    tail = whole.rpartition("{title}")[2]
    if not tail.strip():
        tail = lm.tokenizer.eos_token
    after = form.answer.partition("{title}")[2]
    return asked, form.line, f"{{title}}{after or tail.strip()}"


def _render(lm: LanguageModel, chat: list[dict[str, str]], *, more: bool) -> str:
    from jinja2 import TemplateError

    try:
        text: str = lm.tokenizer.apply_chat_template(
            chat, tokenize=False, add_generation_prompt=more
        )
    except TemplateError as error:
        raise ConfigError(
            f"{lm.base.name}: its chat template refuses the messages ({error}); "
            "templates without system take an empty system message"
        ) from error
    return text
