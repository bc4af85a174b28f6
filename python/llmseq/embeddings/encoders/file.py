"""Vectors that somebody else made, in a file, by item id."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmseq.embeddings.files import find_ids, read_vectors
from llmseq.errors import ConfigError
from llmseq.storage import file_fingerprint, fingerprint

if TYPE_CHECKING:
    from llmseq.embeddings.encoders.protocol import EncoderOptions
    from llmseq.types import FloatMatrix

_IDS_MARK = "?ids="


class VectorFile:
    """Ready vectors with item ids.

    Parameters
    ----------
    argument
        A path; for .npy and .safetensors optionally ``?ids=`` and the path of the ids.
    options
        May name the file of ids instead.
    """

    def __init__(self, argument: str, options: EncoderOptions) -> None:
        path, mark, ids = argument.rpartition(_IDS_MARK)
        if mark and options.ids is not None:
            raise ConfigError(f'"file:{argument}" names its ids already; leave out {options.ids}')
        self.name = f"file:{argument}"
        self.path = Path(path if mark else argument).expanduser()
        self._ids = Path(ids).expanduser() if mark else options.ids

    def fingerprint(self) -> str:
        """Hash the content of the file and of the file of ids: 32 hex digits."""
        ids = find_ids(self.path, self._ids)
        return fingerprint(
            "file", file_fingerprint(self.path), "" if ids is None else file_fingerprint(ids)
        )

    def read(self) -> tuple[list[str], FloatMatrix]:
        """Read ids and vectors, float32 (n_rows, dim); see ``embeddings.files.read_vectors``."""
        return read_vectors(self.path, self._ids)
