"""Saved models: JSON, safetensors and Parquet with their hashes; loading never runs code.

A folder holds config.json (settings), weights.safetensors (arrays), manifest.json (schema, kind,
version, hash of each file) and, for a model that can be served, catalogue.parquet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from llmseq.data.catalogue import Catalogue
from llmseq.data.sessions import Sessions
from llmseq.errors import ArtifactError, ConfigError, InvalidDataError, ShapeError
from llmseq.models.catalog import MODELS
from llmseq.models.protocol import Extendable
from llmseq.storage import (
    atomic_folder,
    check_replaceable,
    file_fingerprint,
    read_json,
    write_json,
)
from llmseq.types import BoolArray, Ragged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from llmseq.config import Config
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.models.protocol import Recommender

SCHEMA = 1
WEIGHTS = "weights.safetensors"
"""The file of a model's folder that holds its arrays."""
_MEMBER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._-]*")


class _Named(dict[str, Any]):
    """A mapping whose missing keys are a damaged file, which the error names."""

    def __init__(self, values: Mapping[str, Any], path: Path) -> None:
        super().__init__(values)
        self._path = path

    def __missing__(self, key: str) -> Any:  # noqa: ANN401 - never returns
        raise ArtifactError(f'{self._path}: damaged, "{key}" is missing; save the model again')


def write_model(
    path: Path,
    *,
    kind: str,
    config: Config,
    arrays: Mapping[str, NDArray[Any]],
    metadata: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
    members: Mapping[str, Recommender] | None = None,
    files: Mapping[str, Callable[[Path], None]] | None = None,
) -> None:
    """Write a model's folder as a whole; one that is there already is replaced.

    Parameters
    ----------
    kind
        The registry name whose class reads the folder again.
    arrays
        What was learnt.
    metadata
        Texts of the file of arrays, where an index of the core reads it.
    extra
        Plain values besides the settings: numbers of items, seeds, a summary.
    members
        Models inside this one, each saved to ``members/<name>/``.
    files
        Further files by name, each with what writes it; hashed like the others.
    """
    from safetensors.numpy import save_file

    import llmseq

    check_writable(path)
    with atomic_folder(path) as folder:
        write_json(folder / "config.json", config.to_dict())
        save_file(
            {name: np.ascontiguousarray(array) for name, array in arrays.items()},
            folder / WEIGHTS,
            dict(metadata) if metadata else None,
        )
        for name, member in (members or {}).items():
            member.save(_member_folder(folder, name))
        for name, write in (files or {}).items():
            write(folder / name)
        write_json(
            folder / "manifest.json",
            {
                "schema": SCHEMA,
                "kind": kind,
                "llmseq": llmseq.__version__,
                "extra": dict(extra or {}),
                "members": list(members or {}),
                "files": {
                    name: file_fingerprint(folder / name)
                    for name in ("config.json", WEIGHTS, *(files or {}))
                },
            },
        )


def check_writable(path: Path) -> None:
    """Refuse to replace what is no saved model.

    Raises
    ------
    ArtifactError
        If there is a file, a folder that holds something else, or the current folder.
    """
    check_replaceable(path)
    if path.is_file():
        raise ArtifactError(f"{path}: is a file; choose another folder for the model")
    if path.is_dir() and any(path.iterdir()):
        try:
            read_manifest(path)
        except ArtifactError:
            raise ArtifactError(
                f"{path}: is there and holds no model of this version; choose another folder, or "
                "remove it"
            ) from None


def read_model(
    path: Path, *, kind: str
) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, Any]]:
    """Read settings, arrays and extra values that ``write_model`` wrote.

    Looking up a name that the file does not hold is an ArtifactError too.

    Raises
    ------
    ArtifactError
        If a file is missing, damaged, of another version or of another kind; the file is named.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    config, extra = read_settings(path, kind=kind)
    weights = path / WEIGHTS
    try:
        arrays = load_file(weights)
    except SafetensorError as error:
        raise ArtifactError(f"{weights}: damaged ({error})") from error
    return config, _Named(arrays, weights), extra


def read_settings(
    path: Path, *, kind: str | tuple[str, ...]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read settings and extra values alone, where the arrays are mapped by an index of the core.

    Raises
    ------
    ArtifactError
        If a file is missing, damaged, of another version or of another kind; the file is named.
    """
    manifest = read_manifest(path)
    kinds = (kind,) if isinstance(kind, str) else kind
    if manifest["kind"] not in kinds:
        raise ArtifactError(
            f'{path / "manifest.json"}: holds a "{manifest["kind"]}", not a "{kinds[0]}"'
        )
    config = read_json(path / "config.json")
    return config, _Named(manifest["extra"], path / "manifest.json")


def read_manifest(path: Path) -> dict[str, Any]:
    """Read manifest.json and check it and every file that it lists.

    Raises
    ------
    ArtifactError
        If the folder or a file is missing, damaged or of another version; the file is named.
    """
    file = path / "manifest.json"
    if not path.is_dir():
        raise ArtifactError(f"{path}: no such folder; a saved model is a folder with manifest.json")
    values = read_json(file)
    if not isinstance(values, dict):
        raise ArtifactError(f"{file}: damaged, not a JSON object")
    manifest = _Named(values, file)
    if manifest["schema"] != SCHEMA:
        raise ArtifactError(
            f"{file}: schema {manifest['schema']!r}, written by llmseq "
            f"{values.get('llmseq', 'unknown')}; this version reads schema {SCHEMA}"
        )
    if "extra" not in manifest or "members" not in manifest:
        raise ArtifactError(f"{file}: is not the manifest of a saved model")
    for key, wanted in (("kind", str), ("extra", dict), ("members", list), ("files", dict)):
        if not isinstance(manifest[key], wanted):
            raise ArtifactError(f'{file}: damaged, "{key}" is not a {wanted.__name__}')
    files = manifest["files"]
    for name in ("config.json", WEIGHTS, *files):
        if name not in files or Path(name).name != name:
            raise ArtifactError(f'{file}: damaged, its list of files is wrong at "{name}"')
        if not (path / name).is_file():
            raise ArtifactError(f"{path / name}: missing; save the model again")
        if file_fingerprint(path / name) != files[name]:
            raise ArtifactError(
                f"{path / name}: damaged or changed, its hash is not the one in manifest.json"
            )
    return manifest


def load_recommender(path: Path) -> Recommender:
    """Read any saved model; its kind names a registry entry, never an import path.

    Raises
    ------
    ArtifactError
        If the folder is damaged or its kind is not registered.
    """
    kind = read_manifest(path)["kind"]
    if kind not in MODELS:
        raise ArtifactError(
            f'{path / "manifest.json"}: unknown kind "{kind}"; '
            f"this version reads {', '.join(MODELS)}"
        )
    return MODELS[kind].recommender_class().load(path)


def load_members(path: Path) -> dict[str, Recommender]:
    """Read the models inside a saved model, in the order they were given."""
    names = read_manifest(path)["members"]
    return {name: load_recommender(_member_folder(path, name)) for name in names}


def _member_folder(path: Path, name: object) -> Path:
    if not isinstance(name, str) or not _MEMBER_NAME.fullmatch(name):
        raise ArtifactError(
            f"{path}: a member's name must be letters, digits, dots, dashes, underscores or @, "
            f"got {name!r}"
        )
    return path / "members" / name


@dataclass(frozen=True, eq=False, slots=True)
class SavedModel:
    """A fitted recommender with its catalogue: external ids outside, indices inside.

    Parameters
    ----------
    recommender : Recommender
        Fitted on ``catalogue``.
    catalogue : Catalogue
    provenance : mapping
        Plain values that trace the model: name, data fingerprint, seed, command.
    """

    recommender: Recommender
    catalogue: Catalogue
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def encode_sessions(self, sessions: Sequence[Sequence[str]]) -> tuple[Sessions, int]:
        """Turn external ids into prompts; unknown ids are left out, and their number returned."""
        lengths = np.array([len(session) for session in sessions], dtype=np.int64)
        items = self.catalogue.index_of(item for session in sessions for item in session)
        known = items >= 0
        names = np.array([str(row) for row in range(len(sessions))], dtype=object)
        prompts = Sessions(names, Ragged.from_lengths(items, lengths)).keep_events(known)
        return prompts, int((~known).sum())

    def encode_candidates(self, ids: Iterable[str]) -> tuple[BoolArray, int]:
        """Turn external ids into a mask over items; also returns how many ids are unknown.

        Raises
        ------
        InvalidDataError
            If none of the ids is in the catalogue.
        """
        named = list(ids)
        items = self.catalogue.index_of(named)
        known = items >= 0
        if not known.any():
            example = f', for example "{named[0]}"' if named else ""
            raise InvalidDataError(
                f"none of the {len(named)} candidate ids is in the catalogue{example}; "
                "give the item_id of items that the model was fitted on"
            )
        mask = np.zeros(self.catalogue.n_items, dtype=np.bool_)
        mask[items[known]] = True
        return mask, int((~known).sum())

    def recommend(
        self,
        sessions: Sequence[Sequence[str]],
        k: int,
        *,
        exclude_seen: bool = True,
        candidates: Iterable[str] | None = None,
    ) -> list[list[tuple[str, float]]]:
        """Rank items for sessions of external ids, oldest first; each list best first.

        Ids that the catalogue does not have are left out of prompts and candidates;
        ``encode_sessions`` and ``encode_candidates`` count them. A list is short where the model
        knows fewer than ``k`` items to list.

        Raises
        ------
        InvalidDataError
            If candidates are given and none is known.
        """
        prompts, _ = self.encode_sessions(sessions)
        mask = None if candidates is None else self.encode_candidates(candidates)[0]
        lists = self.recommender.recommend(prompts, k, exclude_seen=exclude_seen, candidates=mask)
        ids = self.catalogue.ids
        return [
            [
                (ids[item], float(score))
                for item, score in zip(row, scores, strict=True)
                if item >= 0
            ]
            for row, scores in zip(lists.items, lists.scores, strict=True)
        ]

    def extend(self, items: Catalogue, vectors: ItemEmbeddings) -> SavedModel:
        """Add new items by their text vectors, without training.

        They are read in prompts, and listed where ``candidates`` names them.

        Parameters
        ----------
        items : Catalogue
            The new items only.
        vectors : ItemEmbeddings
            One row for each of them, made by the encoder that the model was fitted with.

        Raises
        ------
        ConfigError
            If the model knows nothing of an item but its place, or the vectors are another
            encoder's.
        InvalidDataError
            If an item is in the catalogue already.
        ShapeError
            If the vectors are not one for each item, or of another width.
        """
        recommender = self.recommender
        if not isinstance(recommender, Extendable):
            raise ConfigError(
                f"a {type(recommender).__name__} cannot be extended; fit it again with new items"
            )
        if vectors.n_items != items.n_items:
            raise ShapeError(f"{items.n_items} new items, but {vectors.n_items} vectors")
        there = self.catalogue.index_of(items.ids) >= 0
        if there.any():
            raise InvalidDataError(
                f'item "{items.ids[int(np.argmax(there))]}" is in the catalogue already '
                f"({int(there.sum())} such items); give new items only"
            )
        table = pl.concat([self.catalogue.table, items.table], how="diagonal_relaxed")
        return SavedModel(recommender.extend(vectors), Catalogue(table), self.provenance)

    def save(self, path: Path) -> None:
        """Write the model and its catalogue as one folder."""
        check_writable(path)
        with atomic_folder(path) as folder:
            self.recommender.save(folder)
            self.catalogue.table.write_parquet(folder / "catalogue.parquet")
            manifest = read_json(folder / "manifest.json")
            manifest["n_items"] = self.catalogue.n_items
            manifest["provenance"] = dict(self.provenance)
            manifest["files"]["catalogue.parquet"] = file_fingerprint(folder / "catalogue.parquet")
            write_json(folder / "manifest.json", manifest)


def load_model(path: Path) -> SavedModel:
    """Read a folder that ``SavedModel.save`` wrote.

    Raises
    ------
    ArtifactError
        If a file is missing, damaged or of another version; the file is named.
    """
    manifest = read_manifest(path)
    file = path / "catalogue.parquet"
    if file.name not in manifest["files"]:
        raise ArtifactError(f"{file}: missing; this folder holds a model without its catalogue")
    catalogue = Catalogue(pl.read_parquet(file))
    return SavedModel(load_recommender(path), catalogue, manifest["provenance"])
