"""Files of vectors: Parquet with ids inside, or .npy and .safetensors with a file of ids beside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from llmseq.data.files import as_strings, read_table, require_columns, write_table
from llmseq.embeddings.matrix import non_finite_rows
from llmseq.errors import ConfigError, InvalidDataError, ShapeError
from llmseq.storage import atomic_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from llmseq.types import FloatMatrix

SUFFIXES = (".parquet", ".npy", ".safetensors")
_IDS_SUFFIXES = (".ids.txt", ".ids.csv")


def read_vectors(path: Path, ids: Path | None = None) -> tuple[list[str], FloatMatrix]:
    """Read vectors by item id.

    Parameters
    ----------
    path
        ``.parquet`` with the columns item_id and vector (lists of numbers); ``.npy`` with one
        matrix; ``.safetensors`` with one matrix, or one that is called ``vectors``.
    ids
        For .npy and .safetensors, one id a row: a ``.txt`` with an id a line, or a CSV or Parquet
        with the column item_id. None: ``<name>.ids.txt`` or ``<name>.ids.csv`` beside the vectors.

    Returns
    -------
    ids : list of str
        Distinct, in the order of the file.
    vectors : float32 (n_rows, dim)
        Finite.

    Raises
    ------
    ConfigError
        If the kind of file is unknown, or the ids of a matrix are not to be found.
    InvalidDataError
        If a file is missing or damaged, an id is missing or stands twice, or a vector holds NaN.
    ShapeError
        If vectors differ in width, or there are more or fewer ids than vectors.
    """
    ids = find_ids(path, ids)
    if ids is None:
        names, vectors = _read_parquet(path)
    else:
        vectors = _read_matrix(path)
        names = _read_ids(ids)
        if len(names) != len(vectors):
            raise ShapeError(
                f"{ids} has {len(names):,} ids, but {path} has {len(vectors):,} vectors; "
                "both must have one row an item, in the same order"
            )
    _require_distinct(path if ids is None else ids, names)
    bad = non_finite_rows(vectors)
    if bad.any():
        row = int(np.argmax(bad))
        raise InvalidDataError(
            f'{path}: the vector of item "{names[row]}" (row {row + 1}) holds NaN, infinity or a '
            f"number too large for float32 ({int(bad.sum())} such rows); make it again or "
            "leave the item out"
        )
    return names, vectors


def write_vectors(path: Path, ids: Sequence[str], vectors: FloatMatrix) -> list[Path]:
    """Write vectors so that ``read_vectors`` reads them back; whole or not at all.

    Returns
    -------
    list of Path
        What was written: the file, and the file of ids that .npy and .safetensors need.

    Raises
    ------
    ConfigError
        If the kind of file is unknown.
    """
    kind = kind_of(path)
    if kind == ".parquet":
        column = pl.Series("vector", vectors).arr.to_list()
        with atomic_file(path) as temporary:
            write_table(pl.DataFrame([pl.Series("item_id", list(ids)), column]), temporary)
        return [path]
    beside = path.with_suffix(_IDS_SUFFIXES[0])
    with atomic_file(beside) as temporary:
        temporary.write_text("".join(f"{name}\n" for name in ids), encoding="utf-8", newline="\n")
    with atomic_file(path) as temporary:
        if kind == ".npy":
            with temporary.open("wb") as file:
                np.save(file, vectors, allow_pickle=False)
        else:
            from safetensors.numpy import save

            temporary.write_bytes(save({"vectors": vectors}))
    return [path, beside]


def kind_of(path: Path) -> str:
    """Tell the kind of file by its name.

    Raises
    ------
    ConfigError
        If it is none of ``SUFFIXES``.
    """
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise ConfigError(f"{path}: vectors are kept in one of {', '.join(SUFFIXES)}")
    return kind


def find_ids(path: Path, ids: Path | None) -> Path | None:
    """Find the file of ids that belongs to a file of vectors; None for Parquet.

    Raises
    ------
    ConfigError, InvalidDataError
        As ``read_vectors``.
    """
    kind = kind_of(path)
    if not path.is_file():
        raise InvalidDataError(f"{path}: no such file")
    if kind == ".parquet":
        if ids is not None:
            raise ConfigError(f"{path} has its ids in the column item_id; leave out {ids}")
        return None
    if ids is not None:
        if not ids.is_file():
            raise InvalidDataError(f"{ids}: no such file")
        return ids
    beside = [path.with_suffix(suffix) for suffix in _IDS_SUFFIXES]
    for choice in beside:
        if choice.is_file():
            return choice
    raise ConfigError(
        f"{path} holds no item ids; put them into {' or '.join(name.name for name in beside)} "
        f'beside it, or name their file: --ids FILE, or "file:{path}?ids=FILE"'
    )


def _read_parquet(path: Path) -> tuple[list[str], FloatMatrix]:
    table = read_table(path)
    require_columns(table, path, ("item_id", "vector"))
    names = _ids_of(path, table)
    column = table["vector"]
    if isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    if not isinstance(column.dtype, pl.List) or not column.dtype.inner.is_numeric():
        raise InvalidDataError(
            f"{path}: the column vector must hold lists of numbers, it holds {column.dtype}"
        )
    widths = column.list.len().fill_null(0).to_numpy()
    if np.any(widths != widths[0]) or widths[0] == 0:
        row = int(np.argmax((widths != widths[0]) | (widths == 0)))
        raise ShapeError(
            f'{path}: the vector of item "{names[row]}" (row {row + 1}) has {widths[row]} numbers, '
            f"the first has {widths[0]}; all must be of one width"
        )
    numbers = column.explode().cast(pl.Float32).fill_null(float("nan")).to_numpy()
    return names, numbers.reshape(len(names), int(widths[0]))


def _read_matrix(path: Path) -> FloatMatrix:
    matrix = _read_npy(path) if path.suffix.lower() == ".npy" else _read_safetensors(path)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ShapeError(f"{path}: vectors must be (n_items, dim), got {matrix.shape}")
    if matrix.dtype.kind not in "fiu":
        raise InvalidDataError(f"{path}: vectors must be numbers, got {matrix.dtype}")
    with np.errstate(over="ignore"):  # becomes infinity, which is refused by name
        return np.ascontiguousarray(matrix, dtype=np.float32)


def _read_npy(path: Path) -> NDArray[np.generic]:
    try:
        matrix: NDArray[np.generic] = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InvalidDataError(f"{path}: damaged, or no plain .npy array ({error})") from error
    if not isinstance(matrix, np.ndarray):
        raise InvalidDataError(f"{path}: is an archive of arrays; save one matrix as .npy")
    return matrix


def _read_safetensors(path: Path) -> NDArray[np.generic]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            name = names[0] if len(names) == 1 else "vectors"
            if name not in names:
                raise InvalidDataError(
                    f'{path}: expected one tensor, or one called "vectors"; '
                    f"it has {', '.join(sorted(names)) or 'none'}"
                )
            matrix: NDArray[np.generic] = file.get_tensor(name)
    except (SafetensorError, TypeError) as error:
        raise InvalidDataError(
            f"{path}: damaged, or a number type that NumPy has not ({error}); save as float32"
        ) from error
    return matrix


def _read_ids(path: Path) -> list[str]:
    if path.suffix.lower() != ".txt":
        table = read_table(path)
        require_columns(table, path, ("item_id",))
        return _ids_of(path, table)
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise InvalidDataError(f"{path}: is not UTF-8; save it as UTF-8, one id a line") from None
    if lines[-1] == "":
        lines.pop()
    names = [line.strip() for line in lines]
    if "" in names:
        raise InvalidDataError(f"{path}, row {names.index('') + 1}: the item id is missing")
    return names


def _ids_of(path: Path, table: pl.DataFrame) -> list[str]:
    names: list[str | None] = as_strings(table["item_id"]).to_list()
    known = [name for name in names if name is not None]
    if len(known) < len(names):
        raise InvalidDataError(f"{path}, row {names.index(None) + 1}: the item id is missing")
    return known


def _require_distinct(path: Path, names: list[str]) -> None:
    if len(set(names)) == len(names):
        return
    seen: dict[str, int] = {}
    for row, name in enumerate(names):
        if name in seen:
            raise InvalidDataError(
                f'{path}: item "{name}" stands in row {seen[name] + 1} and again in row {row + 1}; '
                "keep one vector an item"
            )
        seen[name] = row
