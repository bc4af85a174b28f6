"""Score ranked lists against held-out items: every metric, per session and in the mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llmseq.core import evaluate_lists, pool_sessions
from llmseq.data.sessions import HeldOut
from llmseq.errors import ConfigError, ShapeError
from llmseq.evaluation.significance import LEVEL, N_DRAWS, Interval, bootstrap_interval
from llmseq.types import CountArray, FloatMatrix, FloatVector, IdArray, ItemArray, Ragged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmseq.recommendations import Recommendations

KS = (10, 20)

_CHUNK = 65_536  # lists whose vectors are held at once


@dataclass(frozen=True, eq=False, slots=True)
class Evaluation:
    """Metrics of one model's lists.

    Parameters
    ----------
    means : mapping
        ``"ndcg@20"`` and so on to the mean over all sessions; a session without a list counts as a
        miss. What describes listed items (novelty, popularity lift, diversity) is a mean over the
        sessions that have some, and left out where none has. ``coverage@K`` and ``gini@K`` are of
        all lists together.
    per_session : mapping
        The same names, without coverage and Gini, to float64 (n_sessions,); NaN where a session has
        no items to describe.
    n_sessions : int
    """

    means: Mapping[str, float]
    per_session: Mapping[str, FloatVector]
    n_sessions: int

    def intervals(
        self,
        groups: ItemArray | IdArray | None = None,
        *,
        rng: np.random.Generator,
        n_draws: int = N_DRAWS,
        level: float = LEVEL,
    ) -> dict[str, Interval]:
        """Bootstrap interval of every metric that has a value a session.

        Parameters
        ----------
        groups : (n_sessions,), optional
            Whose session it is; people are drawn then, not sessions.
        """
        found = {}
        for name, values in self.per_session.items():
            some = ~np.isnan(values)
            people = None if groups is None else groups[some]
            found[name] = bootstrap_interval(
                values[some], people, rng=rng, n_draws=n_draws, level=level
            )
        return found


def evaluate(
    recommendations: Recommendations,
    held_out: HeldOut | Ragged,
    *,
    ks: Sequence[int] = KS,
    popularity: CountArray | None = None,
    n_items: int | None = None,
    vectors: FloatMatrix | None = None,
    n_threads: int | None = None,
) -> Evaluation:
    """Score lists. Nothing is drawn at random.

    Parameters
    ----------
    recommendations : Recommendations
        One list for each session of ``held_out``, in that order.
    held_out : HeldOut or Ragged
        The targets, one or several a session.
    ks : sequence of int
        Cut-offs. A list shorter than a cut-off is just short.
    popularity : int64 (n_items,), optional
        Events of each item in train; gives serendipity, novelty and popularity lift.
    n_items : int, optional
        Items in the catalogue; gives coverage and Gini.
    vectors : float32 (n_items, dim), optional
        Item vectors; gives the diversity inside a list, for cut-offs of 2 and more.
    n_threads : int, optional
        Upper bound of threads; None: all that the process may use.

    Raises
    ------
    ShapeError
        If there are not as many lists as sessions.
    ConfigError
        If a cut-off is below 1.

    Notes
    -----
    Definitions of the metrics: ``llmseq.core.evaluate_lists``. Diversity: ``list_diversity``.

    Examples
    --------
    >>> from llmseq import Recommendations
    >>> lists = Recommendations(np.array([[3, 1], [0, 2]]), np.array([[0.9, 0.2], [0.5, 0.4]]))
    >>> result = evaluate(lists, Ragged.from_lists([[1], [4]]), ks=(2,))
    >>> result.means["hr@2"], result.means["mrr@2"]
    (0.5, 0.25)
    """
    targets = held_out.targets if isinstance(held_out, HeldOut) else held_out
    cuts = check_cut_offs(ks)
    if len(recommendations) != len(targets):
        raise ShapeError(f"{len(recommendations)} lists but {len(targets)} sessions with targets")
    scored = evaluate_lists(
        recommendations.items,
        targets,
        ks=cuts,
        popularity=popularity,
        n_items=n_items,
        n_threads=n_threads,
    )
    means, per_session = dict(scored.means), dict(scored.per_session)
    if vectors is not None:
        diversity = list_diversity(recommendations.items, vectors, cuts, n_threads=n_threads)
        per_session |= diversity
        means |= {name: _mean(values) for name, values in diversity.items()}
    for name in [name for name, value in means.items() if np.isnan(value)]:
        del means[name], per_session[name]
    return Evaluation(means, per_session, len(targets))


def list_diversity(
    items: ItemArray,
    vectors: FloatMatrix,
    ks: Sequence[int],
    *,
    n_threads: int | None = None,
) -> dict[str, FloatVector]:
    """Intra-list diversity: 1 − mean cosine over all pairs of listed items, per session.

    Parameters
    ----------
    items : int32 (n_sessions, k)
        Lists; −1 where a list is short.
    vectors : float32 (n_items, dim)
        A row of zeros has cosine 0 with everything.
    ks : sequence of int
        Cut-offs; those below 2 have no pairs and are left out.

    Returns
    -------
    dict
        ``"diversity@K"`` to float64 (n_sessions,), NaN where fewer than two items are listed.

    Notes
    -----
    With unit vectors u, ‖Σu‖² = Σ‖u‖² + 2 Σ_{i<j} cos_ij, so that the mean over the m(m−1)/2 pairs
    is (‖Σu‖² − Σ‖u‖²) / (m(m−1)): one pass over a list instead of all pairs.
    """
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    unit = np.divide(vectors, norms, out=np.zeros(vectors.shape), where=norms > 0)
    unit32 = np.ascontiguousarray(unit, dtype=np.float32)
    squares = np.einsum("nd,nd->n", unit32, unit32, dtype=np.float64)
    diversity = {}
    for k in ks:
        if k < 2:
            continue
        values = np.zeros(items.shape[0])
        for start in range(0, items.shape[0], _CHUNK):
            top = items[start : start + _CHUNK, :k]
            listed = top >= 0
            lengths = listed.sum(axis=1)
            rows = Ragged.from_lengths(top[listed], lengths)
            mean = pool_sessions(unit32, rows.items, rows.offsets, "mean", n_threads=n_threads)
            of_sum = lengths**2 * np.einsum("sd,sd->s", mean, mean, dtype=np.float64)
            own = np.where(listed, squares[top], 0.0).sum(axis=1)
            pairs = lengths * (lengths - 1)
            cosine = np.divide(
                of_sum - own, pairs, out=np.full(pairs.size, np.nan), where=pairs > 0
            )
            values[start : start + _CHUNK] = np.clip(1.0 - cosine, 0.0, 2.0)
        diversity[f"diversity@{k}"] = values
    return diversity


def check_cut_offs(ks: Sequence[int]) -> tuple[int, ...]:
    """Cut-offs in rising order, each once.

    Raises
    ------
    ConfigError
        If there is none or one is below 1.
    """
    cuts = tuple(sorted({int(k) for k in ks}))
    if not cuts or cuts[0] < 1:
        raise ConfigError(f"k must be at least 1, got {', '.join(map(str, cuts)) or 'none'}")
    return cuts


def over_seeds(evaluations: Sequence[Evaluation]) -> tuple[Evaluation, dict[str, float]]:
    """Average the evaluations of one model fitted with several seeds.

    Each session's metric is averaged over the seeds, so that intervals and tests afterwards speak
    of the model and not of one lucky start.

    Returns
    -------
    Evaluation
        Means over seeds, of every metric.
    dict
        Standard deviation over seeds of every metric (of the sample, n − 1); empty for one seed.

    Raises
    ------
    ShapeError
        If there is none, or they are not of the same sessions.
    """
    if len({evaluation.n_sessions for evaluation in evaluations}) != 1:
        counts = [evaluation.n_sessions for evaluation in evaluations]
        raise ShapeError(f"expected evaluations of the same sessions, got {counts} sessions")
    first = evaluations[0]
    if len(evaluations) == 1:
        return first, {}
    names = [name for name in first.means if all(name in each.means for each in evaluations)]
    means = {name: [each.means[name] for each in evaluations] for name in names}
    per_session = {
        name: _mean_of_numbers(np.stack([each.per_session[name] for each in evaluations]))
        for name in names
        if name in first.per_session
    }
    averaged = Evaluation(
        {name: float(np.mean(values)) for name, values in means.items()},
        per_session,
        first.n_sessions,
    )
    return averaged, {name: float(np.std(values, ddof=1)) for name, values in means.items()}


def _mean(values: FloatVector) -> float:
    """Mean of the values that are numbers; NaN where there is none."""
    return float(_mean_of_numbers(values[:, None])[0])


def _mean_of_numbers(rows: FloatVector) -> FloatVector:
    """Mean of each column, NaN left out: (n_rows, n_columns) to (n_columns,)."""
    numbers = ~np.isnan(rows)
    n = numbers.sum(axis=0)
    sums = np.where(numbers, rows, 0.0).sum(axis=0)
    nothing: FloatVector = np.full(rows.shape[1], np.nan)
    np.divide(sums, n, out=nothing, where=n > 0)
    return nothing
