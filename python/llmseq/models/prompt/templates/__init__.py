"""What a prompt looks like: editable TOML, a plain and a chat form for each task."""

from __future__ import annotations

import string
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, model_validator

from llmseq.config import Config
from llmseq.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

Task = Literal["genitem", "genlist", "classify", "rank"]
Form = Literal["plain", "chat"]
TASKS: tuple[Task, ...] = ("genitem", "genlist", "classify", "rank")


def placeholders(text: str) -> list[str]:
    """Name what stands in braces, in order.

    Examples
    --------
    >>> placeholders("{history} and {k}")
    ['history', 'k']
    """
    try:
        return [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise ValueError(f"not a template ({error}); write a brace that is text twice") from error


def _one_title(text: str) -> str:
    if placeholders(text) != ["title"]:
        raise ValueError("must hold {title} once and no other placeholder")
    return text


Line = Annotated[str, AfterValidator(_one_title)]


class PlainForm(Config):
    """A prompt as running text, for models that only continue text.

    Parameters
    ----------
    text
        With ``{history}``, and where the task has them ``{choices}`` and ``{k}``.
    line
        One title of the history or of the choices.
    answer
        One title of the answer. What follows ``{title}`` ends it, so it must not be empty.
    """

    text: str
    line: Line
    answer: Line

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_text(self.text)
        if self.answer.endswith("{title}"):
            raise ValueError('answer must end with what ends a title, for example "{title}\\n"')
        return self


class ChatForm(Config):
    """A prompt as messages, for models with a chat template and for hosted ones.

    Parameters
    ----------
    system
        May be empty.
    user
        As ``text`` of the plain form.
    line, answer
        As in the plain form; the model's own end of turn ends a last title.
    """

    system: str = ""
    user: str
    line: Line
    answer: Line

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_text(self.user)
        if placeholders(self.system):
            raise ValueError("system takes no placeholder")
        return self


def _check_text(text: str) -> None:
    names = placeholders(text)
    unknown = [name for name in names if name not in {"history", "choices", "k"}]
    if unknown:
        raise ValueError(
            f"unknown placeholder {{{unknown[0]}}}; there are {{history}}, {{choices}} and {{k}}"
        )
    if names.count("history") != 1 or names.count("choices") > 1:
        raise ValueError("must hold {history} once, and {choices} at most once")


class Template(Config):
    """Both forms of a prompt."""

    plain: PlainForm
    chat: ChatForm


def builtin_text(task: Task) -> str:
    """Give the TOML of the template that a task has unless another is given."""
    return (files(__name__) / f"{task}.toml").read_text(encoding="utf-8")


def builtin_template(task: Task) -> Template:
    """Give the template that a task has unless another is given."""
    return Template.from_toml(builtin_text(task), what=f"template of {task}")


def read_template(path: Path) -> Template:
    """Read an edited template.

    Raises
    ------
    ConfigError
        If it is no TOML, a part is missing or a placeholder is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text ({error})") from error
    return Template.from_toml(text, what=str(path))
