"""What the report shows besides the leaderboard: details.json."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmseq.data.held_out import target_popularity
from llmseq.evaluation.breakdown import Grouping, by_prompt_length, by_target_popularity
from llmseq.experiment.attribution import attributions
from llmseq.experiment.scores import Scores, popularity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmseq.experiment.bench import Bench
    from llmseq.experiment.contender import Contender, Lists
    from llmseq.types import OffsetArray

SCHEMA = 1
_SAMPLES = 8
_SAMPLE_PLACES = 10
_SAMPLE_PROMPT = 12


def details(
    bench: Bench,
    contenders: Sequence[Contender],
    lists: Mapping[str, Lists],
    scores: Scores,
    *,
    warnings: Sequence[str],
    test_scorings: int,
) -> dict[str, Any]:
    """Plain values of details.json.

    Parameters
    ----------
    lists
        Every contender's lists for the scored part.
    """
    held_out = bench.held_out(bench.scored)
    counts = popularity(bench, bench.scored)
    sessions = bench.dataset.sessions
    return {
        "schema": SCHEMA,
        "title": Path(bench.spec.dataset).name,
        "dataset": {
            "n_sessions": len(sessions),
            "n_events": sessions.n_events,
            "n_items": bench.dataset.n_items,
        },
        "split": _split(bench),
        "embeddings": {name: dict(made.origin) for name, made in bench.embeddings.items()},
        "warnings": list(warnings),
        "test_scorings": test_scorings,
        "primary": bench.spec.primary,
        "breakdown": {
            "prompt_length": _breakdown(by_prompt_length(held_out), bench, scores),
            "target_popularity": _breakdown(by_target_popularity(held_out, counts), bench, scores),
        },
        "samples": _samples(bench, contenders, lists),
        "fusion_members": {
            contender.name: [part.label if part.settings else part.model for part in parts.values()]
            for contender in contenders
            if contender.hybrid is not None and (parts := contender.hybrid.parts())
        },
        "attribution": attributions(bench, contenders),
        "choices": {
            contender.name: {
                "in_sample": contender.choice.in_sample,
                "cross_fitted": max(trial.validation for trial in contender.trials),
                "n_folds": len(contender.choice.folds),
            }
            for contender in contenders
            if contender.choice is not None and contender.choice.is_open
        },
        "history": {
            contender.name: history
            for contender in contenders
            if contender.fits and (history := list(contender.fits[0].summary["history"]))
        },
        "grids": {
            contender.name: [
                {"settings": dict(trial.settings), "validation": trial.validation}
                for trial in contender.trials
            ]
            for contender in contenders
            if len(contender.trials) > 1
        },
        "stages": [
            {"name": stage.name, "seconds": round(stage.seconds, 3)} for stage in bench.store.used
        ],
    }


def _split(bench: Bench) -> dict[str, Any]:
    """Add how popular the targets are: only now, when every choice is made."""
    report = dict(bench.split.report)
    parts = {"select": target_popularity(bench.split.select, bench.split.fit.item_counts())}
    if bench.scored == "test":
        parts["test"] = target_popularity(bench.split.test, bench.split.train.item_counts())
    return {**report, "target_popularity": parts}


def _breakdown(grouping: Grouping, bench: Bench, scores: Scores) -> list[dict[str, Any]]:
    rows = []
    for code, label in enumerate(grouping.labels):
        inside = grouping.codes == code
        if not inside.any():
            continue
        models = {
            name: float(evaluation.per_session[bench.spec.primary][inside].mean())
            for name, evaluation in scores.evaluations.items()
        }
        rows.append({"group": label, "n_sessions": int(inside.sum()), "models": models})
    return rows


def _samples(
    bench: Bench, contenders: Sequence[Contender], lists: Mapping[str, Lists]
) -> list[dict[str, Any]]:
    """Sessions with every model's first places, the first seed's.

    Half are drawn among those that some model hits, half among all others, so that successes and
    failures can both be looked at.
    """
    held_out = bench.held_out(bench.scored)
    titles = [
        title or item
        for title, item in zip(
            bench.dataset.catalogue.titles, bench.dataset.catalogue.ids, strict=True
        )
    ]
    first = held_out.targets.items[held_out.targets.offsets[:-1]]
    tops = {
        contender.name: lists[contender.name].per_seed[0].items[:, :_SAMPLE_PLACES]
        for contender in contenders
    }
    hit = np.any([(top == first[:, None]).any(axis=1) for top in tops.values()], axis=0)
    samples = []
    for row in _draw(hit, np.random.default_rng(bench.spec.seed)):
        target = int(first[row])
        prompt = held_out.prompts[int(row)][-_SAMPLE_PROMPT:]
        samples.append(
            {
                "session_id": str(held_out.prompts.ids[row]),
                "prompt": [titles[item] for item in prompt],
                "target": titles[target],
                "lists": {
                    name: [
                        {"title": titles[item], "hit": bool(item == target)}
                        for item in top[row]
                        if item >= 0
                    ]
                    for name, top in tops.items()
                },
            }
        )
    return samples


def _draw(hit: np.ndarray[Any, Any], rng: np.random.Generator) -> OffsetArray:
    hits, misses = np.flatnonzero(hit), np.flatnonzero(~hit)
    n_hits = min(hits.size, max(_SAMPLES // 2, _SAMPLES - misses.size))
    n_misses = min(misses.size, _SAMPLES - n_hits)
    drawn = [rng.choice(hits, n_hits, replace=False), rng.choice(misses, n_misses, replace=False)]
    return np.asarray(np.concatenate(drawn), dtype=np.int64)
