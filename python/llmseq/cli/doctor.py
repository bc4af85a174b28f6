"""``llmseq doctor``: what is installed here, and what works."""

from __future__ import annotations

from typing import Any

import click

from llmseq.cli.console import say, show_table, warn
from llmseq.errors import ConfigError

_FLAGS = {  # as /proc/cpuinfo writes them; those that a kernel can use
    "avx2": "AVX2",
    "fma": "FMA",
    "avx_vnni": "AVX-VNNI",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "amx_int8": "AMX-INT8",
    "asimd": "NEON",
}

_AGAIN = "install llmseq again"


@click.command()
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
)
def command(style: str) -> None:
    """Show versions, processor, threads, the compiled core, extras and the cache folder.

    Nothing is changed, and no heavy package is imported.
    """
    facts = examine()
    if style == "json":
        import json

        say(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    cpu, core, cache = facts["cpu"], facts["core"], facts["cache"]
    packages = [f"{name} {version or 'missing'}" for name, version in facts["packages"].items()]
    lines = {
        "llmseq": facts["llmseq"],
        "Python": facts["python"],
        "system": facts["platform"],
        "processor": f"{cpu['model']}, {cpu['usable_cores']} of {cpu['cores']} cores usable",
        "features": ", ".join(cpu["features"]) or "none known",
        "threads": f"{facts['threads']} (LLMSEQ_NUM_THREADS sets another number)",
        "compiled core": "works" if core["works"] else f"does not work: {core['error']}",
        "cache": f"{cache['path']} ({'writable' if cache['writable'] else 'not writable'})",
        "packages": ", ".join(packages),
    }
    for name, value in lines.items():
        say(f"{name:<13}  {value}")
    say("")
    show_table(
        ["extra", "works", "packages"],
        [
            (
                name,
                "yes" if extra["works"] else f'no: pip install "llmseq[{name}]"',
                ", ".join(
                    f"{package} {version or 'missing'}"
                    for package, version in extra["packages"].items()
                ),
            )
            for name, extra in facts["extras"].items()
        ],
        left=["extra", "works", "packages"],
    )
    if not core["works"]:
        set_wrongly = core["error"].startswith("LLMSEQ_")
        warn(core["error"] if set_wrongly else f"the compiled core does not work; {_AGAIN}")


def examine() -> dict[str, Any]:
    """Collect everything as plain values."""
    import os
    import platform

    import llmseq

    return {
        "llmseq": llmseq.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": {
            "model": _cpu_model(),
            "cores": os.cpu_count() or 1,
            "usable_cores": _usable_cores(),
            "features": _cpu_features(),
        },
        **_core(),
        "packages": _packages(),
        "extras": _extras(),
        "cache": _cache(),
    }


def _usable_cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpuinfo() -> dict[str, str]:
    """First processor of /proc/cpuinfo; empty where there is no such file."""
    from pathlib import Path

    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _cpu_model() -> str:
    import platform

    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def _cpu_features() -> list[str]:
    info = _cpuinfo()
    flags = set((info.get("flags") or info.get("Features") or "").split())
    return [name for flag, name in _FLAGS.items() if flag in flags]


def _core() -> dict[str, Any]:
    """Run one small search, so that "works" means that it does."""
    try:
        import numpy as np

        from llmseq.core import thread_count, top_k

        items, _ = top_k(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32), 1)
        works = items.ravel().tolist() == [0, 1, 2]
        error = None if works else "a search gave a wrong answer"
        return {"threads": thread_count(None), "core": {"works": works, "error": error}}
    except ConfigError as error:  # a variable of the environment, which the error names
        finding = str(error)
    except Exception as error:  # whatever is wrong is the finding
        finding = f"{type(error).__name__}: {error}"
    return {"threads": None, "core": {"works": False, "error": finding}}


def _requirements() -> list[tuple[str, str | None]]:
    """List the packages that llmseq's own metadata names, with the extra that brings each."""
    import re
    from importlib.metadata import PackageNotFoundError, requires

    try:
        lines = requires("llmseq") or []
    except PackageNotFoundError:
        return []
    found = []
    for line in lines:
        name = re.match(r"[\w.-]+", line)
        extra = re.search(r"""extra\s*==\s*["']([\w-]+)["']""", line)
        if name and name[0] != "llmseq":
            found.append((name[0], extra[1] if extra else None))
    return found


def _version(package: str) -> str | None:
    """Version of a package that can be imported; None if it cannot. Imports nothing."""
    from importlib.metadata import PackageNotFoundError, version
    from importlib.util import find_spec

    modules = {"scikit-learn": "sklearn"}
    if find_spec(modules.get(package, package.replace("-", "_"))) is None:
        return None
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _packages() -> dict[str, str | None]:
    return {name: _version(name) for name, extra in _requirements() if extra is None}


def _extras() -> dict[str, Any]:
    extras: dict[str, Any] = {}
    for name, extra in _requirements():
        if extra is not None:
            extras.setdefault(extra, {})[name] = _version(name)
    return {
        extra: {"works": None not in packages.values(), "packages": packages}
        for extra, packages in extras.items()
    }


def _cache() -> dict[str, Any]:
    import os

    from llmseq.embeddings.store import default_cache

    path = default_cache()
    nearest = next(folder for folder in (path, *path.parents) if folder.exists())
    writable = nearest.is_dir() and os.access(nearest, os.W_OK)
    return {"path": str(path), "exists": path.exists(), "writable": writable}
