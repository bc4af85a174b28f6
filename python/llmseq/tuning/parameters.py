"""What one setting may be in a search: a range of numbers, or one of several values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from llmseq.config import Config

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna.trial import Trial

_LEFT_OUT = ": left out"


class Parameter(Config):
    """What every kind of parameter has.

    Parameters
    ----------
    optional
        Besides its values, leave the setting out.
    first
        Its value in the best-known point, where that is not the model's own.
    """

    optional: bool = False

    def suggest(self, trial: Trial, name: str) -> Any:  # noqa: ANN401 - any plain value
        """Draw a value in an Optuna trial; None: left out.

        All parts are drawn always, so that every trial has the same ones.
        """
        value = self._suggest(trial, name)
        left_out = self.optional and trial.suggest_categorical(name + _LEFT_OUT, [False, True])
        return None if left_out else value

    def params(self, name: str, value: Any) -> dict[str, Any]:  # noqa: ANN401
        """Give what an Optuna trial holds for a value."""
        held = {name: self._held(self.nearest_value(None) if value is None else value)}
        return held | ({name + _LEFT_OUT: value is None} if self.optional else {})

    def value(self, name: str, params: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """Read the value from what an Optuna trial holds."""
        return None if params.get(name + _LEFT_OUT) else self._read(params[name])

    def draw(self, rng: np.random.Generator) -> Any:  # noqa: ANN401
        """Draw a value uniformly, on a logarithmic scale where there is one."""
        left_out = self.optional and rng.random() < 0.5
        value = self._draw(rng)
        return None if left_out else value

    def ends(self) -> tuple[Any, ...]:
        """Give the outermost values, or all choices."""
        return (*self._ends(), *((None,) if self.optional else ()))

    def up_to(self, top: float) -> Self | None:
        """Leave out the values above a number; None if none is left."""
        raise NotImplementedError

    def values(self, most: int) -> tuple[Any, ...] | None:
        """List every value, but None if there are more than ``most``."""
        values = self._values(most)
        return values if values is None or not self.optional else (*values, None)

    def nearest(self, value: Any) -> Any:  # noqa: ANN401
        """Give the value that comes nearest to a model's own; None is the own one left out."""
        return None if value is None and self.optional else self.nearest_value(value)

    def nearest_value(self, value: Any) -> Any:  # noqa: ANN401
        """As `nearest`, never None."""
        raise NotImplementedError

    def _suggest(self, trial: Trial, name: str) -> Any:  # noqa: ANN401
        raise NotImplementedError

    def _draw(self, rng: np.random.Generator) -> Any:  # noqa: ANN401
        raise NotImplementedError

    def _ends(self) -> tuple[Any, ...]:
        raise NotImplementedError

    def _values(self, most: int) -> tuple[Any, ...] | None:
        raise NotImplementedError

    def _held(self, value: Any) -> Any:  # noqa: ANN401
        return value

    def _read(self, held: Any) -> Any:  # noqa: ANN401
        return held


class _Number(Parameter):
    """A range, ends included; its subclasses say of which numbers."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    first: float | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low <= self.high):
            raise ValueError(f"low ({self.low}) must not exceed high ({self.high}), both finite")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs a low above 0 and goes without a step")
        if self.step is not None and not self.step > 0:
            raise ValueError(f"step ({self.step}) must be above 0")
        if self.first is not None and self.nearest_value(self.first) != self.first:
            raise ValueError(f"first ({self.first}) is none of the values searched")
        return self

    @property
    def _last(self) -> float:
        """The largest value that the steps reach."""
        return self.high if self.step is None else self._at(self._n_steps)

    @property
    def _n_steps(self) -> int:
        return int(np.floor((self.high - self.low) / (self.step or 1) + 1e-9))

    def _at(self, place: int) -> float:
        return round(self.low + place * (self.step or 1), 12)

    def _ends(self) -> tuple[Any, ...]:
        return (self.low, self._last)

    def _values(self, most: int) -> tuple[Any, ...] | None:
        if self.step is None or self._n_steps >= most:
            return None
        return tuple(self._at(place) for place in range(self._n_steps + 1))

    def up_to(self, top: float) -> Self | None:
        """Leave out the values above a number; None if none is left."""
        if top >= self._last:
            return self
        if top < self.low:
            return None
        high = top
        if self.step is not None:
            high = self._at(int(np.floor((top - self.low) / self.step + 1e-9)))
        return self.replace(high=high, first=None if self.first is None else min(self.first, high))


class FloatParameter(_Number):
    """A range of real numbers, or with ``step`` evenly spaced ones from ``low`` on."""

    type: Literal["float"] = "float"

    def nearest_value(self, value: float | None) -> float:
        """Give the value of the range that comes nearest; None: the middle."""
        if value is None:
            value = self._from_share(0.5)
        value = min(max(float(value), self.low), self._last)
        return value if self.step is None else self._at(round((value - self.low) / self.step))

    def _from_share(self, share: float) -> float:
        if self.log:
            return float(self.low * (self.high / self.low) ** share)
        return float(self.low + share * (self.high - self.low))

    def _suggest(self, trial: Trial, name: str) -> float:
        held = trial.suggest_float(name, self.low, self._last, log=self.log, step=self.step)
        return self._read(held)

    def _read(self, held: float) -> float:
        return held if self.step is None else self.nearest_value(held)  # .7, not .7000000000000001

    def _draw(self, rng: np.random.Generator) -> float:
        if self.step is not None:
            return self._at(int(rng.integers(self._n_steps + 1)))
        return self.nearest_value(self._from_share(float(rng.random())))


class IntParameter(_Number):
    """A range of whole numbers, ``step`` apart."""

    type: Literal["int"] = "int"
    low: int
    high: int
    step: int | None = None
    first: int | None = None

    def nearest_value(self, value: float | None) -> int:
        """Give the value of the range that comes nearest; None: the middle."""
        low, last, step = self.low, int(self._last), self.step or 1
        if value is None:
            value = np.sqrt(low * last) if self.log else (low + last) / 2
        return low + round((min(max(value, low), last) - low) / step) * step

    def _values(self, most: int) -> tuple[int, ...] | None:
        values = range(self.low, int(self._last) + 1, self.step or 1)
        return None if len(values) > most else tuple(values)

    def _suggest(self, trial: Trial, name: str) -> int:
        return trial.suggest_int(name, self.low, int(self._last), log=self.log, step=self.step or 1)

    def _draw(self, rng: np.random.Generator) -> int:
        if self.log:
            low, high = np.log(self.low - 0.5), np.log(self.high + 0.5)
            return self.nearest_value(float(np.exp(rng.uniform(low, high))))
        return int(self.low + rng.integers(self._n_steps + 1) * (self.step or 1))


class CategoricalParameter(Parameter):
    """One of several plain values, tables included."""

    type: Literal["categorical"] = "categorical"
    choices: tuple[Any, ...] = Field(min_length=1)
    first: Any = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self._labels)) < len(self._labels):
            raise ValueError("a choice is named twice")
        if self.first is not None and self.first not in self.choices:
            raise ValueError(f"first ({self.first}) is none of the choices")
        return self

    @property
    def _labels(self) -> list[str]:
        return [self._held(choice) for choice in self.choices]

    def nearest_value(self, value: Any) -> Any:  # noqa: ANN401
        """Give the value if it is a choice, else the first choice."""
        return value if value in self.choices else self.choices[0]

    def up_to(self, top: float) -> Self | None:
        """Leave out the choices above a number; None if none is left."""
        kept = tuple(choice for choice in self.choices if choice <= top)
        first = self.first if self.first in kept else None
        return self.replace(choices=kept, first=first) if kept else None

    def _suggest(self, trial: Trial, name: str) -> Any:  # noqa: ANN401
        return self._read(trial.suggest_categorical(name, self._labels))

    def _draw(self, rng: np.random.Generator) -> Any:  # noqa: ANN401
        return self.choices[int(rng.integers(len(self.choices)))]

    def _ends(self) -> tuple[Any, ...]:
        return self.choices

    def _values(self, most: int) -> tuple[Any, ...] | None:  # noqa: ARG002 - always few
        return self.choices

    def _held(self, value: Any) -> str:  # noqa: ANN401
        return json.dumps(value, sort_keys=True)  # Optuna keeps no tables

    def _read(self, held: Any) -> Any:  # noqa: ANN401
        return json.loads(held)


AnyParameter = Annotated[
    FloatParameter | IntParameter | CategoricalParameter, Field(discriminator="type")
]
