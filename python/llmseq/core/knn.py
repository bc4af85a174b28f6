"""The session-kNN family over posting lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from llmseq import _core
from llmseq.core import arrays
from llmseq.core.index_files import SavedIndex
from llmseq.core.threads import thread_count

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from llmseq.types import FloatMatrix, ItemArray

Sampling = Literal["random", "recent", "idf", "idf_greedy"]
Decay = Literal["linear", "log", "harmonic", "quadratic"]
SessionSimilarity = Literal["cosine", "dot"]


class SessionIndex(SavedIndex[_core.SessionIndex]):
    """Distinct items of train sessions, and for each item the sessions that hold it.

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
        Recency of each session, higher = newer; needed by the sampling ``"recent"`` and by
        ``newest``. Where similarities halve with age it is the time of the session's last event.
    newest
        Keep only the newest so many sessions of each item (VMIS-kNN): a bound on the work for a
        prompt however large the log is. Equally new: the lower session index. The idf still
        counts all sessions.
    followers
        Keep which items directly follow each item, for ``only_followers`` (SF-SKNN).
    vectors : float32 (n_items, dim)
        Item vectors, finite. With them sessions compare by their pooled vectors (SKNNEmb) and not
        by the items they share.
    pooling
        How a train session's vectors are pooled, one of ``POOLINGS``.
    n_threads
        See :func:`llmseq.core.thread_count`.

    Raises
    ------
    ShapeError
        If offsets do not rise from 0 to the number of items, ``order`` has another length, or the
        vectors are not one for each item.
    InvalidDataError
        If there is no session, an item is not in the catalogue or a vector not finite.
    ConfigError
        If ``newest`` is given without ``order``, or the pooling is unknown.

    Examples
    --------
    >>> index = SessionIndex([0, 1, 0, 2], [0, 2, 4], n_items=3)
    >>> items, _ = index.search([1], [0, 1], k_items=2, k=5, sample_size=10)
    >>> items.tolist()
    [[0, -1]]
    """

    _compiled = _core.SessionIndex

    def __init__(
        self,
        items: ArrayLike,
        offsets: ArrayLike,
        n_items: int,
        *,
        order: ArrayLike | None = None,
        newest: int | None = None,
        followers: bool = False,
        vectors: ArrayLike | None = None,
        pooling: str = "mean",
        n_threads: int | None = None,
    ) -> None:
        self._index = _core.SessionIndex(
            arrays.items(items, "items"),
            arrays.counts(offsets, "offsets"),
            arrays.count(n_items, "n_items"),
            None if order is None else arrays.counts(order, "order"),
            None if newest is None else arrays.count(newest, "newest"),
            followers,
            None if vectors is None else arrays.matrix(vectors, "vectors"),
            pooling,
            thread_count(n_threads),
        )

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
        prompt_pooling: str = "mean",
        backward: float = 1.0,
        sequential_weighting: bool = False,
        only_followers: bool = False,
        half_life: float | None = None,
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
            ``"cosine"`` or ``"dot"`` of the prompt's weights and the neighbour's 0/1 vector, or,
            where the index has vectors, of both sessions' pooled vectors.
        prompt_decay
            Weight by position i from the end: None 1, ``"linear"`` max(1e-4, 1 − 0.1 (i − 1)),
            ``"log"`` 1/(ln i + 1), ``"harmonic"`` 1/i, ``"quadratic"`` 1/i². Only for an index
            without vectors.
        prompt_pooling
            How an index with vectors pools those of the reduced prompt, one of ``POOLINGS``.
        backward
            Weight of a neighbour's items that stand before its newest shared item (the prompt's
            newest that it holds), as a share of the others'; finite, not below 0. Below 1 lists
            what comes next rather than what came before.
        sequential_weighting
            Multiply a neighbour's vote with x/n, x the place (1 = oldest) of its newest shared item
            in the reduced prompt of n items (S-SKNN).
        only_followers
            List only items that directly follow the prompt's newest known item somewhere in train
            (SF-SKNN); the index must be made with ``followers``.
        half_life
            Multiply a similarity with 2^(−age/half_life), age in units of ``order`` before the
            newest train session. Lists are the same for any later "now".
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
            Sum of the weighted similarities of the neighbours that hold the item; −inf where
            ``items`` is −1.

        Raises
        ------
        ShapeError
            If offsets do not rise from 0 to the number of items, or candidates have another length.
        InvalidDataError
            If a prompt item is not in the catalogue.
        ConfigError
            If a number is out of range, a name unknown, or the index was made without what is asked
            of it.

        Notes
        -----
        The prompt is reduced to its distinct items that occur in train, each at its first
        occurrence, then cut to ``last_n``. Only neighbours with a similarity above 0 vote.
        Similarities and scores are float64 sums in a fixed order (prompt items newest first;
        neighbours by the newest prompt item they share, then by session index), rounded once to
        float32. Cost of a prompt: the posting lists of its items, ``sample_size`` similarities and
        the items of ``k`` sessions.
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
            prompt_pooling,
            backward,
            sequential_weighting,
            only_followers,
            half_life,
            idf_weighting,
            None if last_n is None else arrays.count(last_n, "last_n"),
            arrays.seed(seed),
            exclude_seen,
            arrays.mask(candidates, "candidates"),
            thread_count(n_threads),
        )
