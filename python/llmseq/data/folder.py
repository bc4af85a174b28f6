"""Datasets on disk: a folder of Parquet files and a manifest, and the count of test scorings."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from llmseq.data.catalogue import Catalogue
from llmseq.data.dataset import SessionDataset
from llmseq.data.files import write_table
from llmseq.data.sessions import Sessions
from llmseq.errors import ArtifactError, LlmseqError
from llmseq.storage import (
    atomic_folder,
    check_replaceable,
    file_fingerprint,
    read_json,
    write_json,
)
from llmseq.types import Ragged

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = 1
_KIND = "llmseq dataset"
_MANIFEST = "manifest.json"
_SCORINGS = "test_scorings.jsonl"


def write_dataset(dataset: SessionDataset, path: Path | str) -> None:
    """Write a folder that ``read_dataset`` reads back to an equal dataset.

    Files: ``items.parquet``, ``sessions.parquet``, ``events.parquet``, ``manifest.json``. The
    folder appears whole or not at all. A dataset that is there is replaced; its count of test
    scorings stays.

    Raises
    ------
    ArtifactError
        If something else than a dataset is at ``path``.
    """
    path = Path(path)
    check_writable(path)
    sessions = dataset.sessions
    columns: dict[str, Any] = {
        "session_id": pl.Series(sessions.ids.tolist(), dtype=pl.String),
        "n_events": sessions.lengths,
    }
    if sessions.users is not None:
        columns["user"] = sessions.users
    if dataset.split_labels is not None:
        columns["split"] = pl.Series(dataset.split_labels.tolist(), dtype=pl.String)
    events: dict[str, Any] = {"item": sessions.items}
    if sessions.times is not None:
        events["time"] = sessions.times
    tables = {
        "items.parquet": dataset.catalogue.table,
        "sessions.parquet": pl.DataFrame(columns),
        "events.parquet": pl.DataFrame(events),
    }
    with atomic_folder(path) as folder:
        for name, table in tables.items():
            write_table(table, folder / name)
        manifest = {
            "kind": _KIND,
            "schema": SCHEMA,
            "fingerprint": dataset.fingerprint(),
            "n_items": dataset.n_items,
            "n_sessions": len(sessions),
            "n_events": sessions.n_events,
            "files": {name: file_fingerprint(folder / name) for name in tables},
            "provenance": dict(dataset.provenance),
        }
        write_json(folder / _MANIFEST, manifest)
        if (path / _SCORINGS).exists():
            shutil.copyfile(path / _SCORINGS, folder / _SCORINGS)


def read_dataset(path: Path | str) -> SessionDataset:
    """Read a folder that ``write_dataset`` wrote.

    Raises
    ------
    ArtifactError
        If the folder is no dataset, of another version, or a file is missing or damaged; the
        message names the file.
    """
    path = Path(path)
    manifest = _manifest(path)
    items = _read(path, "items.parquet", manifest)
    rows = _read(path, "sessions.parquet", manifest)
    events = _read(path, "events.parquet", manifest)
    try:
        sessions = Sessions(
            np.array(rows["session_id"].to_list(), dtype=object),
            Ragged.from_lengths(events["item"].to_numpy(), rows["n_events"].to_numpy()),
            events["time"].to_numpy() if "time" in events.columns else None,
            rows["user"].to_numpy() if "user" in rows.columns else None,
        )
        labels = (
            np.array(rows["split"].to_list(), dtype=object) if "split" in rows.columns else None
        )
        return SessionDataset(Catalogue(items), sessions, labels, manifest["provenance"])
    except (LlmseqError, PolarsError, KeyError) as error:
        raise ArtifactError(f"{path}: its files do not fit together ({error}); {_AGAIN}") from error


def record_test_scoring(path: Path | str, entry: Mapping[str, Any]) -> int:
    """Append one scoring of the test part to the dataset folder; returns how many there are now.

    The file only grows: replacing the dataset keeps it.
    """
    file = Path(path) / _SCORINGS
    line = json.dumps(dict(entry), ensure_ascii=False) + "\n"
    cut_short = file.exists() and not file.read_bytes().endswith(b"\n")
    with file.open("a", encoding="utf-8") as handle:
        handle.write("\n" + line if cut_short else line)
        handle.flush()
        os.fsync(handle.fileno())
    return len(test_scorings(path))


def test_scorings(path: Path | str) -> list[dict[str, Any]]:
    """Every scoring of the test part so far, oldest first; a damaged line counts as one."""
    file = Path(path) / _SCORINGS
    if not file.exists():
        return []
    entries = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            value = json.loads(line)
        except json.JSONDecodeError:
            value = None
        entries.append(value if isinstance(value, dict) else {"damaged": line})
    return entries


def check_writable(path: Path) -> None:
    """Refuse to replace what is no dataset.

    Raises
    ------
    ArtifactError
        If there is a file, a folder that holds something else, or the current folder.
    """
    check_replaceable(path)
    if path.is_dir():
        if not any(path.iterdir()):
            return
        try:
            _manifest(path)
        except ArtifactError:
            raise ArtifactError(
                f"{path}: exists and is not a dataset of this version; choose another --out, "
                "or remove it"
            ) from None
    elif path.exists():
        raise ArtifactError(f"{path}: is a file; choose another --out")


_MAKE = "make one with `llmseq data import`"
_AGAIN = "make the dataset again with `llmseq data import`"


def _manifest(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise ArtifactError(f"{path}: no such dataset folder; {_MAKE}")
    if not (path / _MANIFEST).exists():
        raise ArtifactError(f"{path}: is not a dataset, it has no {_MANIFEST}; {_MAKE}")
    manifest = read_json(path / _MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("kind") != _KIND:
        raise ArtifactError(f"{path / _MANIFEST}: is not the manifest of a dataset; {_MAKE}")
    if manifest.get("schema") != SCHEMA:
        raise ArtifactError(
            f"{path / _MANIFEST}: has schema {manifest.get('schema')}, this llmseq reads "
            f"{SCHEMA}; {_AGAIN}"
        )
    return manifest


def _read(path: Path, name: str, manifest: Mapping[str, Any]) -> pl.DataFrame:
    file = path / name
    if not file.exists():
        raise ArtifactError(f"{file}: missing; {_AGAIN}")
    if file_fingerprint(file) != manifest.get("files", {}).get(name):
        raise ArtifactError(f"{file}: damaged or changed since it was written; {_AGAIN}")
    try:
        return pl.read_parquet(file)
    except PolarsError as error:
        raise ArtifactError(f"{file}: damaged ({error}); {_AGAIN}") from None
