"""The run folder: where everything of a run lies, who may write to it, and its log."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from llmseq.errors import ArtifactError, ConfigError
from llmseq.experiment.spec import CompareSpec
from llmseq.storage import write_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OUTPUTS = (
    "leaderboard.json",
    "leaderboard.csv",
    "leaderboard.md",
    "details.json",
    "report.html",
    "best.toml",
    "trials.csv",
    "tuning.json",
    "models",
    "recommendations",
)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths inside a run folder."""

    path: Path

    @property
    def spec(self) -> Path:
        """What was compared."""
        return self.path / "spec.toml"

    @property
    def log(self) -> Path:
        """One JSON object a line, only ever added to."""
        return self.path / "log.jsonl"

    @property
    def stages(self) -> Path:
        """Finished stages by key."""
        return self.path / "stages"

    @property
    def checkpoints(self) -> Path:
        """What unfinished fits go on from, by the key of the stage."""
        return self.path / "checkpoints"

    @property
    def leaderboard(self) -> Path:
        """The result."""
        return self.path / "leaderboard.json"

    @property
    def details(self) -> Path:
        """What the report shows besides the leaderboard."""
        return self.path / "details.json"

    @property
    def best(self) -> Path:
        """The settings that a search found."""
        return self.path / "best.toml"

    @property
    def models(self) -> Path:
        """Saved models by name."""
        return self.path / "models"

    @property
    def winner(self) -> Path:
        """The winner, fitted again on all sessions."""
        return self.models / "winner"

    @property
    def recommendations(self) -> Path:
        """Lists by model name."""
        return self.path / "recommendations"

    def check(self, *, searches: bool = False) -> None:
        """Refuse a path that is a file, or a folder that holds something else.

        Parameters
        ----------
        searches
            Whether the run is a search for settings; a comparison and a search take a folder each.

        Raises
        ------
        ConfigError
        """
        other = self.leaderboard if searches else self.best
        if other.exists():
            kind = "comparison" if searches else "search for settings"
            raise ConfigError(f"{self.path}: holds a {kind}; choose another folder")
        if self.path.is_file():
            raise ConfigError(f"{self.path}: is a file; choose another run folder")
        if self.path.is_dir() and not self.spec.exists():
            foreign = [file.name for file in self.path.iterdir() if file.name != ".lock"]
            foreign = [name for name in foreign if not name.startswith(".spec.toml.")]
            if foreign:
                raise ConfigError(
                    f"{self.path}: holds files but is no run folder (no spec.toml); choose "
                    "another, or empty it"
                )

    def read_spec(self) -> CompareSpec | None:
        """Read spec.toml; None where there is none yet.

        Raises
        ------
        ArtifactError
            If the file is damaged.
        """
        if not self.spec.exists():
            return None
        try:
            return CompareSpec.from_toml(self.spec.read_text(encoding="utf-8"))
        except (ConfigError, UnicodeDecodeError) as error:
            raise ArtifactError(
                f"{self.spec}: damaged ({error}); delete this file and start again, finished "
                "stages are kept"
            ) from error

    def open(self, spec: CompareSpec) -> None:
        """Make the folder ready for a run: a spec other than the last one's clears the results.

        Finished stages stay; those that the new spec shares are used again.
        """
        earlier = self.read_spec()
        if earlier is not None and earlier != spec:
            self.clear_outputs()
        if earlier != spec:
            write_text(self.spec, spec.to_toml())
        for folder in (self.path, self.stages, self.models, self.recommendations):
            _remove_unfinished(folder)

    def clear_outputs(self) -> None:
        """Remove results, so that none of another spec stand beside the new ones."""
        for name in _OUTPUTS:
            target = self.path / name
            if target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)

    def write_log(self, event: str, **values: Any) -> None:  # noqa: ANN401 - any plain value
        """Add a line to log.jsonl."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "event": event, **values}, ensure_ascii=False) + "\n"
        with self.log.open("ab+") as file:
            if file.tell() > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # the last line was cut short by a kill
                    line = "\n" + line
            file.write(line.encode())

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for this process; the system lets go when it ends, killed or not.

        Raises
        ------
        ArtifactError
            If another process holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ArtifactError(
                    f"{self.path}: another process is working in this run folder; wait for it, "
                    "or choose another folder"
                ) from None
            yield


def _remove_unfinished(folder: Path) -> None:
    """Remove temporary files and folders that a killed process left; the lock is held."""
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if not entry.name.startswith(".") or entry.name == ".lock":
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
