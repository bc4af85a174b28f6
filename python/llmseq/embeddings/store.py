"""The cache of vectors: one folder for each encoder and set of texts, written shard by shard."""

from __future__ import annotations

import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmseq.errors import ArtifactError, LlmseqWarning
from llmseq.storage import atomic_file, fingerprint, read_json, write_json

if TYPE_CHECKING:
    from llmseq.types import FloatMatrix


def default_cache() -> Path:
    """Where vectors are kept: under LLMSEQ_CACHE, else under the user's cache folder."""
    named = os.environ.get("LLMSEQ_CACHE")
    if named:
        return Path(named).expanduser() / "embeddings"
    home = Path.home()
    if sys.platform == "darwin":
        base = home / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "llmseq" / "embeddings"


@dataclass(frozen=True, slots=True)
class VectorStore:
    """The vectors of one set of texts by one encoder.

    Each shard is a safetensors file that carries a hash of its content, so a run that was killed
    goes on after its last whole shard, and a damaged shard is noticed. ``manifest.json`` says what
    the folder holds, for people.

    Parameters
    ----------
    folder : Path
        Of this entry; made with the first shard.
    """

    folder: Path

    def read(self, shard: int, n_texts: int) -> FloatMatrix | None:
        """Read a shard, float32 (n_texts, dim); None if it is missing or damaged.

        A damaged one is left with a warning, to be written again.
        """
        path = self._path(shard)
        if not path.is_file():
            return None
        try:
            return _read_shard(path, n_texts)
        except ArtifactError as error:
            warnings.warn(f"{error}; these vectors are made again", LlmseqWarning, stacklevel=2)
            return None

    def write(self, shard: int, vectors: FloatMatrix) -> None:
        """Write a shard, whole or not at all.

        Raises
        ------
        OSError
            If the disk is full or the folder cannot be written.
        """
        from safetensors.numpy import save

        with atomic_file(self._path(shard)) as temporary:
            temporary.write_bytes(save({"vectors": vectors}, {"hash": fingerprint(vectors)}))

    def describe(self, manifest: dict[str, Any]) -> None:
        """Write what the folder holds, unless it says so already."""
        path = self.folder / "manifest.json"
        try:
            if read_json(path) == manifest:
                return
        except ArtifactError as error:
            if path.exists():
                warnings.warn(f"{error}; it is made again", LlmseqWarning, stacklevel=2)
        write_json(path, manifest)

    def _path(self, shard: int) -> Path:
        return self.folder / f"shard-{shard:05d}.safetensors"


def _read_shard(path: Path, n_texts: int) -> FloatMatrix:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            vectors: FloatMatrix = file.get_tensor("vectors")
            stored = (file.metadata() or {}).get("hash")
    except SafetensorError as error:
        raise ArtifactError(f"{path}: damaged cache entry ({error})") from error
    if vectors.ndim != 2 or len(vectors) != n_texts or stored != fingerprint(vectors):
        raise ArtifactError(f"{path}: damaged cache entry (its content is not what was written)")
    return vectors
