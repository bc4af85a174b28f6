"""Fewer dimensions: principal components, whitened or not, and Gaussian random projection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from llmseq.config import Config
from llmseq.embeddings.matrix import ItemEmbeddings, non_finite_rows, unit_rows
from llmseq.errors import InvalidDataError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from llmseq.types import BoolArray, FloatMatrix, FloatVector

_RANK_TOLERANCE = 1e-6  # a few roundings of float32, against the largest singular value
_BLOCK_ROWS = 8192


class ReductionConfig(Config):
    """How vectors are reduced before a model takes them.

    Parameters
    ----------
    method
        ``"none"``; ``"pca"``; ``"pca_whiten"``: every direction scaled to variance one;
        ``"random"``: Gaussian random projection.
    dim
        Dimensions kept; None: all there are. Above the rank of the vectors: their rank.
    unit_length
        Scale the results to length one; a zero vector stays zero.
    seed
        Of the random projection.
    """

    method: Literal["none", "pca", "pca_whiten", "random"] = "none"
    dim: int | None = Field(default=None, ge=1)
    unit_length: bool = True
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _dim_needs_a_method(self) -> Self:
        if self.method == "none" and self.dim is not None:
            raise ValueError('dim needs a method: "pca", "pca_whiten" or "random"')
        return self


@dataclass(frozen=True, eq=False, slots=True)
class Reducer:
    """A fitted reduction: ``(vectors − mean) @ components.T``, then unit length if so set.

    Parameters
    ----------
    config : ReductionConfig
    mean : float32 (width,), optional
        None, as ``components``: the vectors keep their dimensions.
    components : float32 (dim, width), optional
        Whitening included. The entry of a principal direction that is largest in size is positive.
    notes : tuple of str
        What a reader should know, for example that fewer dimensions were kept than asked.
    """

    config: ReductionConfig
    mean: NDArray[np.float32] | None = None
    components: FloatMatrix | None = None
    notes: tuple[str, ...] = ()

    def transform(self, vectors: FloatMatrix) -> FloatMatrix:
        """Reduce vectors (n_rows, width) to a new float32 (n_rows, dim).

        Sums are taken in float64 and rounded once.

        Raises
        ------
        ShapeError
            If the vectors are not as wide as those it was fitted on.
        """
        vectors = _checked(vectors)
        if self.components is None or self.mean is None:
            return unit_rows(vectors) if self.config.unit_length else vectors.copy()
        if vectors.shape[1] != self.mean.size:
            raise ShapeError(
                f"the reduction was fitted on vectors of width {self.mean.size}, "
                f"got {vectors.shape[1]}"
            )
        across = self.components.T.astype(np.float64)
        reduced = np.empty((len(vectors), across.shape[1]), dtype=np.float32)
        for start in range(0, len(vectors), _BLOCK_ROWS):
            block = vectors[start : start + _BLOCK_ROWS].astype(np.float64)
            reduced[start : start + _BLOCK_ROWS] = (block - self.mean) @ across
        return unit_rows(reduced) if self.config.unit_length else reduced

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Arrays to save; with the config they are the whole reducer."""
        if self.components is None or self.mean is None:
            return {}
        return {"mean": self.mean, "components": self.components}

    @classmethod
    def from_arrays(cls, config: ReductionConfig, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make again what ``arrays`` gave.

        Raises
        ------
        ShapeError
            If the arrays do not fit together or do not go with the config.
        """
        if config.method == "none" and not arrays:
            return cls(config)
        mean, components = arrays.get("mean"), arrays.get("components")
        if (
            mean is None
            or components is None
            or components.ndim != 2
            or components.shape[1:] != mean.shape
        ):
            shapes = {name: array.shape for name, array in arrays.items()}
            raise ShapeError(f"arrays of a {config.method} reduction do not fit: {shapes}")
        return cls(config, mean.astype(np.float32), components.astype(np.float32))


def fit_reducer(
    config: ReductionConfig, vectors: FloatMatrix, rows: BoolArray | None = None
) -> Reducer:
    """Fit a reduction.

    Parameters
    ----------
    config : ReductionConfig
    vectors : float32 (n_rows, width)
    rows : bool (n_rows,), optional
        Rows to fit on, those of warm items; None: all.

    Returns
    -------
    Reducer
        The same inputs give the same one.

    Raises
    ------
    InvalidDataError
        If a row holds NaN or infinity, or those to fit on are fewer than two or all equal.
    ShapeError
        If ``rows`` is not as long as there are vectors.
    """
    vectors = _checked(vectors)
    if rows is not None and rows.shape != vectors.shape[:1]:
        raise ShapeError(f"rows must be ({len(vectors)},), one a vector, got {rows.shape}")
    bad = non_finite_rows(vectors)
    if bad.any():
        raise InvalidDataError(f"the vector in row {int(np.argmax(bad))} holds NaN or infinity")
    match config.method:
        case "none":
            return Reducer(config)
        case "random":
            return _random_projection(config, vectors.shape[1])
        case "pca" | "pca_whiten":
            return _principal_components(config, vectors if rows is None else vectors[rows])


def reduce_embeddings(
    embeddings: ItemEmbeddings, config: ReductionConfig, rows: BoolArray | None = None
) -> ItemEmbeddings:
    """Fit on some items and reduce all.

    Items that got the mean for want of a vector (``embeddings.filled``) are not fitted on, and
    after principal components they are zero, like to nothing: scaled to length one, the little
    that is left of a mean would be as loud as any vector.

    Parameters
    ----------
    embeddings : ItemEmbeddings
    config : ReductionConfig
    rows : bool (n_items,), optional
        Items to fit on, the warm ones; None: all.

    Returns
    -------
    ItemEmbeddings
        ``origin`` has the new dim, ``reduction`` (the settings) and further ``notes``.
    """
    return apply_reducer(fit_item_reducer(config, embeddings, rows), embeddings)


def fit_item_reducer(
    config: ReductionConfig, embeddings: ItemEmbeddings, rows: BoolArray | None = None
) -> Reducer:
    """Fit on some items (None: all), but never on those that got the mean for want of a vector."""
    filled = embeddings.filled
    if filled is not None:
        rows = ~filled if rows is None else rows & ~filled
    return fit_reducer(config, embeddings.vectors, rows)


def apply_reducer(reducer: Reducer, embeddings: ItemEmbeddings) -> ItemEmbeddings:
    """Reduce the vectors of items, of those it was fitted on or of others; see `reduce_embeddings`.

    Raises
    ------
    ShapeError
        If the vectors are not as wide as those it was fitted on.
    """
    filled, config = embeddings.filled, reducer.config
    vectors = reducer.transform(embeddings.vectors)
    if filled is not None and config.method in {"pca", "pca_whiten"}:
        vectors[filled] = 0.0
    origin = {
        **embeddings.origin,
        "dim": int(vectors.shape[1]),
        "reduction": config.to_dict(),
        "notes": [*embeddings.origin.get("notes", ()), *reducer.notes],
    }
    return ItemEmbeddings(vectors, origin, filled)


def _random_projection(config: ReductionConfig, width: int) -> Reducer:
    dim, notes = _dim(config, width)
    # a stream of its own: vectors drawn elsewhere with the same seed must not be these directions
    rng = np.random.default_rng([config.seed, dim, width])
    components = rng.standard_normal((dim, width)) / np.sqrt(dim)
    return Reducer(config, np.zeros(width, dtype=np.float32), components.astype(np.float32), notes)


def _principal_components(config: ReductionConfig, vectors: FloatMatrix) -> Reducer:
    n_rows = len(vectors)
    if n_rows < 2:
        raise InvalidDataError(f"principal components need two vectors or more, got {n_rows}")
    mean = vectors.mean(axis=0, dtype=np.float64)
    singular, directions = _directions(vectors, mean)
    rank = int(np.count_nonzero(singular > singular[0] * _RANK_TOLERANCE))
    if rank == 0:
        raise InvalidDataError(
            f"the {n_rows:,} vectors are all equal and have no principal components; "
            "check the item texts"
        )
    dim, notes = _dim(config, min(rank, n_rows - 1))
    components = directions[:dim]
    largest = np.argmax(np.abs(components), axis=1)
    components = components * np.sign(components[np.arange(dim), largest])[:, None]
    if config.method == "pca_whiten":
        components = components * (np.sqrt(n_rows - 1) / singular[:dim])[:, None]
    return Reducer(config, mean.astype(np.float32), components.astype(np.float32), notes)


def _directions(vectors: FloatMatrix, mean: FloatVector) -> tuple[FloatVector, NDArray[np.float64]]:
    """Singular values, falling, and right singular vectors (rows) of the centred vectors."""
    n_rows, width = vectors.shape
    if n_rows <= width:
        _, singular, directions = np.linalg.svd(vectors - mean, full_matrices=False)
        return singular, directions
    squares = np.zeros((width, width))
    for start in range(0, n_rows, _BLOCK_ROWS):
        block = vectors[start : start + _BLOCK_ROWS] - mean
        squares += block.T @ block
    eigenvalues, columns = np.linalg.eigh(squares)
    return np.sqrt(np.maximum(eigenvalues[::-1], 0.0)), columns[:, ::-1].T


def _dim(config: ReductionConfig, rank: int) -> tuple[int, tuple[str, ...]]:
    if config.dim is None or config.dim <= rank:
        return config.dim or rank, ()
    return rank, (
        f"{config.method}: {rank} dimensions instead of {config.dim}: the vectors span no more",
    )


def _checked(vectors: FloatMatrix) -> FloatMatrix:
    vectors = np.asarray(vectors, dtype=np.float32)
    if vectors.ndim != 2:
        raise ShapeError(f"vectors must be (n_rows, width), got {vectors.shape}")
    return vectors
