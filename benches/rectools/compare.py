"""Our SASRec beside RecTools', in one run: seconds an epoch, memory, NDCG@20 at equal epochs.

    python benches/rectools/compare.py DATASET --work FOLDER --epochs 5 15 --rounds 2

DATASET is a folder that `llmseq data import` made. The folder given by --work gets the peer's
environment, the data as arrays, and every answer. Both train on the fit part, cut to the events
that fit the length, and are scored on the select part; test is never read.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING

import numpy as np
from task import Answer, Arrays, add_model_options

from llmseq.core import evaluate_lists
from llmseq.data.folder import read_dataset
from llmseq.data.split import split_dataset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmseq.types import Ragged

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
BARE_TORCH = "import torch; from task import peak_mib; print(peak_mib())"


@dataclass(frozen=True)
class Side:
    """One of the two: its name, interpreter, script and options of its own."""

    name: str
    python: Path
    script: Path
    options: tuple[str, ...] = ()

    def answer(self, arrays: Path, file: Path, options: Sequence[str], threads: int) -> Answer:
        """Train in a process of its own."""
        self._run(
            [str(self.script), str(arrays), str(file), *options, *self.options], threads=threads
        )
        return Answer.read(file)

    def bare_mib(self, threads: int) -> float:
        """Most resident memory of a process that only imports torch."""
        return float(self._run(["-c", BARE_TORCH], threads=threads))

    def _run(self, arguments: Sequence[str], *, threads: int) -> str:
        limits = {"OMP_NUM_THREADS": str(threads), "LLMSEQ_NUM_THREADS": str(threads)}
        done = subprocess.run(
            [str(self.python), *arguments],
            cwd=HERE,
            env={**os.environ, **limits},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout


@dataclass(frozen=True)
class Measured:
    """All rounds of one side, its answers scored."""

    answers: list[Answer]
    bare_mib: float
    ndcg: dict[int, float]

    @property
    def epoch_seconds(self) -> float:
        """Median over the epochs of all rounds."""
        return median(second for answer in self.answers for second in answer.epoch_seconds)

    @property
    def fit_seconds(self) -> float:
        """Median over the rounds."""
        return median(answer.fit_seconds for answer in self.answers)

    @property
    def own_mib(self) -> float:
        """Median over the rounds of the memory above a bare ``import torch``."""
        return median(answer.peak_mib for answer in self.answers) - self.bare_mib

    @property
    def versions(self) -> str:
        """One line."""
        return ", ".join(f"{name} {is_}" for name, is_ in self.answers[0].versions.items())


def make_environment(folder: Path, python: str) -> Path:
    """Install the peer and what it needs, unless it is there already; returns its interpreter."""
    installed = folder / REQUIREMENTS.name
    interpreter = folder / "bin" / "python"
    if installed.exists() and installed.read_bytes() == REQUIREMENTS.read_bytes():
        return interpreter
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        raise SystemExit("uv is missing: pip install uv")
    env = {"UV_SYSTEM_CERTS": "1", **os.environ, "VIRTUAL_ENV": str(folder)}
    make = [uv, "venv", "--quiet", "--clear", "--no-project", "--python", python, str(folder)]
    subprocess.run(make, env=env, check=True)
    install = [uv, "pip", "install", "--quiet", "--requirement", str(REQUIREMENTS)]
    subprocess.run(install, env=env, check=True)
    shutil.copyfile(REQUIREMENTS, installed)  # last: an installation cut short is made again
    return interpreter


def make_arrays(dataset: Path, max_length: int, limit: int | None) -> tuple[Arrays, Ragged]:
    """Cut the dataset; returns what both sides get, and the targets, which neither does.

    Sessions are cut to the newest events that a window takes, because RecTools knows no others:
    so both have the same items to choose from.
    """
    split = split_dataset(read_dataset(dataset))
    sessions = split.fit.sessions.events
    prompts, targets = split.select.prompts.events, split.select.targets
    if limit is not None:
        sessions = sessions.take(np.arange(min(limit, len(sessions))))
        rows = np.arange(min(limit, len(prompts)))
        prompts, targets = prompts.take(rows), targets.take(rows)
    sessions = sessions.take(np.flatnonzero(sessions.lengths >= 2)).tail(max_length + 1)
    known = np.zeros_like(split.select_candidates)
    known[sessions.items] = True
    arrays = Arrays(
        session_items=sessions.items,
        session_lengths=sessions.lengths,
        prompt_items=prompts.items,
        prompt_lengths=prompts.lengths,
        candidates=split.select_candidates & known,
    )
    return arrays, targets


def score(answers: Sequence[Answer], targets: Ragged) -> dict[int, float]:
    """NDCG@20 by number of epochs, mean over the rounds."""

    def ndcg(lists: list[list[int]]) -> float:
        items = np.array(lists, dtype=np.int32)
        return evaluate_lists(items, targets, ks=(20,)).means["ndcg@20"]

    return {
        epochs: mean(ndcg(answer.lists[epochs]) for answer in answers)
        for epochs in answers[0].lists
    }


def measure(
    sides: Sequence[Side], options: argparse.Namespace, arrays: Path, targets: Ragged
) -> list[Measured]:
    """Let the sides train in turn, each round with another seed."""
    answers: list[list[Answer]] = [[] for _ in sides]
    for number in range(options.rounds):
        seed = options.seed + number
        for side, given in zip(sides, answers, strict=True):
            print(f"round {number + 1} of {options.rounds}: {side.name}", file=sys.stderr)
            file = options.work / f"{side.script.stem}_{number}.json"
            shared = model_options(options, seed)
            given.append(side.answer(arrays, file, shared, options.threads))
    return [
        Measured(given, side.bare_mib(options.threads), score(given, targets))
        for side, given in zip(sides, answers, strict=True)
    ]


def model_options(options: argparse.Namespace, seed: int) -> list[str]:
    """Write the settings that both models take as options of a side's script."""
    parser = argparse.ArgumentParser(add_help=False)
    add_model_options(parser)
    given: list[str] = []
    for name in vars(parser.parse_args([])):
        value = seed if name == "seed" else getattr(options, name)
        values = value if isinstance(value, list) else [value]
        given += [f"--{name.replace('_', '-')}", *map(str, values)]
    return given


def table(peer: Measured, ours: Measured, options: argparse.Namespace, arrays: Arrays) -> str:
    """Write the comparison as one Markdown table; a ratio says how many times less or better."""

    def row(what: str, left: float, right: float, digits: int, *, more: bool = False) -> list[str]:
        above, below = (right, left) if more else (left, right)
        ratio = f"{above / below:.2f}" if below else ""
        return [what, f"{left:.{digits}f}", f"{right:.{digits}f}", ratio]

    def note(what: str, of: str) -> list[str]:
        return [what, *(side.answers[0].notes[of] for side in (peer, ours)), ""]

    peer_dropout = options.dropout if options.peer_dropout is None else options.peer_dropout
    steps = len(ours.answers[0].epoch_seconds)
    rounds = f"{options.rounds} × {steps} epochs"
    rows = [
        ["", "RecTools", "llmseq", "ratio"],
        ["---", "---:", "---:", "---:"],
        row(f"seconds an epoch, median of {rounds}", peer.epoch_seconds, ours.epoch_seconds, 2),
        row(f"seconds of fit, {steps} epochs", peer.fit_seconds, ours.fit_seconds, 1),
        row("memory above a bare `import torch`, MiB", peer.own_mib, ours.own_mib, 0),
        row("a bare `import torch`, MiB", peer.bare_mib, ours.bare_mib, 0),
        *(
            row(f"NDCG@20, epoch {epochs}", value, ours.ndcg[epochs], 4, more=True)
            for epochs, value in peer.ndcg.items()
        ),
        note("precision", "precision"),
        note("threads", "threads"),
        ["versions", peer.versions, ours.versions, ""],
        ["CPU", processor(), "the same", ""],
        ["data", describe(arrays), "the same", ""],
        ["dropout", str(peer_dropout), str(options.dropout), ""],
        ["other settings", shared_settings(options), "the same", ""],
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def describe(arrays: Arrays) -> str:
    """Sizes of the data."""
    return (
        f"{arrays.session_lengths.size:,} sessions, {arrays.session_items.size:,} events, "
        f"{int(arrays.candidates.sum()):,} items, {arrays.prompt_lengths.size:,} prompts"
    )


def shared_settings(options: argparse.Namespace) -> str:
    """What both models were given."""
    return (
        f"softmax over all items, width {options.dim}, {options.n_blocks} blocks, "
        f"{options.n_heads} heads, length {options.max_length}, batch {options.batch_size}, "
        f"learning rate {options.learning_rate:g}, seeds from {options.seed}"
    )


def processor() -> str:
    """Name of the CPU, and how many of its cores this process may use."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{names[0] if names else platform.machine()}, {cores} cores"


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path, help="folder that `llmseq data import` made")
    parser.add_argument("--work", type=Path, required=True, help="environment, arrays, answers")
    parser.add_argument("--rounds", type=int, default=2, help="each side, in turn")
    parser.add_argument("--python", default=sys.executable, help="the peer's, 3.11 or 3.12")
    parser.add_argument("--precision", default="auto", help="ours: auto, float32 or bfloat16")
    parser.add_argument("--peer-dropout", type=float, help="where the peer's should differ")
    parser.add_argument("--limit", type=int, help="only so many sessions and prompts, to try")
    add_model_options(parser)
    return parser.parse_args()


def main() -> None:
    options = parse()
    options.epochs = sorted(set(options.epochs))
    options.work = options.work.resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    python = make_environment(options.work / "env", options.python)
    arrays, targets = make_arrays(options.dataset, options.max_length, options.limit)
    file = options.work / "arrays.npz"
    arrays.write(file)
    peer_own = () if options.peer_dropout is None else ("--dropout", str(options.peer_dropout))
    sides = (
        Side("RecTools", python, HERE / "rectools_sasrec.py", peer_own),
        Side(
            "llmseq",
            Path(sys.executable),
            HERE / "llmseq_sasrec.py",
            ("--precision", options.precision),
        ),
    )
    peer, ours = measure(sides, options, file, targets)
    print(table(peer, ours, options, arrays))


if __name__ == "__main__":
    main()
