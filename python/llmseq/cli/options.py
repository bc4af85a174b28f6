"""Options that several commands read alike."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from llmseq.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


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
