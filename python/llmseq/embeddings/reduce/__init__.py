"""Fewer dimensions: principal components, projections, discriminants, an autoencoder.

Every method is fitted on some items and applied to any: to those that have no event, and to those
that come later.
"""

from __future__ import annotations

from llmseq.embeddings.reduce.config import ReductionConfig
from llmseq.embeddings.reduce.fit import (
    apply_reducer,
    fit_item_reducer,
    fit_reducer,
    reduce_embeddings,
)
from llmseq.embeddings.reduce.reducer import HiddenLayer, Reducer

__all__ = [
    "HiddenLayer",
    "Reducer",
    "ReductionConfig",
    "apply_reducer",
    "fit_item_reducer",
    "fit_reducer",
    "reduce_embeddings",
]
