"""What each member adds to a hybrid: whose hits they are, and what is lost without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from llmseq.core import evaluate_lists
from llmseq.evaluation.significance import paired_test
from llmseq.experiment.contest import combined, lists_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmseq.data.sessions import HeldOut
    from llmseq.experiment.bench import Bench
    from llmseq.experiment.contender import Contender
    from llmseq.models.hybrid.config import HybridConfig
    from llmseq.recommendations import Recommendations
    from llmseq.types import FloatVector, OffsetArray, Ragged


def attributions(bench: Bench, contenders: Sequence[Contender]) -> dict[str, dict[str, Any]]:
    """Plain values for every hybrid of two members or more, on the scored part."""
    return {
        contender.name: _attribution(bench, contender, contender.hybrid)
        for contender in contenders
        if contender.hybrid is not None and len(contender.members) > 1
    }


def _attribution(bench: Bench, contender: Contender, config: HybridConfig) -> dict[str, Any]:
    """Trace the first seed's hits; what is lost without a member is over all seeds.

    Always with the settings that were chosen in the end: those of the folds differ.
    """
    part, metric = bench.scored, bench.spec.primary
    held_out = bench.held_out(part)
    members = {name: lists_of(bench, each, part) for name, each in contender.members.items()}
    whole = combined(bench, contender, config, members, part)
    full = _over_seeds(whole, held_out, metric)
    k = int(metric.partition("@")[2])
    first = {name: lists.per_seed[0] for name, lists in members.items()}
    traced = trace_hits(whole[0], first, held_out.targets, k=k)
    parts = config.parts() or {}
    for row in traced["members"]:
        name = row["name"]
        row["label"] = parts[name].label
        row["uses_text"] = contender.members[name].spec.uses_text
        row["role"] = "" if name == parts[name].model else name
        rest = config.without(name)
        if rest is not None:
            test = paired_test(
                full,
                _over_seeds(combined(bench, contender, rest, members, part), held_out, metric),
                held_out.prompts.users,
                rng=np.random.default_rng(bench.spec.seed),
            )
            row |= {"adds": test.absolute, "interval": list(test.interval)}
    return {"k": k, "value": float(np.mean(full)), **traced}


def trace_hits(
    whole: Recommendations, members: Mapping[str, Recommendations], targets: Ragged, *, k: int
) -> dict[str, Any]:
    """Say which members had the targets that a combined list holds.

    Parameters
    ----------
    whole
        The combined lists.
    members
        By name, lists for the same sessions.
    k
        Places in which a target counts as found.

    Returns
    -------
    dict
        ``n_hits``: targets in the first ``k`` places of the combined lists. ``nobody``: the share
        of them that no member has there. For each of ``members`` ``had`` and ``only``, the shares
        that it has in its first ``k`` places, and that no other has there too; ``mean_rank`` of
        those hits that its whole list holds, None where it holds none.
    """
    ranks = ranks_of(whole, targets)
    hits = (ranks > 0) & (ranks <= k)
    n_hits = int(hits.sum())
    own = {name: ranks_of(lists, targets)[hits] for name, lists in members.items()}
    found = np.array([(each > 0) & (each <= k) for each in own.values()])
    by_how_many = found.sum(axis=0)
    rows = [
        {
            "name": name,
            "had": _share(there, n_hits),
            "only": _share(there & (by_how_many == 1), n_hits),
            "mean_rank": float(own[name][own[name] > 0].mean()) if own[name].any() else None,
        }
        for name, there in zip(own, found, strict=True)
    ]
    return {"n_hits": n_hits, "nobody": _share(by_how_many == 0, n_hits), "members": rows}


def ranks_of(lists: Recommendations, targets: Ragged) -> OffsetArray:
    """Rank of every target in its session's list, from 1; 0 where it is not listed.

    Returns
    -------
    int64 (n_targets,)
    """
    same = lists.items[targets.rows] == targets.items[:, np.newaxis]
    ranks: OffsetArray = np.where(same.any(axis=1), same.argmax(axis=1) + 1, 0)
    return ranks


def _share(there: np.ndarray[Any, Any], n_hits: int) -> float:
    return float(there.sum()) / n_hits if n_hits else 0.0


def _over_seeds(per_seed: Sequence[Recommendations], held_out: HeldOut, metric: str) -> FloatVector:
    """Each session's metric, averaged over seeds."""
    k = int(metric.partition("@")[2])
    values: FloatVector = np.mean(
        [
            evaluate_lists(lists.items, held_out.targets, ks=(k,)).per_session[metric]
            for lists in per_seed
        ],
        axis=0,
    )
    return values
