"""Word statistics instead of a language model: the ablation every text model must beat."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from llmseq.embeddings.matrix import unit_rows
from llmseq.errors import InvalidDataError
from llmseq.storage import fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmseq.embeddings.encoders.protocol import Share
    from llmseq.types import FloatMatrix

_RANK_TOLERANCE = 1e-6


class TfidfEncoder:
    """TF-IDF of words, then its leading singular directions; rows of unit length.

    Fitted on the very texts it encodes, so a vector depends on all of them. The same texts in the
    same order give the same vectors.

    Parameters
    ----------
    dim
        Directions kept; fewer where the texts do not span as many.
    seed
        Of the randomised decomposition.
    """

    independent = False

    def __init__(self, dim: int = 256, seed: int = 0) -> None:
        self.name = "tfidf"
        self._dim = dim
        self._seed = seed

    def fingerprint(self) -> str:
        """Hash the settings and the version of scikit-learn: 32 hex digits."""
        return fingerprint("tfidf", self._dim, self._seed, version("scikit-learn"))

    def notes(self, dim: int) -> tuple[str, ...]:
        """Say what it was fitted on, and whether the texts span fewer dimensions than asked."""
        fitted = "fitted on the catalogue's own texts"
        if dim < self._dim:
            return (fitted, f"{dim} dimensions instead of {self._dim}: the texts span no more")
        return (fitted,)

    def encode(self, texts: Sequence[str], progress: Share | None = None) -> FloatMatrix:
        """Fit on the texts and encode them.

        Raises
        ------
        InvalidDataError
            If no text holds a word of two letters or digits.
        """
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.utils.extmath import randomized_svd

        try:
            counts = TfidfVectorizer(sublinear_tf=True, strip_accents="unicode").fit_transform(
                texts
            )
        except ValueError as error:  # "empty vocabulary"
            raise InvalidDataError(
                f"tfidf: none of the {len(texts):,} texts holds a word of two letters or digits"
            ) from error
        if progress is not None:
            progress(0.3)
        left, singular, _ = randomized_svd(
            counts, min(self._dim, *counts.shape), n_iter=7, random_state=self._seed
        )
        kept = max(1, int(np.count_nonzero(singular > singular[0] * _RANK_TOLERANCE)))
        return unit_rows((left * singular)[:, :kept])
