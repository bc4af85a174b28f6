"""Cut a dataset into train, its select and stop parts, and test (algorithms: ARCHITECTURE.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from llmseq.config import Config
from llmseq.data.dataset import SessionDataset
from llmseq.data.sessions import HeldOut, Sessions
from llmseq.types import BoolArray


class SplitConfig(Config):
    """How to cut.

    ``method`` auto: the split file's labels where the dataset has them, else temporal where it has
    times, else a ConfigError that names the choices.
    """

    method: Literal["auto", "file", "temporal", "leave-last-out"] = "auto"
    test_share: float = 0.2
    select_share: float = 0.1
    stop_share: float = 0.05
    keep_cold: bool = False
    seed: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Split:
    """The parts of one dataset. No test session, and nothing drawn from one, is in the others.

    Parameters
    ----------
    train : SessionDataset
        Every session that is not test.
    fit : SessionDataset
        Train less select and stop: what models learn from.
    stop : HeldOut
        For early stopping: every position of every stop session.
    select : HeldOut
        For choices between models and settings: the last item of each select session.
    test : HeldOut
        Last remaining item of each test session.
    select_candidates, test_candidates : bool (n_items,)
        Items with an event in ``fit`` and in ``train``; all items with ``keep_cold``.
    report : mapping
        Plain values: method, how the validation part was drawn and why, sizes, what was dropped and
        why, leakage check, comparison of select with test, share of targets in their own prompt.
    """

    train: SessionDataset
    fit: SessionDataset
    stop: HeldOut
    select: HeldOut
    test: HeldOut
    select_candidates: BoolArray
    test_candidates: BoolArray
    report: Mapping[str, Any] = field(default_factory=dict)
    all_sessions: Sessions | None = None


def split_dataset(dataset: SessionDataset, config: SplitConfig) -> Split:
    """Placeholder; see ARCHITECTURE.md."""
    raise NotImplementedError
