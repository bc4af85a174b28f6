"""From a spec to chosen models with lists: grids, seeds, members of hybrids."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from llmseq.core import evaluate_lists
from llmseq.errors import ConfigError
from llmseq.experiment.bench import Bench, FitPart, Fitted, read_lists
from llmseq.models.hybrid.fuse import FusionConfig, choose_members, fuse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from llmseq.config import Config
    from llmseq.experiment.spec import ModelSpec
    from llmseq.experiment.stages import Stage
    from llmseq.recommendations import Recommendations


@dataclass(frozen=True, eq=False, slots=True)
class Trial:
    """One point of a grid with its value on the select part."""

    settings: Mapping[str, Any]
    validation: float


@dataclass(frozen=True, eq=False, slots=True)
class Contender:
    """A model that takes part, with its chosen settings.

    Parameters
    ----------
    fits, select
        One fit for each seed, and the stage of its lists for the select part; of a hybrid none.
    members
        Names of a hybrid's members, in the order in which they were chosen.
    trials
        Every point of the grid.
    """

    spec: ModelSpec
    config: Config
    fits: tuple[Fitted, ...] = ()
    select: tuple[Stage, ...] = ()
    members: tuple[str, ...] = ()
    trials: tuple[Trial, ...] = ()

    @property
    def name(self) -> str:
        """As in the registry."""
        return self.spec.name


def enter_single(bench: Bench, model: ModelSpec) -> Contender:
    """Fit every point of a model's grid, choose the best on the select part, fit it with all seeds.

    The choice is made with the first seed; of equal points the first wins.
    """
    first, *others = bench.spec.seeds
    trials, fits, select = [], [], []
    for point, config in zip(model.points(), model.configs(), strict=True):
        fitted = bench.fit(model.name, config, seed=first)
        stage = bench.lists(fitted, "select")
        trials.append(Trial(point, _value(bench, read_lists(stage))))
        fits.append(fitted)
        select.append(stage)
    best = int(np.argmax([trial.validation for trial in trials]))
    config = fits[best].config
    more = [bench.fit(model.name, config, seed=seed) for seed in others]
    return Contender(
        model,
        config,
        (fits[best], *more),
        (select[best], *(bench.lists(fitted, "select") for fitted in more)),
        trials=tuple(trials),
    )


def enter_hybrid(bench: Bench, model: ModelSpec, singles: Sequence[Contender]) -> Contender:
    """Choose a hybrid's members on the select part, with the first seed's lists."""
    config = model.configs()[0]
    if not isinstance(config, FusionConfig):
        raise ConfigError(f"{model.name}: compare knows no hybrid of this kind")
    names = {member.name for member in bench.spec.members_of(model)}
    stages = {single.name: single.select[0] for single in singles if single.name in names}

    def work(folder: Path, checkpoint: Path) -> Mapping[str, Any]:  # noqa: ARG001
        lists = {name: read_lists(stage) for name, stage in stages.items()}
        cut_off = int(bench.spec.primary.split("@")[1])
        return {"members": list(choose_members(lists, bench.split.select, config, k=cut_off))}

    stage = bench.store.run(
        f"members of {model.name}",
        kind="members",
        inputs={
            "stage": "members",
            "config": config.to_dict(),
            "primary": bench.spec.primary,
            "lists": {name: stage.key for name, stage in stages.items()},
        },
        work=work,
    )
    return Contender(model, config, members=tuple(stage.values["members"]))


@dataclass(frozen=True, eq=False, slots=True)
class Lists:
    """A contender's lists for one part: one for each seed, and what making them took."""

    per_seed: tuple[Recommendations, ...]
    recommend_s: float
    peak_memory_mib: float


def refit(bench: Bench, contender: Contender, *, n_seeds: int, part: FitPart) -> Contender:
    """Fit a chosen model again on more data, for the chosen number of epochs."""
    fits = tuple(
        bench.fit(fitted.name, fitted.refit_config, seed=fitted.seed, part=part)
        for fitted in contender.fits[:n_seeds]
    )
    return replace(contender, fits=fits, select=())


def lists_of_select(contenders: Sequence[Contender]) -> dict[str, Lists]:
    """Read the lists for the select part."""
    made: dict[str, Lists] = {}
    for contender in contenders:
        if contender.members:
            made[contender.name] = fused(contender, made)
        else:
            made[contender.name] = _read(contender.select)
    return made


def lists_of_test(bench: Bench, contenders: Sequence[Contender]) -> dict[str, Lists]:
    """Make or find the lists for the test part; a hybrid's are fused from its members'."""
    made: dict[str, Lists] = {}
    for contender in contenders:
        if contender.members:
            made[contender.name] = fused(contender, made)
        else:
            stages = [bench.lists(fitted, "test") for fitted in contender.fits]
            made[contender.name] = _read(stages)
    return made


def _read(stages: Sequence[Stage]) -> Lists:
    return Lists(
        tuple(read_lists(stage) for stage in stages),
        float(np.mean([stage.values["recommend_s"] for stage in stages])),
        max(stage.peak_memory_mib for stage in stages),
    )


def fused(hybrid: Contender, members: Mapping[str, Lists]) -> Lists:
    """Fuse members' lists, seed by seed."""
    if not isinstance(hybrid.config, FusionConfig):
        raise ConfigError(f"{hybrid.name}: compare knows no hybrid of this kind")
    chosen = {name: members[name] for name in hybrid.members}
    n_seeds = len(next(iter(chosen.values())).per_seed)
    per_seed = tuple(
        fuse(
            {name: lists.per_seed[seed] for name, lists in chosen.items()},
            max(lists.per_seed[seed].k for lists in chosen.values()),
            hybrid.config,
        )
        for seed in range(n_seeds)
    )
    return Lists(
        per_seed,
        sum(lists.recommend_s for lists in chosen.values()),
        max(lists.peak_memory_mib for lists in chosen.values()),
    )


def _value(bench: Bench, lists: Recommendations) -> float:
    cut_off = int(bench.spec.primary.split("@")[1])
    means = evaluate_lists(lists.items, bench.split.select.targets, ks=(cut_off,)).means
    return float(means[bench.spec.primary])
