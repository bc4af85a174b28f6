"""How many threads a kernel may use."""

from __future__ import annotations

import os

from llmseq import _core
from llmseq.core.arrays import count
from llmseq.errors import ConfigError

VARIABLE = "LLMSEQ_NUM_THREADS"


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
    if n_threads is not None:
        return count(n_threads, "n_threads")
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return _core.available_threads()
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{VARIABLE} must be a whole number of at least 1, got {text!r}")
    return int(text)
