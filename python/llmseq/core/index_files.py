"""Saved indexes: safetensors that name their format and version, mapped when they are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

import numpy as np

from llmseq.storage import atomic_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class _Compiled(Protocol):
    """What the classes of the compiled module share."""

    @staticmethod
    def open(path: Path) -> Any: ...  # noqa: ANN401 - of the class itself

    @staticmethod
    def format() -> tuple[str, str]: ...

    def arrays(self) -> dict[str, NDArray[Any]]: ...

    @property
    def n_items(self) -> int: ...


C = TypeVar("C", bound=_Compiled)


class SavedIndex(Generic[C]):
    """An index of the core that is written to a file and mapped from it."""

    _compiled: type[C]
    _index: C

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Map a saved index: nothing is built again, and processes share the memory.

        Raises
        ------
        ArtifactError
            If the file is missing, damaged, cut short, of another kind of index or of another
            version.
        """
        index = cls.__new__(cls)
        index._index = cls._compiled.open(Path(path))
        return index

    def save(self, path: str | Path) -> None:
        """Write a safetensors file that ``open`` reads."""
        write_index(Path(path), self.arrays(), self.metadata())

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Copy what is saved, by name."""
        return self._index.arrays()

    @classmethod
    def metadata(cls) -> Mapping[str, str]:
        """Give the texts that the file holds besides the arrays, without which it is not read."""
        name, version = cls._compiled.format()
        return {"format": name, "version": version}

    @property
    def n_items(self) -> int:
        """Size of the catalogue."""
        return self._index.n_items


def write_index(
    path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
) -> None:
    """Write an index's file atomically."""
    from safetensors.numpy import save_file

    with atomic_file(path) as temporary:
        save_file(
            {name: np.ascontiguousarray(values) for name, values in arrays.items()},
            temporary,
            dict(metadata),
        )
