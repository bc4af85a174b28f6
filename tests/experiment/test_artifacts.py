from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from llmseq.errors import ArtifactError, ConfigError
from llmseq.experiment.artifacts import RunFolder
from llmseq.experiment.spec import CompareSpec, ModelSpec

if TYPE_CHECKING:
    from pathlib import Path

SPEC = CompareSpec(dataset="shop", fingerprint="0", models=(ModelSpec(name="popularity"),))


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(ConfigError, match="holds files but is no run folder"):
        RunFolder(tmp_path).check()
    with pytest.raises(ConfigError, match="is a file"):
        RunFolder(tmp_path / "thesis.doc").check()


def test_empty_new_and_locked_folders_are_taken(tmp_path: Path) -> None:
    RunFolder(tmp_path).check()
    RunFolder(tmp_path / "new").check()
    with RunFolder(tmp_path).lock():
        pass
    RunFolder(tmp_path).check()


@pytest.mark.parametrize("content", [b"dataset = ", b'version = 1\ncolour = "red"', b"\xff\xfe"])
def test_a_damaged_spec_is_named_with_what_to_do(run_folder: RunFolder, content: bytes) -> None:
    run_folder.spec.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"spec\.toml: damaged .*delete this file"):
        run_folder.open(SPEC)


def test_another_spec_clears_results_and_keeps_stages(run_folder: RunFolder) -> None:
    run_folder.open(SPEC)
    for folder in (run_folder.stages / "0a", run_folder.models / "popularity"):
        folder.mkdir(parents=True)
    run_folder.leaderboard.write_text("{}")
    run_folder.open(SPEC)
    assert run_folder.leaderboard.exists()
    run_folder.open(SPEC.replace(seed=1))
    assert not run_folder.leaderboard.exists()
    assert not run_folder.models.exists()
    assert (run_folder.stages / "0a").exists()
    assert run_folder.read_spec() == SPEC.replace(seed=1)


def test_what_a_killed_process_left_is_removed(run_folder: RunFolder) -> None:
    for path in (run_folder.stages / ".0a.tmp123", run_folder.models / ".winner.old.9"):
        path.mkdir(parents=True)
        (path / "half").write_text("half")
    (run_folder.path / ".leaderboard.json.abc").write_text("half")
    run_folder.open(SPEC)
    assert not list(run_folder.path.rglob("*half"))
    assert [path.name for path in run_folder.path.iterdir() if path.name[0] == "."] == []


def test_the_log_only_grows_and_survives_a_line_cut_short(run_folder: RunFolder) -> None:
    run_folder.write_log("one", number=1)
    with run_folder.log.open("a") as file:
        file.write('{"event": "tw')
    run_folder.write_log("three", title="Öl")
    first, second, third = run_folder.log.read_text(encoding="utf-8").splitlines()
    assert json.loads(first)["number"] == 1
    assert second == '{"event": "tw'
    assert json.loads(third)["title"] == "Öl"


def test_a_second_process_is_refused_until_the_first_ends(run_folder: RunFolder) -> None:
    code = """
        import sys
        from pathlib import Path
        from llmseq.experiment.artifacts import RunFolder
        with RunFolder(Path(sys.argv[1])).lock():
            print("locked", flush=True)
            sys.stdin.read()
    """
    arguments = [sys.executable, "-c", textwrap.dedent(code), str(run_folder.path)]
    with subprocess.Popen(arguments, stdin=-1, stdout=-1) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(ArtifactError, match="another process"), run_folder.lock():
            pass
        other.kill()
    with run_folder.lock():
        pass
