"""Options that several commands read alike."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from llmseq.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Command = TypeVar("Command", bound="Callable[..., Any]")

# Decorators of commands; without a default, so that what is not given stays with the preset.
ids = click.option(
    "--ids",
    type=click.Path(path_type=Path),
    help='One item id a line, for "file:" with .npy, .safetensors.',
)
item_template = click.option(
    "--template", help='Texts of other columns, for example "{title}. {brand}".'
)
seen = click.option(
    "--seen",
    type=click.Choice(["exclude", "keep"]),
    help="Whether lists may hold items of the prompt. [default: exclude]",
)
split_method = click.option(
    "--split",
    "method",
    type=click.Choice(["auto", "file", "temporal", "leave-last-out"]),
    help="How test is cut off. [default: auto]",
)
share_of_test = click.option("--test-share", type=float, help="Of the sessions. [default: 0.2]")
n_threads = click.option(
    "--threads", "n_threads", type=click.IntRange(min=1), help="At most so many. [default: all]"
)
device = click.option(
    "--device", help="Where neural models train, for example cuda. [default: cpu]"
)
_OF_RUNS = (ids, item_template, seen, split_method, share_of_test, n_threads, device)


def of_runs(command: Command) -> Command:
    """Add what ``compare`` and ``tune`` are told alike; `run_arguments` reads it."""
    for option in reversed(_OF_RUNS):
        command = option(command)
    return command


def run_arguments(given: Mapping[str, Any], **split: object) -> dict[str, Any]:
    """Give the options of `of_runs` as `compare` and `tune` of the package take them.

    Parameters
    ----------
    **split
        Further settings of the split; None leaves one out.
    """
    cut = {"method": given["method"], "test_share": given["test_share"], **split}
    return {
        "encoder_ids": given["ids"],
        "split": {name: value for name, value in cut.items() if value is not None},
        **{name: given[name] for name in ("template", "seen", "n_threads", "device")},
    }


def names(text: str | None) -> list[str] | None:
    """Read "a,b,c"; None stays None.

    Raises
    ------
    ConfigError
        If there is no name in it.

    Examples
    --------
    >>> names("v-sknn, sasrec")
    ['v-sknn', 'sasrec']
    """
    if text is None:
        return None
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise ConfigError(f'expected names separated by commas, got "{text}"')
    return found


def settings(pairs: Iterable[str], *, example: str) -> dict[str, Any]:
    """Read "key=value" and "outer.key=value" to nested plain values, each written as in TOML.

    A value that is no TOML is taken as text.

    Raises
    ------
    ConfigError
        If a text has no ``=``, or gives a value and something inside it.

    Examples
    --------
    >>> settings(["dropout=0.5", "reduction.method=pca"], example="dropout=0.5")
    {'dropout': 0.5, 'reduction': {'method': 'pca'}}
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        *outer, last = name.strip().split(".")
        if not equals or not last or not all(outer):
            raise ConfigError(f'--set takes for example "{example}", got "{pair}"')
        place = found
        for part in outer:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ConfigError(f'--set gives both a value for "{part}" and "{pair}"')
        if isinstance(place.get(last), dict):
            raise ConfigError(f'--set gives both settings inside "{last}" and "{pair}"')
        place[last] = _value(text.strip())
    return found


def template(path: Path) -> dict[str, Any]:
    """Read a prompt template as plain settings.

    Raises
    ------
    ConfigError
        If it is no TOML or not a template.
    """
    from llmseq.models.prompt.templates import read_template

    return read_template(path).to_dict()


def _value(text: str) -> object:
    try:
        value: object = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return value
