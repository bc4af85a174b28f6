"""What both sides are asked to do and how they answer; runs in either environment.

Needs nothing but NumPy: the peer's environment has no llmseq, ours has no RecTools.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIST_LENGTH = 20

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Settings:
    """What the two models have in common.

    Parameters
    ----------
    arrays, answer
        File with the data, and file to write.
    epochs
        Rising; so many are trained, and lists made after each of these.
    """

    arrays: Path
    answer: Path
    epochs: tuple[int, ...]
    dim: int
    n_blocks: int
    n_heads: int
    max_length: int
    dropout: float
    learning_rate: float
    batch_size: int
    threads: int
    seed: int


@dataclass(frozen=True)
class Arrays:
    """Sessions to learn from, prompts to make lists for, items that the lists may hold.

    Parameters
    ----------
    session_items, prompt_items : int32
        Item of each event, session after session, oldest first.
    session_lengths, prompt_lengths : int64
        Events of each session, of each prompt.
    candidates : bool (n_items,)
        Items that lists may hold.
    """

    session_items: NDArray[np.int32]
    session_lengths: NDArray[np.int64]
    prompt_items: NDArray[np.int32]
    prompt_lengths: NDArray[np.int64]
    candidates: NDArray[np.bool_]

    def write(self, path: Path) -> None:
        """Save as an npz file."""
        np.savez(path, **vars(self))

    @classmethod
    def read(cls, path: Path) -> Arrays:
        """Read what `write` saved; nothing in it is pickled."""
        with np.load(path, allow_pickle=False) as saved:
            return cls(**saved)


@dataclass(frozen=True)
class Answer:
    """What one side did.

    Parameters
    ----------
    epoch_seconds
        Of each epoch's steps, without preparing the data or making lists.
    fit_seconds
        Of the whole training, with preparing the data.
    peak_mib
        Most resident memory of the process until the first list is made.
    lists
        By number of epochs: items for each prompt, best first, −1 where a list is short.
    versions
        Of what took part.
    notes
        What is particular to this side.
    """

    epoch_seconds: list[float]
    fit_seconds: float
    peak_mib: float
    lists: dict[int, list[list[int]]]
    versions: dict[str, str]
    notes: dict[str, str]

    def write(self, path: Path) -> None:
        """Save as JSON."""
        path.write_text(json.dumps(vars(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Answer:
        """Read what `write` saved."""
        values = json.loads(path.read_text(encoding="utf-8"))
        values["lists"] = {int(epoch): rows for epoch, rows in values["lists"].items()}
        return cls(**values)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the settings that both models take."""
    parser.add_argument("--epochs", type=int, nargs="+", default=[10], help="lists after each")
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--n-blocks", type=int, default=2)
    parser.add_argument("--n-heads", type=int, default=2)
    parser.add_argument("--max-length", type=int, default=20)
    parser.add_argument("--dropout", type=float, default=0.5)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)


def side_parser(description: str | None) -> argparse.ArgumentParser:
    """Make the parser of a side's script."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("arrays", type=Path, help="npz file that compare.py wrote")
    parser.add_argument("answer", type=Path, help="JSON file to write")
    add_model_options(parser)
    return parser


def settings(options: argparse.Namespace) -> Settings:
    """Pick the settings out of a side's options."""
    values = {name: getattr(options, name) for name in Settings.__dataclass_fields__}
    return Settings(**values | {"epochs": tuple(sorted(set(options.epochs)))})


def peak_mib() -> float:
    """Most resident memory of this process so far.

    From the kernel's own account of the process's memory where there is one: ``ru_maxrss`` also
    counts what the process that started this one held.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
