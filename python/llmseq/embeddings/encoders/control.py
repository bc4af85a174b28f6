"""Vectors that must not help: another encoder's, with their meaning taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from llmseq.storage import fingerprint

if TYPE_CHECKING:
    from llmseq.embeddings.encoders.file import VectorFile
    from llmseq.embeddings.encoders.protocol import Encoder
    from llmseq.types import FloatMatrix

Kind = Literal["permuted", "spectrum"]
CONTROLS: tuple[Kind, ...] = get_args(Kind)
_NOTES: dict[Kind, str] = {
    "permuted": "each item has the vector of another item, drawn at random",
    "spectrum": "random vectors with the mean and the covariance of the encoder's",
}


class ControlVectors:
    """An encoder whose vectors say nothing of their items.

    Parameters
    ----------
    kind
        ``"permuted"``: the vectors of the items that have one change places at random.
        ``"spectrum"``: random vectors with the same mean and covariance, so that they span the same
        directions as unevenly.
    base
        Whose vectors they are.
    seed
        Of the draw.
    """

    def __init__(self, kind: Kind, base: Encoder | VectorFile, seed: int = 0) -> None:
        self.name = f"{kind}:{base.name}"
        self.base = base
        self._kind = kind
        self._seed = seed

    def fingerprint(self) -> str:
        """Hash the encoder's and what is done with its vectors: 32 hex digits."""
        return fingerprint(self._kind, self._seed, self.base.fingerprint())

    def note(self) -> str:
        """Say what a reader must know."""
        return _NOTES[self._kind]

    def make(self, vectors: FloatMatrix) -> FloatMatrix:
        """Take the meaning away, float32 (n_items, dim) of the items that have a vector."""
        rng = np.random.default_rng(self._seed)
        if self._kind == "permuted":
            return vectors[rng.permutation(len(vectors))]
        whole = vectors.astype(np.float64)
        mean = whole.mean(axis=0)  # (dim,)
        drawn = rng.standard_normal(whole.shape)  # (n_items, dim)
        basis, _ = np.linalg.qr(drawn - drawn.mean(axis=0))  # (n_items, rank), centred columns
        _, singular, directions = np.linalg.svd(whole - mean, full_matrices=False)
        return np.asarray(mean + (basis * singular) @ directions, dtype=np.float32)
