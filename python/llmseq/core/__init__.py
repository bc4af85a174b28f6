"""The compiled core's only door: kernels over arrays, checked and typed.

Every kernel has a NumPy twin of the same signature in :mod:`llmseq.testing.reference`. Results
never depend on the number of threads, which is the argument ``n_threads``, else the environment
variable ``LLMSEQ_NUM_THREADS``, else every core this process may use; nor on the processor, whose
best instructions are found at run time (:func:`cpu_paths`). Arrays of another type or layout than
stated (float64 vectors, sliced columns) are converted, which costs a copy; inputs are never
changed.
"""

from __future__ import annotations

from llmseq.core.cooccurrence import CooccurrenceIndex
from llmseq.core.cpu import cpu_path, cpu_paths
from llmseq.core.fusion import fuse_lists
from llmseq.core.knn import SessionIndex
from llmseq.core.metrics import ListMetrics, evaluate_lists
from llmseq.core.pooling import POOLINGS, pool_sessions
from llmseq.core.threads import thread_count
from llmseq.core.topk import ItemIndex, top_k

__all__ = [
    "POOLINGS",
    "CooccurrenceIndex",
    "ItemIndex",
    "ListMetrics",
    "SessionIndex",
    "cpu_path",
    "cpu_paths",
    "evaluate_lists",
    "fuse_lists",
    "pool_sessions",
    "thread_count",
    "top_k",
]
