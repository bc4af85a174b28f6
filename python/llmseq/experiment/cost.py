"""What a piece of work took: seconds, and the peak of the process's memory."""

from __future__ import annotations

import resource
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_RESET_PEAK = "5"  # see `man 5 proc`: sets the peak of resident memory to its present value


@dataclass(slots=True)
class Cost:
    """Filled when the block of `measure` ends.

    Parameters
    ----------
    seconds
        Wall-clock time.
    peak_memory_mib
        Most resident memory that the whole process had meanwhile: interpreter, libraries and data
        included, as a server would need it. Where the system cannot reset that figure (not
        Linux), the most since the process started.
    """

    seconds: float = 0.0
    peak_memory_mib: float = 0.0


@contextmanager
def measure() -> Iterator[Cost]:
    """Measure the block."""
    cost = Cost()
    reset = _reset_peak()
    started = time.perf_counter()
    try:
        yield cost
    finally:
        cost.seconds = time.perf_counter() - started
        cost.peak_memory_mib = round(_peak_mib(reset=reset), 1)


def _reset_peak() -> bool:
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


def _peak_mib(*, reset: bool) -> float:
    if reset:
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
