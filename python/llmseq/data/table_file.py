"""A table's file, with what it does not say of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class TableFile:
    """What ``read_table`` has to be told of a file; its text is its path.

    Parameters
    ----------
    path
    columns
        Names of a CSV's first columns where its first row is data and not a header; columns
        beyond them are left out.
    encoding
        Python's name of the encoding of a text file.
    """

    path: Path
    columns: tuple[str, ...] | None = None
    encoding: str = "utf-8"

    def __str__(self) -> str:
        return str(self.path)
