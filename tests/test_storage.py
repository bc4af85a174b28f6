from __future__ import annotations

from pathlib import Path

import pytest

from llmseq.errors import ArtifactError
from llmseq.storage import atomic_folder


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "made"
    for content in ("first", "second"):
        with atomic_folder(path) as folder:
            (folder / content).touch()
    assert [file.name for file in path.iterdir()] == ["second"]
    assert [file.name for file in tmp_path.iterdir()] == ["made"]


def test_what_fails_leaves_the_old_folder_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "made"
    with atomic_folder(path) as folder:
        (folder / "first").touch()

    def busy(self: Path, target: Path) -> Path:
        raise OSError(16, "Device or resource busy", str(self))

    monkeypatch.setattr(Path, "replace", busy)
    with pytest.raises(OSError, match="busy"), atomic_folder(path):
        pass
    assert [file.name for file in tmp_path.rglob("*")] == ["made", "first"]


def test_the_current_folder_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (Path(), tmp_path):
        with pytest.raises(ArtifactError, match="is the current folder"), atomic_folder(path):
            pass
    assert not list(tmp_path.iterdir())
