from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from llmseq.cli import demo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result


@pytest.mark.slow
def test_demo_makes_a_shop_compares_and_says_what_to_look_at(
    llmseq: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_SESSIONS", 300)
    monkeypatch.setattr(demo, "_NEURAL", {"embedding_dim": 8, "n_epochs": 1})
    out = tmp_path / "demo"
    first = llmseq("demo", "--out", out, "--encoder", "tfidf")
    assert first.exit_code == 0, first.output
    assert "What to look at:" in first.stdout
    assert str(out / "run" / "report.html") in first.stdout
    board = json.loads((out / "run" / "leaderboard.json").read_text())
    assert len(board["models"]) >= 6
    assert board["environment"]["command"]
    [line] = [line for line in first.stdout.splitlines() if "recommend" in line]
    words = line.replace('"', "").split()[1:]
    told = llmseq(*words)
    assert told.exit_code == 0, told.output
    assert "left out" not in told.stderr
    again = llmseq("demo", "--out", out, "--encoder", "tfidf")
    assert again.exit_code == 0, again.output
    assert again.stdout == first.stdout


def test_a_folder_with_other_things_is_refused(
    llmseq: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "thesis.doc").write_text("years of work")
    result = llmseq("demo", "--out", tmp_path)
    assert (result.exit_code, "is no demo" in result.stderr) == (2, True)
