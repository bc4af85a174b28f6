"""Approximate search by a graph of neighbours (HNSW), for catalogues that are slow to scan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field

from llmseq.config import Config
from llmseq.core import ItemIndex, top_k
from llmseq.errors import ArtifactError, MissingExtraError
from llmseq.types import Ragged

if TYPE_CHECKING:
    from pathlib import Path

    from llmseq.types import BoolArray, FloatMatrix, ItemArray, OffsetArray

_SPACES = {"dot": "ip", "cosine": "cosine", "euclidean": "l2"}
_WORTH_A_SCAN = 0.5  # of the items: finding so many in the graph costs more than scoring all


class ExactSearch(Config):
    """Every item is scored: the default."""

    method: Literal["exact"] = "exact"


class HnswSearch(Config):
    """A graph of neighbours is walked (Malkov and Yashunin 2018); extra ``ann``.

    Parameters
    ----------
    m
        Neighbours of an item in the graph.
    ef_construction
        Items in the beam while the graph is built: more is slower and finds more.
    ef
        Items in the beam of a search, all of which are scored exactly.
    """

    method: Literal["hnsw"] = "hnsw"
    m: int = Field(default=16, ge=2, le=256)
    ef_construction: int = Field(default=200, ge=1)
    ef: int = Field(default=100, ge=1)


Search = Annotated[ExactSearch | HnswSearch, Field(discriminator="method")]


class HnswIndex:
    """Finds items near a query in a graph, and lets the core rank what it found.

    Scores, order and ties are those of `llmseq.core.ItemIndex`; an item that the graph does not
    lead to is missed. No list is short for that: a query that needs half of the items, or for which
    the graph finds fewer than are asked for among those allowed, is answered by scoring all.

    The same vectors, settings and seed give the same graph, and a query's answer does not depend
    on the other queries, the threads, or, up to ``ef`` places, on how many are asked for.

    Parameters
    ----------
    vectors : float32 (n_items, dim)
    similarity
        ``"dot"``, ``"cosine"`` or ``"euclidean"``.
    graph : hnswlib.Index
        With an element for every item.
    ef
        See `HnswSearch`.
    """

    def __init__(self, vectors: FloatMatrix, similarity: str, graph: Any, ef: int) -> None:  # noqa: ANN401 - hnswlib is untyped
        self.similarity = similarity
        self._vectors = vectors
        self._graph = graph
        self._ef = ef
        self._scan: ItemIndex | None = None
        graph.set_ef(ef)

    @classmethod
    def build(cls, vectors: FloatMatrix, similarity: str, search: HnswSearch, *, seed: int) -> Self:
        """Make the graph, on one thread so that it follows from the seed.

        Raises
        ------
        MissingExtraError
            If hnswlib is not installed.
        """
        graph = _empty_graph(vectors, similarity)
        graph.init_index(
            len(vectors), M=search.m, ef_construction=search.ef_construction, random_seed=seed
        )
        graph.add_items(vectors, num_threads=1)
        return cls(vectors, similarity, graph, search.ef)

    @classmethod
    def open(cls, path: Path, vectors: FloatMatrix, similarity: str, search: HnswSearch) -> Self:
        """Read a graph that `save` wrote. hnswlib trusts its file: check its hash before.

        Raises
        ------
        ArtifactError
            If the file is damaged or holds another number of items.
        MissingExtraError
            If hnswlib is not installed.
        """
        graph = _empty_graph(vectors, similarity)
        try:
            graph.load_index(str(path))
        except RuntimeError as error:
            raise ArtifactError(f"{path}: damaged ({error}); save the model again") from error
        if graph.element_count != len(vectors):
            raise ArtifactError(
                f"{path}: holds {graph.element_count} items, the model has {len(vectors)}; "
                "save the model again"
            )
        return cls(vectors, similarity, graph, search.ef)

    def save(self, path: Path) -> None:
        """Write the graph in hnswlib's own format, vectors included."""
        self._graph.save_index(str(path))

    def search(
        self,
        queries: FloatMatrix,
        k: int,
        exclude: Ragged | None = None,
        candidates: BoolArray | None = None,
    ) -> tuple[ItemArray, FloatMatrix]:
        """Best ``k`` items of each query as far as the graph leads to them.

        Parameters and results are those of `llmseq.core.ItemIndex.search`.
        """
        allowed = np.ones(len(self._vectors), dtype=np.bool_) if candidates is None else candidates
        excluded = Ragged.from_lists([[]] * len(queries)) if exclude is None else exclude
        items = np.full((len(queries), k), -1, dtype=np.int32)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        left = []  # for the scan
        beams = _beams(k + excluded.lengths, float(allowed.mean()), self._ef)
        for row, beam in enumerate(beams.tolist()):
            query = queries[row : row + 1]
            near = self._near(query, beam) if beam < _WORTH_A_SCAN * len(allowed) else _NOTHING
            near = near[allowed[near] & ~np.isin(near, excluded[row])]
            if near.size < k:
                left.append(row)
                continue
            best, values = top_k(query, self._vectors[near], k, similarity=self.similarity)
            items[row], scores[row] = near[best[0]], values[0]
        if left:
            items[left], scores[left] = self._all().search(
                queries[left], k, exclude=excluded.take(np.array(left)), candidates=candidates
            )
        return items, scores

    def _near(self, query: FloatMatrix, beam: int) -> ItemArray:
        """Items near a query (1, dim), lower index first; none where the graph breaks off."""
        try:
            found, _ = self._graph.knn_query(query, k=beam, num_threads=1)
        except RuntimeError:  # parts of the graph are out of reach, as among many equal vectors
            return _NOTHING
        return np.sort(found[0].astype(np.int32))

    def _all(self) -> ItemIndex:
        if self._scan is None:
            self._scan = ItemIndex(self._vectors, self.similarity)
        return self._scan


_NOTHING: ItemArray = np.empty(0, dtype=np.int32)


def _beams(places: OffsetArray, share: float, ef: int) -> OffsetArray:
    """Items to find for each query, of which ``places`` are enough if a share of them counts."""
    needed = places / max(share, 1e-9)
    return np.asarray(np.maximum(2 ** np.ceil(np.log2(needed)), ef), dtype=np.int64)


def _empty_graph(vectors: FloatMatrix, similarity: str) -> Any:  # noqa: ANN401 - hnswlib is untyped
    try:
        import hnswlib
    except ModuleNotFoundError as missing:
        raise MissingExtraError('search.method = "hnsw"', "ann") from missing
    return hnswlib.Index(_SPACES[similarity], vectors.shape[1])
