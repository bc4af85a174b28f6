"""Where figures come from: versions, processor, threads, command."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llmseq
from llmseq.core import thread_count

if TYPE_CHECKING:
    from llmseq.experiment.spec import CompareSpec

_PACKAGES = ("numpy", "polars", "scikit-learn", "torch", "transformers", "sentence-transformers")


def environment(spec: CompareSpec, command: str) -> dict[str, Any]:
    """Plain values, without importing anything heavy."""
    return {
        "llmseq": llmseq.__version__,
        "python": platform.python_version(),
        **{name: found for name in _PACKAGES if (found := _version(name))},
        "system": platform.platform(terse=True),
        "cpu": _cpu(),
        "n_threads": thread_count(spec.n_threads),
        "device": spec.device,
        "seed": spec.seed,
        "command": command,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
