"""How many threads a kernel may use."""

from __future__ import annotations

from llmseq import _core
from llmseq.core.arrays import count

VARIABLE = "LLMSEQ_NUM_THREADS"
"""Read by the core at every call that names no number."""


def thread_count(n_threads: int | None = None) -> int:
    """Threads that a kernel will use.

    The argument, else the environment variable ``LLMSEQ_NUM_THREADS``, else every core that this
    process may use (affinity mask and control group, read once).

    Raises
    ------
    ConfigError
        If the argument or the variable is no whole number of at least 1.

    Examples
    --------
    >>> thread_count(3)
    3
    """
    return _core.default_threads() if n_threads is None else count(n_threads, "n_threads")
