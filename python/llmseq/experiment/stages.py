"""Stages: a finished piece of work is kept under a key made from its inputs, and not done again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llmseq
from llmseq.errors import ArtifactError
from llmseq.experiment.cost import measure
from llmseq.storage import atomic_folder, file_fingerprint, fingerprint, read_json, write_json

if TYPE_CHECKING:
    from llmseq.experiment.artifacts import RunFolder
    from llmseq.experiment.progress import Tracker

SCHEMA = 1
_MANIFEST = "manifest.json"

Work = Callable[[Path, Path], Mapping[str, Any]]
"""Gets the folder to write into and one for checkpoints; returns plain values to keep."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A finished stage.

    Parameters
    ----------
    values
        What the work returned.
    seconds, peak_memory_mib
        What it took when it was done.
    """

    name: str
    key: str
    folder: Path
    values: Mapping[str, Any]
    seconds: float
    peak_memory_mib: float


class StageStore:
    """The stages of one run folder.

    Parameters
    ----------
    run
        Locked by this process.
    tracker
        Told what starts and ends.
    """

    def __init__(self, run: RunFolder, tracker: Tracker) -> None:
        self._run = run
        self._tracker = tracker
        self._used: dict[str, Stage] = {}

    @property
    def path(self) -> Path:
        """The run folder."""
        return self._run.path

    @property
    def used(self) -> tuple[Stage, ...]:
        """Every stage of this run, in order, once each."""
        return tuple(self._used.values())

    def run(self, name: str, *, kind: str, inputs: Mapping[str, Any], work: Work) -> Stage:
        """Do the work, or find it done; asked for again, the same stage is given at once.

        Parameters
        ----------
        name
            As log and report show it.
        kind
            Of `progress.PRIORS`.
        inputs
            Plain values: everything that the result follows from. Version and schema are added.
        work
            Called unless a stage with these inputs is finished.

        Raises
        ------
        ArtifactError
            If a finished stage is damaged.
        """
        key = fingerprint(SCHEMA, llmseq.__version__, inputs)
        if key in self._used:
            return self._used[key]
        folder = self._run.stages / key
        self._tracker.start(name, kind)
        reused = folder.exists()
        if reused:
            stage = read_stage(folder)
            self._run.write_log("stage_reused", name=name, key=key)
        else:
            self._run.write_log("stage_started", name=name, key=key)
            stage = self._do(name, key, inputs, work)
            self._run.write_log(
                "stage_finished", name=name, key=key, seconds=round(stage.seconds, 3)
            )
        shutil.rmtree(self._run.checkpoints / key, ignore_errors=True)
        self._tracker.finish(stage.seconds, reused=reused)
        self._used[key] = stage
        return stage

    def _do(self, name: str, key: str, inputs: Mapping[str, Any], work: Work) -> Stage:
        checkpoint = self._run.checkpoints / key
        with atomic_folder(self._run.stages / key) as folder:
            with measure() as cost:
                values = dict(work(folder, checkpoint))
            files = sorted(file for file in folder.rglob("*") if file.is_file())
            manifest = {
                "schema": SCHEMA,
                "name": name,
                "key": key,
                "inputs": dict(inputs),
                "seconds": cost.seconds,
                "peak_memory_mib": cost.peak_memory_mib,
                "values": values,
                "files": {
                    file.relative_to(folder).as_posix(): file_fingerprint(file) for file in files
                },
            }
            write_json(folder / _MANIFEST, manifest)
        return Stage(name, key, self._run.stages / key, values, cost.seconds, cost.peak_memory_mib)


def read_stage(folder: Path) -> Stage:
    """Read a finished stage and check its files.

    Raises
    ------
    ArtifactError
        If a file is missing or damaged; the message names it.
    """
    advice = f"delete the folder {folder} and start again: only this stage is repeated"
    try:
        manifest = read_json(folder / _MANIFEST)
    except ArtifactError as error:
        raise ArtifactError(f"{error}; {advice}") from error
    try:
        stage = Stage(
            name=str(manifest["name"]),
            key=str(manifest["key"]),
            folder=folder,
            values=dict(manifest["values"]),
            seconds=float(manifest["seconds"]),
            peak_memory_mib=float(manifest["peak_memory_mib"]),
        )
        files = dict(manifest["files"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{folder / _MANIFEST}: damaged ({error!r}); {advice}") from error
    for name, digest in files.items():
        file = folder / name
        if not file.is_file():
            raise ArtifactError(f"{file}: missing; {advice}")
        if file_fingerprint(file) != digest:
            raise ArtifactError(f"{file}: damaged or changed since it was written; {advice}")
    return stage
