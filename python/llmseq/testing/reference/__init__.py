"""The NumPy twin of every kernel: same names, signatures, results and errors; slow, easy to read.

Tests run on both; when in doubt about what a kernel computes, read its twin.
"""

from __future__ import annotations

from llmseq.core.metrics import ListMetrics
from llmseq.testing.reference.cooccurrence import CooccurrenceIndex
from llmseq.testing.reference.fusion import fuse_lists
from llmseq.testing.reference.knn import SessionIndex
from llmseq.testing.reference.metrics import evaluate_lists
from llmseq.testing.reference.pooling import pool_sessions
from llmseq.testing.reference.topk import ItemIndex, top_k

__all__ = [
    "CooccurrenceIndex",
    "ItemIndex",
    "ListMetrics",
    "SessionIndex",
    "evaluate_lists",
    "fuse_lists",
    "pool_sessions",
    "top_k",
]
