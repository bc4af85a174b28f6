"""Answers that were paid for, kept on disk under a hash of the question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmseq.errors import ArtifactError
from llmseq.storage import fingerprint, read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Answers:
    """One file an answer, written whole; a damaged one counts as missing.

    Parameters
    ----------
    folder : Path
    """

    folder: Path

    def read(self, question: dict[str, Any]) -> Any | None:  # noqa: ANN401 - plain JSON values
        """Give the answer to a question, None if there is none."""
        try:
            kept = read_json(self._path(question))
        except ArtifactError:
            return None
        if not isinstance(kept, dict) or kept.get("question") != question:
            return None
        return kept.get("answer")

    def write(self, question: dict[str, Any], answer: Any) -> None:  # noqa: ANN401 - plain JSON values
        """Keep an answer."""
        write_json(self._path(question), {"question": question, "answer": answer})

    def _path(self, question: dict[str, Any]) -> Path:
        digits = fingerprint(question)
        return self.folder / digits[:2] / f"{digits}.json"
