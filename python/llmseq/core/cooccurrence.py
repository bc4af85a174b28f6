"""Which items stand near which others, smoothed by text neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmseq import _core
from llmseq.core import arrays
from llmseq.core.index_files import SavedIndex
from llmseq.core.threads import thread_count

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from llmseq.types import FloatMatrix, ItemArray


class CooccurrenceIndex(SavedIndex[_core.CooccurrenceIndex]):
    """Weighted pairs of items that stand near each other in train sessions.

    C[a, b] sums, over every event of item a, ``forward[d − 1]`` where item b stands d events later
    in the same session and ``backward[d − 1]`` where it stands d events before. A row of C is read
    divided by its sum to the power ``row_power``. With the text neighbours T of each item the
    scores of a prompt with weights p are ``p·((I + αT)·C·(I + βTᵀ) + γT)``: an item passes what it
    has on to its neighbours and takes from them, so that items without an event are reached through
    their text. The row sums are then those of (I + αT)·C.

    Safe to share between threads.

    Parameters
    ----------
    items : int32 (n_events,)
        Item indices, session after session, oldest first.
    offsets : int64 (n_sessions + 1,)
        Where each session starts.
    n_items
        Size of the catalogue.
    forward, backward : float64 (window,)
        Weights by distance, from 0; one may be longer than the other or empty.
    row_power
        From 0; 0 leaves popular items' rows as they are.
    near : (int32, float32), both (n_items, width)
        T: for each item its neighbours and their similarities, as ``ItemIndex.search`` gives them;
        −1 in missing places, similarities of 0 and below count as none. None: no smoothing.
    smoothing
        α, β, γ.
    n_threads
        See :func:`llmseq.core.thread_count`.

    Raises
    ------
    ShapeError
        If offsets do not rise from 0 to the number of items, or ``near`` is not one row an item.
    InvalidDataError
        If an item is not in the catalogue, or a similarity is not finite.
    ConfigError
        If a weight is below 0 or not finite.

    Examples
    --------
    >>> index = CooccurrenceIndex([0, 1, 2], [0, 3], 3, forward=[1.0, 0.5], backward=[])
    >>> items, scores = index.search([0], [0, 1], k=2)
    >>> items.tolist(), scores.tolist()
    ([[1, 2]], [[1.0, 0.5]])
    """

    _compiled = _core.CooccurrenceIndex

    def __init__(
        self,
        items: ArrayLike,
        offsets: ArrayLike,
        n_items: int,
        *,
        forward: ArrayLike,
        backward: ArrayLike = (),
        row_power: float = 0.0,
        near: tuple[ArrayLike, ArrayLike] | None = None,
        smoothing: tuple[float, float, float] = (0.0, 0.0, 0.0),
        n_threads: int | None = None,
    ) -> None:
        self._index = _core.CooccurrenceIndex(
            arrays.items(items, "items"),
            arrays.counts(offsets, "offsets"),
            arrays.count(n_items, "n_items"),
            arrays.weights(forward, "forward"),
            arrays.weights(backward, "backward"),
            row_power,
            None
            if near is None
            else (
                arrays.item_table(near[0], "near items"),
                arrays.matrix(near[1], "near scores"),
            ),
            smoothing,
            thread_count(n_threads),
        )

    @property
    def n_pairs(self) -> int:
        """Pairs of items that were counted."""
        return self._index.n_pairs

    def search(
        self,
        prompt_items: ArrayLike,
        prompt_offsets: ArrayLike,
        k: int,
        *,
        pooling: str = "harmonic",
        exclude_seen: bool = True,
        candidates: ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> tuple[ItemArray, FloatMatrix]:
        """Best items for each prompt, only those with a score above 0.

        Equal scores: the lower item first.

        Parameters
        ----------
        prompt_items : int32 (n_events,)
            Item indices, prompt after prompt, oldest first.
        prompt_offsets : int64 (n_prompts + 1,)
            Where each prompt starts.
        k
            Places in a list, at least 1.
        pooling
            Weight of a prompt's item by its position from the end, one of ``POOLINGS``; the weights
            of an item that repeats add up.
        exclude_seen
            Leave the items of the prompt out of its list.
        candidates : bool (n_items,)
            False leaves an item out.
        n_threads
            See :func:`llmseq.core.thread_count`.

        Returns
        -------
        items : int32 (n_prompts, k)
            Best first; −1 where a list is short.
        scores : float32 (n_prompts, k)
            −inf where ``items`` is −1.

        Raises
        ------
        ShapeError
            If offsets do not rise from 0 to the number of items, or candidates have another length.
        InvalidDataError
            If a prompt item is not in the catalogue.
        ConfigError
            If ``k`` is below 1 or the pooling unknown.

        Notes
        -----
        The product runs from left to right over the rows that a prompt reaches, so that no product
        of two of the matrices, which would be dense, is ever made. Sums are float64 in a fixed
        order, rounded once to float32.
        """
        return self._index.search(
            arrays.items(prompt_items, "prompt items"),
            arrays.counts(prompt_offsets, "prompt offsets"),
            arrays.count(k, "k"),
            pooling,
            exclude_seen,
            arrays.mask(candidates, "candidates"),
            thread_count(n_threads),
        )
