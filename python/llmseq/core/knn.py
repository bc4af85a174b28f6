"""The session-kNN family over posting lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmseq import _core
from llmseq.core import arrays
from llmseq.core.threads import thread_count

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from llmseq.types import FloatMatrix, ItemArray


class SessionIndex:
    """Train sessions as sets of items, and for each item the sessions that hold it.

    Safe to share between threads.

    Parameters
    ----------
    items : int32 (n_events,)
        Item indices, session after session; repeats within a session count once.
    offsets : int64 (n_sessions + 1,)
        Where each session starts.
    n_items
        Size of the catalogue.
    order : int64 (n_sessions,)
        Recency of each session, higher = newer; needed by the sampling ``"recent"``.

    Raises
    ------
    ShapeError
        If offsets do not rise from 0 to the number of items, or ``order`` has another length.
    InvalidDataError
        If there is no session or an item is not in the catalogue.

    Examples
    --------
    >>> index = SessionIndex([0, 1, 0, 2], [0, 2, 4], n_items=3)
    >>> items, _ = index.search([1], [0, 1], k_items=2, k=5, sample_size=10)
    >>> items.tolist()
    [[0, -1]]
    """

    def __init__(
        self,
        items: ArrayLike,
        offsets: ArrayLike,
        n_items: int,
        *,
        order: ArrayLike | None = None,
    ) -> None:
        self._index = _core.SessionIndex(
            arrays.items(items, "items"),
            arrays.counts(offsets, "offsets"),
            arrays.count(n_items, "n_items"),
            None if order is None else arrays.counts(order, "order"),
        )

    @property
    def n_items(self) -> int:
        """Size of the catalogue."""
        return self._index.n_items

    @property
    def n_sessions(self) -> int:
        """Number of train sessions."""
        return self._index.n_sessions

    def search(
        self,
        prompt_items: ArrayLike,
        prompt_offsets: ArrayLike,
        k_items: int,
        *,
        k: int,
        sample_size: int,
        sampling: str = "random",
        similarity: str = "cosine",
        prompt_decay: str | None = None,
        idf_weighting: bool = False,
        last_n: int | None = None,
        seed: int = 0,
        exclude_seen: bool = True,
        candidates: ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> tuple[ItemArray, FloatMatrix]:
        """Best items for each prompt.

        Equal scores: the lower item first. A prompt without a known item, or without neighbours,
        gives an empty list.

        Parameters
        ----------
        prompt_items : int32 (n_events,)
            Item indices, prompt after prompt, oldest first.
        prompt_offsets : int64 (n_prompts + 1,)
            Where each prompt starts.
        k_items
            Places in a list, at least 1.
        k
            Neighbours that vote, 1 to ``sample_size``.
        sample_size
            Possible neighbours (train sessions sharing an item with the prompt) that are looked at.
        sampling
            Which, where there are more: ``"random"``, ``"recent"`` (largest ``order``), ``"idf"``
            (largest sum of idf over shared items) or ``"idf_greedy"`` (the sessions of the rarest
            prompt item, then of the next, until full). Equal ones: the lower session index.
        similarity
            ``"cosine"`` or ``"dot"`` of the prompt's weights and the neighbour's 0/1 vector.
        prompt_decay
            Weight by position i from the end: None 1, ``"linear"`` max(1e-4, 1 − 0.1 (i − 1)),
            ``"log"`` 1/(ln i + 1), ``"harmonic"`` 1/i, ``"quadratic"`` 1/i².
        idf_weighting
            Multiply an item's score with idf = 1 + ln(n_sessions / sessions that hold it).
        last_n
            Use only the last so many distinct known items of the prompt; None uses all.
        seed
            Of ``"random"``, 0 to 2⁶⁴ − 1. The sample depends on it and on the prompt's own items,
            so a prompt gets the same list whatever stands beside it.
        exclude_seen
            Leave all items of the prompt out of its list.
        candidates : bool (n_items,)
            False leaves an item out.
        n_threads
            See :func:`llmseq.core.thread_count`.

        Returns
        -------
        items : int32 (n_prompts, k_items)
            Best first; −1 where a list is short.
        scores : float32 (n_prompts, k_items)
            Sum of the similarities of the neighbours that hold the item; −inf where ``items`` is
            −1.

        Raises
        ------
        ShapeError
            If offsets do not rise from 0 to the number of items, or candidates have another length.
        InvalidDataError
            If a prompt item is not in the catalogue.
        ConfigError
            If a number is out of range, a name unknown, or ``"recent"`` is asked of an index
            without order.

        Notes
        -----
        The prompt is reduced to its distinct items that occur in train, each at its first
        occurrence, then cut to ``last_n``. Similarities and scores are float64 sums in a fixed
        order (prompt items oldest first; neighbours nearest first, equal ones by lower session
        index), rounded once to float32. Cost of a prompt: the posting lists of its items and the
        items of ``k`` sessions.
        """
        return self._index.search(
            arrays.items(prompt_items, "prompt items"),
            arrays.counts(prompt_offsets, "prompt offsets"),
            arrays.count(k_items, "k_items"),
            arrays.count(k, "k"),
            arrays.count(sample_size, "sample_size"),
            sampling,
            similarity,
            prompt_decay,
            idf_weighting,
            None if last_n is None else arrays.count(last_n, "last_n"),
            arrays.seed(seed),
            exclude_seen,
            arrays.mask(candidates, "candidates"),
            thread_count(n_threads),
        )
