"""Linear reductions that need the vectors alone: principal components, random projection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llmseq.embeddings.reduce.reducer import BLOCK_ROWS, Reducer
from llmseq.errors import InvalidDataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llmseq.embeddings.reduce.config import ReductionConfig
    from llmseq.types import FloatMatrix, FloatVector

_RANK_TOLERANCE = 1e-6  # a few roundings of float32, against the largest singular value


def fit_random_projection(config: ReductionConfig, width: int) -> Reducer:
    """Draw Gaussian directions, scaled so that lengths stay on average."""
    dim, notes = kept_dim(config, width)
    # a stream of its own: vectors drawn elsewhere with the same seed must not be these directions
    rng = np.random.default_rng([config.seed, dim, width])
    components = rng.standard_normal((dim, width)) / np.sqrt(dim)
    return Reducer(
        config, np.zeros(width, dtype=np.float32), components.astype(np.float32), notes=notes
    )


def fit_principal_components(config: ReductionConfig, vectors: FloatMatrix) -> Reducer:
    """Find the directions of largest variance; with ``pca_whiten`` scale each to variance one.

    Raises
    ------
    InvalidDataError
        If there are fewer than two vectors, or all are equal.
    """
    n_rows = len(vectors)
    check_enough(vectors, "principal components")
    mean = vectors.mean(axis=0, dtype=np.float64)
    singular, directions = _directions(vectors, mean)
    rank = int(np.count_nonzero(singular > singular[0] * _RANK_TOLERANCE))
    dim, notes = kept_dim(config, min(rank, n_rows - 1))
    components = with_signs(directions[:dim])
    if config.method == "pca_whiten":
        components = components * (np.sqrt(n_rows - 1) / singular[:dim])[:, None]
    return Reducer(config, mean.astype(np.float32), components.astype(np.float32), notes=notes)


def _directions(vectors: FloatMatrix, mean: FloatVector) -> tuple[FloatVector, NDArray[np.float64]]:
    """Singular values, falling, and right singular vectors (rows) of the centred vectors."""
    n_rows, width = vectors.shape
    if n_rows <= width:
        _, singular, directions = np.linalg.svd(vectors - mean, full_matrices=False)
        return singular, directions
    squares = np.zeros((width, width))
    for start in range(0, n_rows, BLOCK_ROWS):
        block = vectors[start : start + BLOCK_ROWS] - mean
        squares += block.T @ block
    eigenvalues, columns = np.linalg.eigh(squares)
    return np.sqrt(np.maximum(eigenvalues[::-1], 0.0)), columns[:, ::-1].T


def check_enough(vectors: FloatMatrix, what: str) -> None:
    """Refuse vectors that nothing can be fitted on.

    Raises
    ------
    InvalidDataError
        If there are fewer than two, or all are equal.
    """
    if len(vectors) < 2:
        raise InvalidDataError(f"{what} need two vectors or more, got {len(vectors)}")
    if (vectors == vectors[0]).all():
        raise InvalidDataError(
            f"the {len(vectors):,} vectors are all equal, so there is nothing to fit {what} on; "
            "check the item texts"
        )


def with_signs(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn every direction (row) so that its entry of largest size is positive."""
    largest = np.argmax(np.abs(directions), axis=1)
    signs = np.sign(directions[np.arange(len(directions)), largest])
    return np.asarray(directions * signs[:, None])


def kept_dim(
    config: ReductionConfig, most: int, why: str = "the vectors span no more"
) -> tuple[int, tuple[str, ...]]:
    """Give the dimensions asked for, or the most that there are, with a note."""
    if config.dim is None or config.dim <= most:
        return config.dim or most, ()
    return most, (f"{config.method}: {most} dimensions instead of {config.dim}: {why}",)
