"""Session vectors from item vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from llmseq import _core
from llmseq.core import arrays
from llmseq.core.threads import thread_count

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from llmseq.types import FloatMatrix

Pooling = Literal[
    "last",
    "mean",
    "constant_linear",
    "scaling_linear",
    "scaling_quadratic",
    "scaling_cubic",
    "log",
    "harmonic",
    "harmonic_squared",
]

POOLINGS: tuple[str, ...] = get_args(Pooling)
"""Names that ``pool_sessions`` knows."""


def pool_sessions(
    item_vectors: ArrayLike,
    items: ArrayLike,
    offsets: ArrayLike,
    pooling: str = "harmonic",
    n_threads: int | None = None,
) -> FloatMatrix:
    """Weighted mean of the item vectors of each session.

    Sums run in float64 from the oldest item to the newest, are divided by the sum of the weights
    and rounded once. An empty session gives a zero vector.

    Parameters
    ----------
    item_vectors : float32 (n_items, dim)
        Finite.
    items : int32 (n_events,)
        Item indices, session after session, oldest first.
    offsets : int64 (n_sessions + 1,)
        Where each session starts.
    pooling
        One of ``POOLINGS``; see the notes.
    n_threads
        See :func:`llmseq.core.thread_count`.

    Returns
    -------
    float32 (n_sessions, dim)

    Raises
    ------
    ShapeError
        If offsets do not rise from 0 to the number of items.
    InvalidDataError
        If a vector is not finite or an item is not in the table.
    ConfigError
        If the pooling is unknown.

    Notes
    -----
    Weight of the item at position i from the end (1 = newest) of a session of length n:
    ``last`` 1 for i = 1, else 0; ``mean`` 1; ``constant_linear`` max(1e-5, 1 − 0.1 (i − 1));
    ``scaling_linear`` max(1e-5, 1 − (i − 1)/n); ``scaling_quadratic`` and ``scaling_cubic`` its
    square and cube; ``log`` 1/(ln i + 1); ``harmonic`` 1/i; ``harmonic_squared`` 1/i².

    Examples
    --------
    >>> pool_sessions([[1.0, 0.0], [0.0, 3.0]], [0, 1], [0, 2], "harmonic").round(3).tolist()
    [[0.3330000042915344, 2.0]]
    """
    return _core.pool_sessions(
        arrays.matrix(item_vectors, "item_vectors"),
        arrays.items(items, "items"),
        arrays.counts(offsets, "offsets"),
        pooling,
        thread_count(n_threads),
    )
