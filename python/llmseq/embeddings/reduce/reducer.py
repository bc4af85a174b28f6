"""A fitted reduction: plain arrays, whatever it was fitted by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from llmseq.embeddings.matrix import unit_rows
from llmseq.errors import ShapeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from llmseq.embeddings.reduce.config import ReductionConfig
    from llmseq.types import FloatMatrix

BLOCK_ROWS = 8192


@dataclass(frozen=True, eq=False, slots=True)
class HiddenLayer:
    """What an autoencoder has before its last map: ``tanh(x @ weights.T + bias) − mean``.

    Parameters
    ----------
    weights : float32 (n_hidden, width)
    bias, mean : float32 (n_hidden,)
        ``mean``: of the activations of what was fitted on, so that the results have mean zero.
    """

    weights: FloatMatrix
    bias: NDArray[np.float32]
    mean: NDArray[np.float32]

    def __call__(self, centred: NDArray[np.float64]) -> NDArray[np.float64]:
        """Activations (n_rows, n_hidden) of centred vectors (n_rows, width)."""
        return np.asarray(np.tanh(centred @ self.weights.T + self.bias) - self.mean)


@dataclass(frozen=True, eq=False, slots=True)
class Reducer:
    """A fitted reduction: ``(vectors − mean) @ components.T``, then unit length if so set.

    Parameters
    ----------
    config : ReductionConfig
    mean : float32 (width,), optional
        None, as ``components``: the vectors keep their dimensions.
    components : float32 (dim, width), optional
        Whitening included; (dim, n_hidden) after a hidden layer. The entry of a principal or
        discriminant direction that is largest in size is positive.
    hidden : HiddenLayer, optional
        Of an autoencoder.
    notes : tuple of str
        What a reader should know, for example that fewer dimensions were kept than asked.
    """

    config: ReductionConfig
    mean: NDArray[np.float32] | None = None
    components: FloatMatrix | None = None
    hidden: HiddenLayer | None = None
    notes: tuple[str, ...] = ()

    def transform(self, vectors: FloatMatrix) -> FloatMatrix:
        """Reduce vectors (n_rows, width) to a new float32 (n_rows, dim).

        Sums are taken in float64 and rounded once.

        Raises
        ------
        ShapeError
            If the vectors are not as wide as those it was fitted on.
        """
        vectors = as_matrix(vectors)
        if self.components is None or self.mean is None:
            return unit_rows(vectors) if self.config.unit_length else vectors.copy()
        if vectors.shape[1] != self.mean.size:
            raise ShapeError(
                f"the reduction was fitted on vectors of width {self.mean.size}, "
                f"got {vectors.shape[1]}"
            )
        across = self.components.T.astype(np.float64)
        reduced = np.empty((len(vectors), across.shape[1]), dtype=np.float32)
        for start in range(0, len(vectors), BLOCK_ROWS):
            block = vectors[start : start + BLOCK_ROWS].astype(np.float64) - self.mean
            if self.hidden is not None:
                block = self.hidden(block)
            reduced[start : start + BLOCK_ROWS] = block @ across
        return unit_rows(reduced) if self.config.unit_length else reduced

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Arrays to save; with the config they are the whole reducer."""
        if self.components is None or self.mean is None:
            return {}
        arrays = {"mean": self.mean, "components": self.components}
        if self.hidden is not None:
            arrays |= {
                "hidden_weights": self.hidden.weights,
                "hidden_bias": self.hidden.bias,
                "hidden_mean": self.hidden.mean,
            }
        return arrays

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
        names = {"mean", "components"}
        if config.method == "autoencoder":
            names |= {"hidden_weights", "hidden_bias", "hidden_mean"}
        if set(arrays) != names or not _fit_together(arrays):
            shapes = {name: array.shape for name, array in arrays.items()}
            raise ShapeError(f"arrays of a {config.method} reduction do not fit: {shapes}")
        floats = {name: np.asarray(array, dtype=np.float32) for name, array in arrays.items()}
        hidden = None
        if "hidden_weights" in floats:
            hidden = HiddenLayer(
                *(floats[f"hidden_{name}"] for name in ("weights", "bias", "mean"))
            )
        return cls(config, floats["mean"], floats["components"], hidden)


def as_matrix(vectors: FloatMatrix) -> FloatMatrix:
    """Give vectors as float32 (n_rows, width).

    Raises
    ------
    ShapeError
        If they are no matrix.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    if vectors.ndim != 2:
        raise ShapeError(f"vectors must be (n_rows, width), got {vectors.shape}")
    return vectors


def _fit_together(arrays: Mapping[str, NDArray[Any]]) -> bool:
    mean, components = arrays["mean"], arrays["components"]
    if mean.ndim != 1 or components.ndim != 2:
        return False
    if "hidden_weights" not in arrays:
        return bool(components.shape[1] == mean.size)
    n_hidden = components.shape[1]
    return bool(
        arrays["hidden_weights"].shape == (n_hidden, mean.size)
        and arrays["hidden_bias"].shape == arrays["hidden_mean"].shape == (n_hidden,)
    )
