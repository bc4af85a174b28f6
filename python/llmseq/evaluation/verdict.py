"""Comparisons with the baseline, and the answer to the question whether text helps."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from llmseq.errors import ConfigError
from llmseq.evaluation.leaderboard import SIGNIFICANT, ModelResult, Verdict, Versus, figure
from llmseq.evaluation.significance import N_DRAWS, N_FLIPS, Comparison, holm, paired_test

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from llmseq.types import FloatVector

_COSTS = ("fit_s", "recommend_s", "peak_memory_mib")


def best_on_validation(
    models: Sequence[ModelResult], primary: str, *, uses_text: bool | None = None
) -> ModelResult | None:
    """Best model by the primary metric on validation; of equal ones the first.

    Parameters
    ----------
    uses_text : bool, optional
        Look only among models with, or without, text.

    Returns
    -------
    ModelResult or None
        None where there is no such model.

    Raises
    ------
    ConfigError
        If a model has no validation value.
    """
    asked = [model for model in models if uses_text is None or model.uses_text == uses_text]
    for model in asked:
        if primary not in model.validation:
            raise ConfigError(f'the model "{model.name}" has no {primary} on validation')
    return max(asked, key=lambda model: model.validation[primary], default=None)


def compare_with_baseline(
    models: Sequence[ModelResult],
    per_session: Mapping[str, FloatVector],
    *,
    baseline: str,
    groups: NDArray[Any] | None = None,
    seed: int = 0,
    n_draws: int = N_DRAWS,
    n_flips: int = N_FLIPS,
) -> tuple[ModelResult, ...]:
    """Test every model against the baseline on the primary metric; Holm over all of them.

    Parameters
    ----------
    models : sequence of ModelResult
    per_session : mapping
        Name of a model to its primary metric, float64 (n_sessions,), averaged over seeds.
    baseline : str
        Name of one of the models.
    groups : (n_sessions,), optional
        Whose session it is.
    seed : int
        Every comparison draws the same sessions.

    Returns
    -------
    tuple of ModelResult
        In the order given, ``versus`` filled in for all but the baseline.

    Raises
    ------
    ConfigError
        If the baseline is none of the models.
    """
    if baseline not in {model.name for model in models}:
        choices = ", ".join(model.name for model in models)
        raise ConfigError(f'the baseline "{baseline}" is not compared. Choose from: {choices}')
    tests = compare_pairs(
        {model.name: baseline for model in models if model.name != baseline},
        per_session,
        groups=groups,
        seed=seed,
        n_draws=n_draws,
        n_flips=n_flips,
    )
    return tuple(replace(model, versus=tests.get(model.name)) for model in models)


def compare_pairs(
    pairs: Mapping[str, str],
    per_session: Mapping[str, FloatVector],
    *,
    groups: NDArray[Any] | None = None,
    seed: int = 0,
    n_draws: int = N_DRAWS,
    n_flips: int = N_FLIPS,
) -> dict[str, Versus]:
    """Test models against another one each, Holm over all pairs; by the models' names.

    Parameters
    ----------
    pairs : mapping
        Name of a model to the name of the one that it is tested against.

    Raises
    ------
    ConfigError
        If one of them has no values by session.
    """
    tests = {
        name: _test(per_session, name, other, groups, seed, n_draws, n_flips)
        for name, other in pairs.items()
    }
    adjusted = holm([test.p_value for test in tests.values()])
    return {
        name: Versus(baseline=pairs[name], p_holm=p_holm, **asdict(test))
        for (name, test), p_holm in zip(tests.items(), adjusted, strict=True)
    }


def make_verdict(
    models: Sequence[ModelResult],
    per_session: Mapping[str, FloatVector],
    *,
    primary: str = "ndcg@20",
    scored_on: Literal["test", "validation"] = "test",
    groups: NDArray[Any] | None = None,
    seed: int = 0,
    n_draws: int = N_DRAWS,
    n_flips: int = N_FLIPS,
) -> Verdict:
    """Compare the best model with text with the best without, both chosen on validation.

    Parameters as in ``compare_with_baseline``; ``scored_on`` is where ``per_session`` is from. With
    the same seed the figures equal those of the leaderboard where the baseline is the best model
    without text. The p-value stands alone: one comparison, fixed before test was scored.

    Raises
    ------
    ConfigError
        If there is no model, or one has no validation value.
    """
    winner = best_on_validation(models, primary)
    if winner is None:
        raise ConfigError("a verdict needs at least one model")
    with_text = best_on_validation(models, primary, uses_text=True)
    without = best_on_validation(models, primary, uses_text=False)
    if with_text is None or without is None:
        kind = "with" if without is None else "without"
        return Verdict(
            winner=winner.name,
            with_text=None if with_text is None else with_text.name,
            without_text=None if without is None else without.name,
            sentence=f"Only models {kind} text took part, so this run cannot say whether text "
            f"helps. Best on validation: {winner.label}.",
        )
    test = _test(per_session, with_text.name, without.name, groups, seed, n_draws, n_flips)
    sentence = _sentence(
        with_text,
        without,
        test,
        means=(
            float(np.mean(per_session[with_text.name])),
            float(np.mean(per_session[without.name])),
        ),
        primary=primary,
        n_sessions=len(per_session[without.name]),
    )
    if scored_on == "validation":
        sentence += (
            " Measured on the validation sessions that also chose the models: expect less on test."
        )
    return Verdict(
        winner=winner.name,
        with_text=with_text.name,
        without_text=without.name,
        outcome=_outcome(test),
        extra_cost=_extra_cost(with_text, without),
        sentence=sentence,
        **asdict(test),
    )


def _test(
    per_session: Mapping[str, FloatVector],
    name: str,
    baseline: str,
    groups: NDArray[Any] | None,
    seed: int,
    n_draws: int,
    n_flips: int,
) -> Comparison:
    for each in (name, baseline):
        if each not in per_session:
            raise ConfigError(f'the model "{each}" has no values by session to compare')
    return paired_test(
        per_session[name],
        per_session[baseline],
        groups,
        rng=np.random.default_rng(seed),
        n_draws=n_draws,
        n_flips=n_flips,
    )


def _outcome(test: Comparison) -> Literal["better", "worse", "unclear"]:
    low, high = test.interval
    if low <= 0 <= high or test.p_value >= SIGNIFICANT:
        return "unclear"
    return "better" if test.absolute > 0 else "worse"


def _extra_cost(with_text: ModelResult, without: ModelResult) -> dict[str, float]:
    extra = {}
    for name in _COSTS:
        more, less = getattr(with_text.cost, name), getattr(without.cost, name)
        if more is not None and less is not None:
            extra[name] = more - less
    return extra


def _sentence(
    with_text: ModelResult,
    without: ModelResult,
    test: Comparison,
    *,
    means: tuple[float, float],
    primary: str,
    n_sessions: int,
) -> str:
    gain = f"{test.absolute:+.4f}" if test.relative is None else f"{test.relative:+.1%}"
    if test.relative_interval is None:
        span = f"{test.interval[0]:+.4f} to {test.interval[1]:+.4f}"
    else:
        span = f"{test.relative_interval[0]:+.1%} to {test.relative_interval[1]:+.1%}"
    facts = (
        f"{with_text.label}, the best model with text, reaches {primary} {figure(means[0])} "
        f"against {figure(means[1])} of {without.label}, the best without"
    )
    p_value = f"p = {test.p_value:.4f}" if test.p_value >= 0.00005 else "p < 0.0001"
    evidence = f"{gain} (95 % interval {span}, {p_value}, {n_sessions:,} sessions)"
    match _outcome(test):
        case "better":
            return f"Text helps: {facts}, {evidence}.{_price(with_text, without)}"
        case "worse":
            return f"Text does not help here: {facts}, {evidence}."
    low, high = test.interval
    reason = "the interval includes zero" if low <= 0 <= high else "the test does not confirm it"
    return (
        f"No clear difference: {facts}, {evidence}; {reason}, so it may be chance. "
        "More sessions would tell."
    )


def _price(with_text: ModelResult, without: ModelResult) -> str:
    seconds = _extra_cost(with_text, without).get("fit_s")
    if seconds is None:
        return ""
    size = abs(seconds)
    shown = f"{size:.1f} s" if size < 60 else f"{size / 60:.1f} min"
    return f" Fitting takes {shown} {'more' if seconds >= 0 else 'less'}."
