"""`llmseq compare` killed at ten moments and started again ends with the same figures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from llmseq.data.folder import write_dataset

if TYPE_CHECKING:
    from pathlib import Path

    from llmseq.data.dataset import SessionDataset

KILLS = 10
SMALL = ("n_epochs=8", "embedding_dim=8", "batch_size=64")


def start(dataset: Path, out: Path) -> subprocess.Popen[bytes]:
    settings = [f"--set={name}.{pair}" for name in ("sasrec", "llm2sasrec") for pair in SMALL]
    grid = ["--set=v-sknn.k=50", "--set=llmseqsim.popularity_weight=0.0"]
    code = "from llmseq.cli.main import main; main()"
    options = ["--encoder=tfidf", "--threads=1", *settings, *grid]
    return subprocess.Popen(
        [sys.executable, "-c", code, "compare", str(dataset), "--out", str(out), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "LLMSEQ_CACHE": str(out.parent / "cache")},
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()


def log(out: Path) -> list[dict[str, Any]]:
    path = out / "log.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:  # cut short by a kill
            continue
    return found


def keys(out: Path, event: str) -> list[str]:
    return [line["key"] for line in log(out) if line["event"] == event]


def accuracy(out: Path) -> dict[str, Any]:
    board = json.loads((out / "leaderboard.json").read_text())
    verdict = {name: value for name, value in board["verdict"].items() if "cost" not in name}
    del verdict["sentence"]  # it names the seconds
    models = [{k: v for k, v in model.items() if k != "cost"} for model in board["models"]]
    return {"verdict": verdict, "models": models}


@pytest.mark.slow
def test_killed_ten_times_gives_the_same_leaderboard(shop: SessionDataset, tmp_path: Path) -> None:
    dataset, whole, killed = tmp_path / "shop", tmp_path / "whole", tmp_path / "killed"
    write_dataset(shop, dataset)
    finish(start(dataset, whole))
    n_stages = len(keys(whole, "stage_finished"))
    rng = np.random.default_rng(3)
    moments = np.sort(rng.choice(np.arange(1, n_stages + 1), KILLS, replace=False))
    n_killed = 0
    for moment in moments:  # so many stages have begun, and then a little later
        with start(dataset, killed) as process:
            while process.poll() is None and len(set(keys(killed, "stage_started"))) < moment:
                time.sleep(0.01)
            time.sleep(float(rng.uniform(0, 0.15)))
            process.kill()
            _, errors = process.communicate()
        assert process.returncode in {-signal.SIGKILL, 0}, errors.decode()
        n_killed += process.returncode != 0
    assert n_killed >= KILLS - 1
    finish(start(dataset, killed))

    assert accuracy(killed) == accuracy(whole)
    assert Counter(keys(killed, "stage_finished")).most_common(1)[0][1] == 1
    assert set(keys(killed, "stage_finished")) == set(keys(whole, "stage_finished"))
    assert len(keys(killed, "stage_started")) > n_stages  # some were hit while at work
    assert not (killed / "checkpoints").exists()
    hidden = {path.name for path in killed.rglob(".*")}
    assert hidden == {".lock"}
