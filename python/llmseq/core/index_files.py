"""Saved indexes: safetensors that name their format and version, mapped when they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from llmseq.storage import atomic_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray


def index_metadata(format_and_version: tuple[str, str]) -> dict[str, str]:
    """Give the texts of an index's file, without which it is not read again."""
    name, version = format_and_version
    return {"format": name, "version": version}


def write_index(
    path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
) -> None:
    """Write a file atomically."""
    from safetensors.numpy import save_file

    with atomic_file(path) as temporary:
        save_file(
            {name: np.ascontiguousarray(values) for name, values in arrays.items()},
            temporary,
            dict(metadata),
        )
