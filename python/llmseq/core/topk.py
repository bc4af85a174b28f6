"""Exact top-k over dense vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmseq import _core
from llmseq.core import arrays
from llmseq.core.index_files import SavedIndex
from llmseq.core.threads import thread_count

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from llmseq.core.arrays import RaggedLike
    from llmseq.types import FloatMatrix, ItemArray


class ItemIndex(SavedIndex[_core.ItemIndex]):
    """Item vectors ready to be searched; exact, and safe to share between threads.

    Items rank by one canonical score: sums of the float32 rows accumulated in float64 in index
    order, rounded once to float32. Equal scores: the lower index first. The work is done on 8-bit
    copies whose errors are bounded (``rust/src/topk/bound.rs``), with the best instructions of the
    machine; lists are the same on every machine and with any number of threads.

    An index holds the rows and one to two bytes a value beside them. Searches of few queries, or
    over very large catalogues, run in the calling thread and share their work with helper threads,
    which stay awake for half a millisecond after each; one call at a time has them.
    ``n_threads=1`` leaves them out.

    Parameters
    ----------
    vectors : float32 (n_items, dim)
        Finite; copied.
    similarity
        ``"dot"``; ``"cosine"``: the dot after each row and query is divided by its length in
        float64 and rounded to float32 (a zero row or query stays zero and scores 0);
        ``"euclidean"``: 1 / (1 + distance).
    n_threads
        Of the construction, see :func:`llmseq.core.thread_count`.

    Raises
    ------
    InvalidDataError
        If there is no item or a value is NaN or infinite (the first such row is named).
    ShapeError
        If ``vectors`` is not two-dimensional or has no column.
    ConfigError
        If the similarity is unknown or a row has more than 65,536 values.

    Examples
    --------
    >>> index = ItemIndex([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]])
    >>> items, scores = index.search([[1.0, 0.5]], k=2)
    >>> items.tolist(), scores.tolist()
    ([[2, 0]], [[2.0, 1.0]])
    """

    _compiled = _core.ItemIndex

    def __init__(
        self, vectors: ArrayLike, similarity: str = "dot", *, n_threads: int | None = None
    ) -> None:
        self._index = _core.ItemIndex(
            arrays.matrix(vectors, "vectors"), similarity, thread_count(n_threads)
        )

    @property
    def similarity(self) -> str:
        """How items and queries compare."""
        return self._index.similarity

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return self._index.dim

    def search(
        self,
        queries: ArrayLike,
        k: int,
        exclude: RaggedLike | None = None,
        candidates: ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> tuple[ItemArray, FloatMatrix]:
        """Best ``k`` items of each query.

        Parameters
        ----------
        queries : float32 (n_queries, dim)
            Finite.
        k
            Places in a list, at least 1; may exceed the number of items.
        exclude
            Items left out, one row a query.
        candidates : bool (n_items,)
            False leaves an item out for every query.
        n_threads
            See :func:`llmseq.core.thread_count`.

        Returns
        -------
        items : int32 (n_queries, k)
            Best first; −1 where fewer than ``k`` items are allowed.
        scores : float32 (n_queries, k)
            −inf where ``items`` is −1.

        Raises
        ------
        ShapeError
            If queries, exclusions or candidates have another size than the index or each other.
        InvalidDataError
            If a query is not finite or an excluded item does not exist.
        ConfigError
            If ``k`` is below 1.
        """
        return self._index.search(
            arrays.matrix(queries, "queries"),
            arrays.count(k, "k"),
            None if exclude is None else arrays.ragged(exclude, "exclude"),
            arrays.mask(candidates, "candidates"),
            thread_count(n_threads),
        )


def top_k(
    queries: ArrayLike,
    vectors: ArrayLike,
    k: int,
    *,
    similarity: str = "dot",
    exclude: RaggedLike | None = None,
    candidates: ArrayLike | None = None,
    n_threads: int | None = None,
) -> tuple[ItemArray, FloatMatrix]:
    """Best ``k`` items of each query, without keeping an index; see :class:`ItemIndex`.

    Examples
    --------
    >>> items, _ = top_k([[0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]], 3)
    >>> items.tolist()
    [[1, 0, -1]]
    """
    index = ItemIndex(vectors, similarity, n_threads=n_threads)
    return index.search(queries, k, exclude, candidates, n_threads)
