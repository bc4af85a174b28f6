"""From lists to the leaderboard and its verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmseq.evaluation.evaluate import Evaluation, evaluate, over_seeds
from llmseq.evaluation.leaderboard import Cost, Leaderboard, ModelResult, Protocol, Seeds
from llmseq.evaluation.verdict import (
    best_on_validation,
    compare_pairs,
    compare_with_baseline,
    make_verdict,
)
from llmseq.experiment.environment import environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmseq.experiment.bench import Bench, ListPart
    from llmseq.experiment.contender import Contender, Lists
    from llmseq.types import CountArray


@dataclass(frozen=True, eq=False, slots=True)
class Scores:
    """Every model's evaluation on the scored part, averaged over seeds, and the leaderboard."""

    evaluations: Mapping[str, Evaluation]
    board: Leaderboard


def popularity(bench: Bench, part: ListPart) -> CountArray:
    """Events that an item's popularity is counted on: those before the part."""
    return (bench.split.fit if part == "select" else bench.split.train).item_counts()


def evaluate_all(
    bench: Bench, lists: Mapping[str, Lists], part: ListPart
) -> tuple[dict[str, Evaluation], dict[str, Seeds]]:
    """Score every model's lists for a part, over all seeds."""
    counts = popularity(bench, part)
    vectors = next((made.vectors for made in bench.embeddings.values()), None)
    evaluations, seeds = {}, {}
    for name, made in lists.items():
        several = [
            evaluate(
                per_seed,
                bench.held_out(part),
                ks=bench.spec.ks,
                popularity=counts,
                n_items=bench.dataset.n_items,
                vectors=vectors,
                n_threads=bench.spec.n_threads,
            )
            for per_seed in made.per_seed
        ]
        evaluations[name], spread = over_seeds(several)
        seeds[name] = Seeds(len(several), spread.get(bench.spec.primary), spread)
    return evaluations, seeds


def score_all(
    bench: Bench,
    contenders: Sequence[Contender],
    select: Mapping[str, Lists],
    scored: Mapping[str, Lists],
    *,
    refitted: Mapping[str, Lists] | None = None,
    test_scorings: int = 0,
    command: str = "",
) -> Scores:
    """Make the leaderboard.

    Parameters
    ----------
    select, scored
        Every contender's lists for the select part and for the part that the leaderboard is of.
    refitted
        Lists for test of models fitted again on all of train.
    test_scorings
        How often the test part was scored so far.
    command
        What started the run.
    """
    spec, part = bench.spec, bench.scored
    validation, seeds = evaluate_all(bench, select, "select")
    evaluations = validation
    if part == "test":
        evaluations, seeds = evaluate_all(bench, scored, "test")
    again = evaluate_all(bench, refitted, "test")[0] if refitted else {}
    users = bench.held_out(part).prompts.users
    results = [
        ModelResult(
            name=contender.name,
            label=contender.spec.label,
            uses_text=contender.spec.uses_text,
            config=contender.config.to_dict(),
            validation=dict(validation[contender.name].means),
            metrics=dict(evaluations[contender.name].means),
            interval=evaluations[contender.name].intervals(
                users, rng=np.random.default_rng(spec.seed)
            ),
            seeds=seeds[contender.name],
            cost=_cost(contender, scored[contender.name]),
            refit=dict(again[contender.name].means) if contender.name in again else {},
            published=dict(contender.spec.published),
            substitutions=contender.spec.substitutions,
            at=contender.spec.at,
        )
        for contender in contenders
    ]
    # Who was asked with shuffled prompts shows what order is worth, and is nobody's choice.
    in_order = {each.name for each in contenders if each.spec.prompts == "ordered"}
    in_order = in_order or {each.name for each in contenders}
    baseline = spec.baseline or _default_baseline(
        [result for result in results if result.name in in_order], spec.primary
    )
    per_session = {
        name: evaluation.per_session[spec.primary] for name, evaluation in evaluations.items()
    }
    pairs = compare_pairs(
        {model.name: model.against for model in spec.models if model.against},
        per_session,
        groups=users,
        seed=spec.seed,
    )
    compared = compare_with_baseline(
        [replace(result, against=pairs.get(result.name)) for result in results],
        per_session,
        baseline=baseline,
        groups=users,
        seed=spec.seed,
    )
    choices = [result for result in compared if result.name in in_order]
    verdict = make_verdict(
        choices,
        per_session,
        primary=spec.primary,
        scored_on=spec.score,
        groups=users,
        seed=spec.seed,
    )
    refit_verdict = None
    if verdict.outcome != "untested" and {verdict.with_text, verdict.without_text} <= set(again):
        refit_verdict = make_verdict(
            [result for result in choices if result.name in again],
            {name: evaluation.per_session[spec.primary] for name, evaluation in again.items()},
            primary=spec.primary,
            groups=users,
            seed=spec.seed,
        )
    report = bench.split.report
    protocol = Protocol(
        split=report["method"],
        validation=report["validation"],
        primary=spec.primary,
        baseline=baseline,
        scored_on=spec.score,
        n_sessions=len(bench.held_out(part)),
        axis=spec.axis,
        substitutions=spec.substitutions,
    )
    board = Leaderboard(
        {**_dataset(bench), "test_scorings": test_scorings},
        protocol,
        environment(spec, command),
        verdict,
        compared,
        refit_verdict,
    )
    return Scores(evaluations, board)


def _default_baseline(results: Sequence[ModelResult], primary: str) -> str:
    best = best_on_validation(results, primary, uses_text=False)
    return (best or results[0]).name


def _cost(contender: Contender, lists: Lists) -> Cost:
    """Of a hybrid: its members together."""
    parts = [_fit_cost(each) for each in contender.fitted()]
    own = parts[0] if contender.hybrid is None else None
    return Cost(
        fit_s=sum(part.fit_s or 0.0 for part in parts),
        recommend_s=lists.recommend_s,
        peak_memory_mib=max(
            *(part.peak_memory_mib or 0.0 for part in parts), lists.peak_memory_mib
        ),
        parameters=sum(part.parameters or 0 for part in parts),
        epochs=own.epochs if own else None,
        best_epoch_s=own.best_epoch_s if own else None,
    )


def _fit_cost(contender: Contender) -> Cost:
    """Mean over seeds; the most memory of any."""
    stages = [fitted.stage for fitted in contender.fits]
    epochs = [fitted.summary["epochs"] for fitted in contender.fits]
    trained = [
        sum(row["seconds"] for row in fitted.summary["history"][: fitted.summary["epochs"]])
        for fitted in contender.fits
    ]
    return Cost(
        fit_s=float(np.mean([stage.values["fit_s"] for stage in stages])),
        peak_memory_mib=max(stage.peak_memory_mib for stage in stages),
        parameters=int(contender.fits[0].summary["parameters"]),
        epochs=None if None in epochs else float(np.mean(epochs)),
        best_epoch_s=float(np.mean(trained)) if any(trained) else None,
    )


def _dataset(bench: Bench) -> dict[str, Any]:
    sessions = bench.dataset.sessions
    return {
        "name": Path(bench.spec.dataset).name,
        "path": bench.spec.dataset,
        "fingerprint": bench.spec.fingerprint,
        "n_sessions": len(sessions),
        "n_events": sessions.n_events,
        "n_items": bench.dataset.n_items,
    }
