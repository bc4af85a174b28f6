"""Tiny catalogues and an encoder that counts its work."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from llmseq.data.catalogue import Catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


class LetterEncoder:
    """A vector from the digest of each text; remembers what it was asked, can be killed."""

    name = "letters"
    independent = True

    def __init__(self, dim: int = 4, die_after: int | None = None) -> None:
        self.dim = dim
        self.calls: list[list[str]] = []
        self._die_after = die_after

    def fingerprint(self) -> str:
        return f"letters-{self.dim}"

    def notes(self, dim: int) -> tuple[str, ...]:
        return ()

    def encode(self, texts: Sequence[str], progress=None) -> np.ndarray:
        if self._die_after is not None and len(self.calls) >= self._die_after:
            raise KeyboardInterrupt
        self.calls.append(list(texts))
        if progress is not None:
            progress(0.5)
            progress(1.0)
        return np.array([self.vector(text) for text in texts], dtype=np.float32)

    def vector(self, text: str) -> np.ndarray:
        digest = hashlib.sha256(text.encode()).digest()[: self.dim]
        return np.frombuffer(digest, dtype=np.uint8).astype(np.float32)


@pytest.fixture
def letters() -> type[LetterEncoder]:
    return LetterEncoder


@pytest.fixture
def make_catalogue() -> Callable[..., Catalogue]:
    def make(texts: Sequence[str | None], **columns: Sequence[object]) -> Catalogue:
        ids = [f"item-{row}" for row in range(len(texts))]
        text = pl.Series(list(texts), dtype=pl.String)
        return Catalogue(pl.DataFrame({"item_id": ids, "title": text, "text": text, **columns}))

    return make


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"
