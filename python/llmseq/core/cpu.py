"""Which instructions the kernels use."""

from __future__ import annotations

from llmseq import _core

VARIABLE = "LLMSEQ_CPU"


def cpu_paths() -> tuple[str, ...]:
    """Instruction sets that the kernels can use on this machine, the most capable last.

    Each gives the same results, bit for bit. The environment variable ``LLMSEQ_CPU`` forces one;
    kernels read it at every call.

    Examples
    --------
    >>> cpu_paths()[0]
    'portable'
    """
    return tuple(_core.cpu_paths())


def cpu_path() -> str:
    """Instruction set in force: the one that ``LLMSEQ_CPU`` names, else the most capable.

    Raises
    ------
    ConfigError
        If the variable names none of this machine's.

    Examples
    --------
    >>> cpu_path() in cpu_paths()
    True
    """
    return _core.cpu_path()
