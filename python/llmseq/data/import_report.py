"""What an import dropped or noticed, and how many: kept with the dataset, printed by the CLI."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class ImportReport:
    """Collected while an import runs; ``to_dict`` gives the plain values that are kept."""

    files: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    noticed: list[dict[str, Any]] = field(default_factory=list)

    def drop(self, key: str, what: str, why: str, count: int, total: int) -> None:
        """Write down that ``count`` of ``total`` ``what`` were dropped; none is not written."""
        if count:
            entry = {"key": key, "what": what, "why": why, "count": int(count), "of": int(total)}
            self.dropped.append(entry)

    def notice(self, key: str, what: str, count: int, total: int) -> None:
        """Write down that ``count`` of ``total`` things are ``what``; they are kept."""
        if count:
            self.noticed.append({"key": key, "what": what, "count": int(count), "of": int(total)})

    def to_dict(self) -> dict[str, Any]:
        """Plain values: files, facts, dropped, noticed."""
        return {
            "files": self.files,
            "facts": self.facts,
            "dropped": self.dropped,
            "noticed": self.noticed,
        }
