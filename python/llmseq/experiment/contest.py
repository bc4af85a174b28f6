"""From a spec to chosen models with lists: grids, seeds, members of hybrids."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from llmseq.core import evaluate_lists
from llmseq.experiment.bench import Bench, FitPart, read_lists
from llmseq.experiment.contender import Choice, Contender, Lists, Trial
from llmseq.experiment.crossfit import combine, combine_folds, cross_fit, folds_of
from llmseq.experiment.settings_search import search_settings
from llmseq.experiment.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from llmseq.experiment.bench import ListPart
    from llmseq.experiment.stages import Stage
    from llmseq.models.hybrid.config import HybridConfig
    from llmseq.models.hybrid.facts import ItemFacts
    from llmseq.recommendations import Recommendations
    from llmseq.types import OffsetArray


def enter_single(bench: Bench, model: ModelSpec) -> Contender:
    """Fit every point of a model's grid, choose the best on the select part, fit it with all seeds.

    The choice is made with the first seed; of equal points the first wins.
    """
    if model.searched is not None:
        return _enter_searched(bench, model)
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


def _enter_searched(bench: Bench, model: ModelSpec) -> Contender:
    """Search a model's space, then fit the best settings with all seeds."""
    found = search_settings(bench, model)
    fits = tuple(bench.fit(model.name, found.config, seed=seed) for seed in bench.spec.seeds)
    return Contender(
        model,
        found.config,
        fits,
        tuple(bench.lists(fitted, "select") for fitted in fits),
        trials=tuple(
            Trial(trial.point, trial.value or 0.0)
            for trial in found.trials
            if trial.state == "finished"
        ),
    )


def enter_hybrid(bench: Bench, model: ModelSpec, singles: Sequence[Contender]) -> Contender:
    """Choose a hybrid's settings on the select part, with the first seed's lists.

    A point of the grid is worth what its cross-fitted lists are (`cross_fit`); of equal points the
    first wins. What the best point leaves open is then chosen on all of the part.
    """
    points = model.hybrid_configs()
    members = [_members(bench, model, config, singles) for config in points]
    select = bench.split.select

    def work(folder: Path, checkpoint: Path) -> Mapping[str, Any]:  # noqa: ARG001
        fits = []
        for done, (config, able) in enumerate(zip(points, members, strict=True)):
            bench.tracker.within(done / len(points), "")
            lists = {name: read_lists(member.select[0]) for name, member in able.items()}
            fits.append(
                cross_fit(
                    config,
                    lists,
                    select,
                    facts_of(bench, config, "fit"),
                    folds=_folds(bench),
                    metric=bench.spec.primary,
                )
            )
        values = [_value(bench, fit.lists) for fit in fits]
        best = int(np.argmax(values))
        return {
            "best": best,
            "values": values,
            "config": fits[best].config.to_dict(),
            "folds": [config.to_dict() for config in fits[best].folds],
            "in_sample": _value(bench, fits[best].in_sample),
        }

    stage = bench.store.run(
        f"members of {model.name}",
        kind="members",
        inputs={
            "stage": "members",
            "points": [config.to_dict() for config in points],
            "primary": bench.spec.primary,
            "seed": bench.spec.seed,
            "data": bench.data(
                bench.own_vectors if any(config.needs_vectors for config in points) else {}
            ),
            "lists": [
                {name: member.select[0].key for name, member in able.items()} for able in members
            ],
        },
        work=work,
    )
    values = stage.values
    config, *folds = (
        type(points[0]).make(each, what=f"model {model.name}")
        for each in (values["config"], *values["folds"])
    )
    able = members[values["best"]]
    return Contender(
        model,
        config,
        members={name: able[name] for name in config.parts() or able},
        choice=Choice(points[0].parts() is None, able, tuple(folds), values["in_sample"]),
        trials=tuple(
            Trial(point, value)
            for point, value in zip(model.points(), values["values"], strict=True)
        ),
    )


def _members(
    bench: Bench, model: ModelSpec, config: HybridConfig, singles: Sequence[Contender]
) -> dict[str, Contender]:
    """Find who takes part in a hybrid; a member with settings of its own is fitted for it."""
    parts = config.parts()
    by_name = {single.name: single for single in singles}
    if parts is None:
        return {member.name: by_name[member.name] for member in bench.spec.members_of(model)}
    return {
        role: enter_single(bench, ModelSpec(name=part.model, settings=part.settings))
        if part.settings
        else by_name[part.model]
        for role, part in parts.items()
    }


def facts_of(bench: Bench, config: HybridConfig, part: FitPart) -> ItemFacts:
    """Count what a hybrid needs to know of the items, on what its members are fitted on."""
    rng = np.random.default_rng(bench.spec.seed)
    return config.facts(bench.train(part), bench.own_vectors, rng=rng)


def refit(bench: Bench, contender: Contender, *, n_seeds: int, part: FitPart) -> Contender:
    """Fit a chosen model, or a hybrid's members, on more data, for the chosen number of epochs."""
    fits = tuple(
        bench.fit(fitted.name, fitted.refit_config, seed=fitted.seed, part=part)
        for fitted in contender.fits[:n_seeds]
    )
    members = {
        name: refit(bench, member, n_seeds=n_seeds, part=part)
        for name, member in contender.members.items()
    }
    return replace(contender, fits=fits, members=members, select=(), part=part)


def lists_of_part(
    bench: Bench, contenders: Sequence[Contender], part: ListPart
) -> dict[str, Lists]:
    """Make or find the lists for a part; a hybrid's are made of its members'."""
    return {contender.name: lists_of(bench, contender, part) for contender in contenders}


def lists_of(bench: Bench, contender: Contender, part: ListPart) -> Lists:
    """Make or find one contender's lists for a part, with every seed.

    A hybrid's lists for the select part are cross-fitted: what it leaves open is chosen without
    the sessions that the list is for, so that figures on this part do not flatter it.
    """
    if contender.hybrid is None:
        stages = contender.select
        if part == "test" or not stages:
            stages = tuple(bench.lists(fitted, part) for fitted in contender.fits)
        return _read(stages)
    own = {name: lists_of(bench, each, part) for name, each in contender.members.items()}
    if part == "select" and contender.choice is not None:
        per_seed = _cross_fitted(bench, contender, contender.choice, own)
    else:
        per_seed = combined(bench, contender, contender.hybrid, own, part)
    return Lists(
        per_seed,
        sum(lists.recommend_s for lists in own.values()),
        max(lists.peak_memory_mib for lists in own.values()),
    )


def combined(
    bench: Bench,
    contender: Contender,
    config: HybridConfig,
    members: Mapping[str, Lists],
    part: ListPart,
) -> tuple[Recommendations, ...]:
    """Combine members' lists, seed by seed.

    Parameters
    ----------
    config
        The contender's, or another of its kind.
    members
        Lists of at least the members that the settings name.
    """
    facts = facts_of(bench, config, contender.part)
    return tuple(
        combine(
            config,
            {name: lists.per_seed[seed] for name, lists in members.items()},
            bench.spec.list_length,
            prompts=bench.held_out(part).prompts,
            facts=facts,
        )
        for seed in range(_n_seeds(members))
    )


def _cross_fitted(
    bench: Bench, contender: Contender, choice: Choice, own: Mapping[str, Lists]
) -> tuple[Recommendations, ...]:
    """Make lists for the select part with the settings of the folds."""
    names = dict.fromkeys(name for config in choice.folds for name in config.parts() or ())
    members = {
        name: own[name] if name in own else lists_of(bench, choice.among[name], "select")
        for name in names
    }
    facts = facts_of(bench, choice.folds[0], contender.part)
    return tuple(
        combine_folds(
            choice.folds,
            {name: lists.per_seed[seed] for name, lists in members.items()},
            bench.spec.list_length,
            folds=_folds(bench),
            prompts=bench.split.select.prompts,
            facts=facts,
        )
        for seed in range(_n_seeds(members))
    )


def _folds(bench: Bench) -> OffsetArray:
    return folds_of(bench.split.select, np.random.default_rng(bench.spec.seed))


def _n_seeds(members: Mapping[str, Lists]) -> int:
    return len(next(iter(members.values())).per_seed)


def _read(stages: Sequence[Stage]) -> Lists:
    return Lists(
        tuple(read_lists(stage) for stage in stages),
        float(np.mean([stage.values["recommend_s"] for stage in stages])),
        max(stage.peak_memory_mib for stage in stages),
    )


def _value(bench: Bench, lists: Recommendations) -> float:
    cut_off = int(bench.spec.primary.split("@")[1])
    means = evaluate_lists(lists.items, bench.split.select.targets, ks=(cut_off,)).means
    return float(means[bench.spec.primary])
