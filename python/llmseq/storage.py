"""Atomic writes, JSON and content hashes: nothing is ever half-written, nothing pickled."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmseq.errors import ArtifactError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` and rename it there if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        _sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``path`` and rename it there if the block succeeds.

    A folder that is there already is replaced; what it held stays until the new one is whole.

    Raises
    ------
    ArtifactError
        If it is the current folder.
    """
    check_replaceable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        mask = _umask()
        temporary.chmod(0o777 & ~mask)
        for file in temporary.rglob("*"):
            if file.is_file():
                file.chmod(0o666 & ~mask)  # safetensors makes files that only their owner reads
                _sync(file)
        if path.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
            try:
                path.replace(old / path.name)
            except OSError:
                old.rmdir()
                raise
            temporary.replace(path)
            shutil.rmtree(old)
        else:
            temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(path: Path) -> None:
    """Refuse the current folder: replaced, it would leave the user in one that is gone.

    Raises
    ------
    ArtifactError
    """
    if path.is_dir() and path.samefile(Path.cwd()):
        raise ArtifactError(f"{path}: is the current folder; name one inside it")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write JSON atomically, keys in the order given, NaN refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:  # noqa: ANN401 - the caller validates the content
    """Read JSON.

    Raises
    ------
    ArtifactError
        If the file is missing, cut short or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: missing") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path}: damaged, not valid JSON ({error})") from error


def fingerprint(*parts: object) -> str:
    """Hash arrays, texts and JSON values to 32 hex digits; equal inputs, equal digits.

    Examples
    --------
    >>> fingerprint("a", 1) == fingerprint("a", 1), fingerprint("a", 1) == fingerprint("a1")
    (True, False)
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            _hash_array(digest, part)
        else:
            text = json.dumps(part, sort_keys=True, ensure_ascii=False, default=_plain)
            digest.update(b"j" + str(len(text)).encode() + b":" + text.encode())
    return digest.hexdigest()[:32]


def _hash_array(digest: Any, array: NDArray[Any]) -> None:  # noqa: ANN401 - hashlib's own type is private
    digest.update(b"a" + f"{array.dtype.str}{array.shape}".encode())
    if array.dtype == object:
        for value in array.ravel():
            text = str(value).encode()
            digest.update(str(len(text)).encode() + b":" + text)
    else:
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (np.integer, np.floating)):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"cannot hash a {type(value).__name__}")


def file_fingerprint(path: Path) -> str:
    """Hash the bytes of a file to 32 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]
