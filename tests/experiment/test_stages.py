from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from llmseq.errors import ArtifactError
from llmseq.experiment.progress import Silent, Tracker
from llmseq.experiment.stages import Stage, StageStore, read_stage

if TYPE_CHECKING:
    from pathlib import Path

    from llmseq.experiment.artifacts import RunFolder


@pytest.fixture
def store(run_folder: RunFolder) -> StageStore:
    return StageStore(run_folder, Tracker(Silent(), [], n_events=1))


def do(store: StageStore, value: int, calls: list[int] | None = None, **inputs: Any) -> Stage:
    def work(folder: Path, checkpoint: Path) -> dict[str, int]:
        checkpoint.mkdir(parents=True)
        (folder / "inner").mkdir()
        (folder / "inner" / "file.txt").write_text(str(value))
        if calls is not None:
            calls.append(value)
        return {"value": value}

    return store.run("a stage", kind="lists", inputs=inputs or {"value": value}, work=work)


def test_a_finished_stage_is_not_done_again(store: StageStore, run_folder: RunFolder) -> None:
    calls: list[int] = []
    first, other = do(store, 1, calls), do(store, 2, calls)
    later = StageStore(run_folder, Tracker(Silent(), [], n_events=1))
    again = do(later, 1, calls)
    assert calls == [1, 2]
    assert again == first != other
    assert (again.folder / "inner" / "file.txt").read_text() == "1"
    events = [json.loads(line)["event"] for line in run_folder.log.read_text().splitlines()]
    assert events == [*("stage_started", "stage_finished") * 2, "stage_reused"]


def test_a_stage_asked_for_twice_counts_once(store: StageStore, run_folder: RunFolder) -> None:
    first, again = do(store, 1), do(store, 1)
    assert again is first
    assert store.used == (first,)
    events = [json.loads(line)["event"] for line in run_folder.log.read_text().splitlines()]
    assert events == ["stage_started", "stage_finished"]


def test_what_it_took_is_kept(store: StageStore) -> None:
    first = do(store, 1)
    assert do(store, 1).seconds == first.seconds > 0
    assert first.peak_memory_mib > 1


def test_checkpoints_are_removed_when_the_stage_is_done(
    store: StageStore, run_folder: RunFolder
) -> None:
    do(store, 1)
    assert list(run_folder.checkpoints.iterdir()) == []


def test_a_failed_stage_leaves_only_its_checkpoint(
    store: StageStore, run_folder: RunFolder
) -> None:
    def fail(folder: Path, checkpoint: Path) -> dict[str, int]:
        checkpoint.mkdir(parents=True)
        (folder / "half").write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        store.run("a stage", kind="lists", inputs={}, work=fail)
    assert list(run_folder.stages.iterdir()) == []
    assert len(list(run_folder.checkpoints.iterdir())) == 1


def test_another_version_does_it_again(store: StageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    do(store, 1, calls)
    monkeypatch.setattr("llmseq.__version__", "99.0")
    do(store, 1, calls)
    assert calls == [1, 1]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "manifest.json").write_text("{"), "manifest.json: damaged"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "manifest.json: damaged"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json: missing"),
        (lambda folder: (folder / "inner" / "file.txt").unlink(), "file.txt: missing"),
        (lambda folder: (folder / "inner" / "file.txt").write_text("2"), "file.txt: damaged"),
    ],
)
def test_a_damaged_stage_is_named_with_what_to_do(
    store: StageStore, damage: Any, says: str
) -> None:
    folder = do(store, 1).folder
    damage(folder)
    with pytest.raises(ArtifactError) as error:
        read_stage(folder)
    assert says in str(error.value)
    assert f"delete the folder {folder}" in str(error.value)
