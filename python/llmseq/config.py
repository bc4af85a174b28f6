"""Frozen settings: one pydantic model a component, TOML on disk."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError

from llmseq.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Config(BaseModel):
    """Base of every settings class: frozen, unknown names refused.

    Examples
    --------
    >>> class Example(Config):
    ...     dim: int = 64
    >>> Example.from_toml(Example(dim=8).to_toml()).dim
    8
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @classmethod
    def make(cls, values: dict[str, Any], *, what: str) -> Self:
        """Validate plain values; the error names the first wrong setting and ``what`` it is for.

        Raises
        ------
        ConfigError
            If a name is unknown or a value is out of range.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "settings"
            if first["type"] == "extra_forbidden":
                choices = ", ".join(sorted(cls.model_fields))
                raise ConfigError(
                    f'{what}: unknown setting "{where}"; choose from {choices}'
                ) from error
            said = first["msg"].removeprefix("Value error, ")
            said = said[:1].lower() + said[1:]
            raise ConfigError(f"{what}: {where} = {first['input']!r}: {said}") from error

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON and TOML can hold; settings that are None are left out."""
        return self.model_dump(mode="json", exclude_none=True)

    def to_toml(self) -> str:
        """Write as TOML; ``from_toml`` reads it back to an equal object."""
        return tomli_w.dumps(self.to_dict())

    @classmethod
    def from_toml(cls, text: str, *, what: str = "settings") -> Self:
        """Read TOML.

        Raises
        ------
        ConfigError
            If the text is no TOML or a setting is unknown or out of range.
        """
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{what}: not valid TOML: {error}") from error
        return cls.make(values, what=what)

    def replace(self, **changes: object) -> Self:
        """Copy with some settings changed, validated again."""
        return self.make({**self.model_dump(), **changes}, what=type(self).__name__)


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings with dotted names.

    Examples
    --------
    >>> flat({"k": 2, "reduction": {"method": "pca"}})
    {'k': 2, 'reduction.method': 'pca'}
    """
    named: dict[str, Any] = {}
    for key, value in values.items():
        inside = flat(value) if isinstance(value, dict) else None
        named |= {key: value} if inside is None else {f"{key}.{k}": v for k, v in inside.items()}
    return named


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings with some changed; a table changes only what it names.

    Examples
    --------
    >>> merged({"k": 2, "reduction": {"method": "pca", "dim": 8}}, {"reduction": {"dim": 4}})
    {'k': 2, 'reduction': {'method': 'pca', 'dim': 4}}
    """
    made = dict(values)
    for key, value in changes.items():
        inside = made.get(key)
        if isinstance(inside, dict) and isinstance(value, dict):
            made[key] = merged(inside, value)
        else:
            made[key] = value
    return made
