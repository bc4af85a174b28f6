"""A registry of named things: a duplicate is an error, an unknown name lists the choices."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Generic, TypeVar

from llmseq.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


class Registry(Generic[T]):
    """Names in order of registration, each with one entry.

    Parameters
    ----------
    kind
        What is registered, for error messages: ``"model"``, ``"encoder"``.

    Examples
    --------
    >>> colours: Registry[int] = Registry("colour")
    >>> colours.register("red", 1)
    >>> colours["red"], colours.names()
    (1, ('red',))
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str, entry: T) -> None:
        """Add an entry.

        Raises
        ------
        ConfigError
            If the name is taken.
        """
        if name in self._entries:
            raise ConfigError(f'the {self._kind} "{name}" is registered twice')
        self._entries[name] = entry

    def __getitem__(self, name: str) -> T:
        try:
            return self._entries[name]
        except KeyError:
            close = difflib.get_close_matches(name, self._entries, n=1)
            hint = f'; did you mean "{close[0]}"?' if close else "."
            raise ConfigError(
                f'unknown {self._kind} "{name}"{hint} Choose from: {", ".join(self._entries)}'
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def names(self) -> tuple[str, ...]:
        """Every name, in order of registration."""
        return tuple(self._entries)
