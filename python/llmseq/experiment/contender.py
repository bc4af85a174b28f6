"""Who takes part in a comparison: models with their chosen settings, and their lists."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmseq.models.hybrid.config import HybridConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmseq.config import Config
    from llmseq.experiment.bench import FitPart, Fitted
    from llmseq.experiment.spec import ModelSpec
    from llmseq.experiment.stages import Stage
    from llmseq.recommendations import Recommendations


@dataclass(frozen=True, eq=False, slots=True)
class Trial:
    """One point of a grid with its value on the select part, or of a space, over its folds."""

    settings: Mapping[str, Any]
    validation: float


@dataclass(frozen=True, eq=False, slots=True)
class Choice:
    """What a hybrid left open, as it was chosen.

    Parameters
    ----------
    is_open
        Whether anything was left open: the points of the grid name no members.
    among
        Every model that may be a member, by the name that settings have for it.
    folds
        Settings chosen without each fold of the select part in turn: lists for that fold are made
        with them.
    in_sample
        Value on the select part of the settings chosen on all of it, which flatters them.
    """

    is_open: bool
    among: Mapping[str, Contender]
    folds: tuple[HybridConfig, ...]
    in_sample: float


@dataclass(frozen=True, eq=False, slots=True)
class Contender:
    """A model that takes part, with its chosen settings.

    Parameters
    ----------
    fits, select
        One fit for each seed, and the stage of its lists for the select part; of a hybrid none.
    part
        What it, or its members, are fitted on.
    members
        Of a hybrid, by the names that its settings have for them.
    choice
        Of a hybrid.
    trials
        Every point of the grid.
    """

    spec: ModelSpec
    config: Config
    fits: tuple[Fitted, ...] = ()
    select: tuple[Stage, ...] = ()
    part: FitPart = "fit"
    members: Mapping[str, Contender] = field(default_factory=dict)
    choice: Choice | None = None
    trials: tuple[Trial, ...] = ()

    @property
    def name(self) -> str:
        """As in the registry."""
        return self.spec.name

    @property
    def hybrid(self) -> HybridConfig | None:
        """Its settings, if it is made of others' lists."""
        return self.config if isinstance(self.config, HybridConfig) else None

    def fitted(self) -> Iterator[Contender]:
        """Give itself, or the members that it is made of, each fit once."""
        if not self.members:
            yield self
        known = set()
        for member in self.members.values():
            key = tuple(fitted.stage.key for fitted in member.fits)
            if key not in known:
                known.add(key)
                yield member


@dataclass(frozen=True, eq=False, slots=True)
class Lists:
    """A contender's lists for one part: one for each seed, and what making them took."""

    per_seed: tuple[Recommendations, ...]
    recommend_s: float
    peak_memory_mib: float
