"""From a point of a space to a model's settings, and whether the model takes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from llmseq.config import Config, flat
from llmseq.errors import ConfigError
from llmseq.models.catalog import MODELS
from llmseq.models.protocol import MayNeedTimes
from llmseq.tuning.parameters import CategoricalParameter
from llmseq.tuning.space import Space

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Point = dict[str, Any]
"""A value for each parameter of a space; None: the setting is left out."""

_DRAWN = 128  # points and corners that are checked besides the ends of every parameter


@dataclass(frozen=True, eq=False)
class Searched:
    """A registered model whose settings are searched.

    Parameters
    ----------
    name
        In the registry.
    space
        What is varied.
    settings
        What is not, where it differs from the registry.
    """

    name: str
    space: Space
    settings: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def _usual(self) -> dict[str, Any]:
        made = MODELS[self.name].make_config(self.settings, what=f"model {self.name}")
        return made.to_dict()

    def settings_at(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Give all settings that differ from the registry, for ``llmseq fit`` and ``compare``."""
        values = dict(self.settings)
        for name, value in point.items():
            place, usual = values, self._usual
            *outer, last = name.split(".")
            for part in outer:
                inside = usual.get(part)
                usual = inside if isinstance(inside, dict) else {}
                place[part] = dict(place.get(part, usual))
                place = place[part]
            place.pop(last, None)
            if value is not None:
                place[last] = value
        return values

    def config(self, point: Mapping[str, Any]) -> Config:
        """Validate the settings of a point.

        Raises
        ------
        ConfigError
            If a parameter is no setting of the model, or the model refuses the values.
        """
        what = f"space of {self.name}"
        return MODELS[self.name].make_config(self.settings_at(point), what=what)

    def first(self) -> Point:
        """Give the best-known point: the model's own settings, brought into the space."""
        usual = flat(self._usual)
        return {
            name: one.nearest(usual.get(name) if one.first is None else one.first)
            for name, one in self.space.parameters.items()
        }

    def check(self) -> None:
        """Refuse a space with a parameter that the model has not or values that it refuses.

        Tries both ends of every parameter beside the best-known point, then corners and points of
        the whole space, drawn with a fixed seed.

        Raises
        ------
        ConfigError
            Naming the point.
        """
        first = self.first()
        for name, one in self.space.parameters.items():
            for value in one.ends():
                config = self._tried({**first, name: value}, said={name: value})
                left = flat(config.to_dict()).get(name)
                if value is None and left is not None:
                    raise ConfigError(
                        f'space of {self.name}: "{name}" is optional, but left out it is {left}: '
                        "take optional away"
                    )
        for point in chain(self._corners(), self._drawn()):
            self._tried(point, said=point)

    def _tried(self, point: Point, *, said: Point) -> Config:
        try:
            return self.config(point)
        except ConfigError as error:
            words = ", ".join(
                f"{name} {'left out' if value is None else value}" for name, value in said.items()
            )
            raise ConfigError(f"{error} (at {words})") from error

    def _corners(self) -> Iterator[Point]:
        rng = np.random.default_rng(0)
        ends = {name: one.ends() for name, one in self.space.parameters.items()}
        for _ in range(_DRAWN):
            yield {name: values[int(rng.integers(len(values)))] for name, values in ends.items()}

    def _drawn(self) -> Iterator[Point]:
        rng = np.random.default_rng(0)
        for _ in range(_DRAWN):
            yield self.space.draw(rng)

    def needs_times(self) -> dict[str, list[Any]]:
        """Give the values, by parameter, that ask for session times."""
        first, asking = self.first(), {}
        for name, one in self.space.parameters.items():
            values = [value for value in one.ends() if self._asks({**first, name: value})]
            if values:
                asking[name] = values
        return asking

    def _asks(self, point: Point) -> bool:
        config = self.config(point)
        return isinstance(config, MayNeedTimes) and bool(config.needs_times)

    def without_times(self) -> Space | None:
        """Leave out what asks for session times; None if nothing is left."""
        asking, kept = self.needs_times(), dict(self.space.parameters)
        for name, values in asking.items():
            one = kept.pop(name)
            if isinstance(one, CategoricalParameter):
                choices = tuple(choice for choice in one.choices if choice not in values)
                if choices:
                    kept[name] = one.replace(choices=choices)
        return Space(parameters=kept) if kept else None
