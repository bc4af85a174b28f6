"""Which settings are searched, over which values: TOML on disk, one file a model in the package."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.resources import files
from itertools import product
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from llmseq.config import Config
from llmseq.errors import ConfigError
from llmseq.tuning.parameters import AnyParameter

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    import numpy as np
    from optuna.trial import Trial


class Space(Config):
    """The parameters that a search varies, by the name of the setting.

    Parameters
    ----------
    parameters
        A setting inside another has a dotted name, ``reduction.dim``.

    Examples
    --------
    >>> text = '''
    ... [parameters]
    ... learning_rate = { type = "float", low = 1e-4, high = 1e-2, log = true }
    ... reduction.dim = { type = "int", low = 64, high = 512, step = 64 }
    ... '''
    >>> space = Space.from_toml(text)
    >>> list(space.parameters)
    ['learning_rate', 'reduction.dim']
    >>> Space.from_toml(space.to_toml()) == space
    True
    """

    parameters: dict[str, AnyParameter] = Field(min_length=1)

    @field_validator("parameters", mode="before")
    @classmethod
    def _dotted(cls, parameters: object) -> object:
        return _flat(parameters) if isinstance(parameters, Mapping) else parameters

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """Draw a point in an Optuna trial."""
        return {name: one.suggest(trial, name) for name, one in self.parameters.items()}

    def params(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Give what an Optuna trial holds for a point."""
        held: dict[str, Any] = {}
        for name, one in self.parameters.items():
            held |= one.params(name, point[name])
        return held

    def point(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Read a point from what an Optuna trial holds."""
        return {name: one.value(name, params) for name, one in self.parameters.items()}

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draw a point uniformly."""
        return {name: one.draw(rng) for name, one in self.parameters.items()}

    def points(self, most: int = 1000) -> list[dict[str, Any]] | None:
        """List every point, but None if there are more than ``most``."""
        values = [one.values(most) for one in self.parameters.values()]
        known = [each for each in values if each is not None]
        if len(known) < len(values) or math.prod(len(each) for each in known) > most:
            return None
        return [dict(zip(self.parameters, point, strict=True)) for point in product(*known)]

    def without(self, names: Collection[str]) -> Space | None:
        """Leave out settings and what lies inside them; None if nothing is left."""
        kept = {
            name: one
            for name, one in self.parameters.items()
            if not any(name == given or name.startswith(f"{given}.") for given in names)
        }
        return Space(parameters=kept) if kept else None


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Tables without a ``type`` are settings that hold others."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and not isinstance(value.get("type"), str):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def read_space(path: Path) -> Space:
    """Read a space from a TOML file.

    Raises
    ------
    ConfigError
        If the file is not there, is no TOML, or a parameter is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    return Space.from_toml(text, what=str(path))


def shipped_space(model: str) -> Space | None:
    """Read the space that the package brings for a registered model; None if it brings none."""
    file = files("llmseq.tuning") / "spaces" / f"{model}.toml"
    if not file.is_file():
        return None
    return Space.from_toml(file.read_text(encoding="utf-8"), what=f"{model}.toml")
