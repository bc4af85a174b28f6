"""Cut a dataset into test, and train into its select and stop parts and the rest, fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from llmseq.config import Config
from llmseq.data.cut import REASONS, Method, check_leakage, cut_test, find_method
from llmseq.data.held_out import hold_out, seen_share
from llmseq.data.validation_part import draw_parts
from llmseq.errors import InvalidDataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import HeldOut
    from llmseq.types import BoolArray


class SplitConfig(Config):
    """How to cut.

    ``method`` auto: the split file's labels where the dataset has them, else temporal where it has
    times, else a ConfigError that names the choices.
    """

    method: Literal["auto"] | Method = "auto"
    test_share: float = Field(default=0.2, gt=0, lt=1)
    select_share: float = Field(default=0.1, gt=0, lt=0.5)
    stop_share: float = Field(default=0.05, gt=0, lt=0.5)
    keep_cold: bool = False
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True, eq=False, slots=True)
class Split:
    """The parts of one dataset. No test event is in any of the others.

    Parameters
    ----------
    train : SessionDataset
        Every session that is not test.
    fit : SessionDataset
        Train less select and stop: what models learn from.
    stop : HeldOut
        For early stopping: every position of every stop session (of its newest 500 events).
    select : HeldOut
        For choices between models and settings: the last item of each select session.
    test : HeldOut
        Last remaining item of each test session.
    select_candidates, test_candidates : bool (n_items,)
        Items with an event in ``fit`` and in ``train``; all items with ``keep_cold``. The stop part
        has the candidates of select.
    report : mapping
        Plain values: method, how the validation part was drawn and why, sizes, what was dropped and
        why, leakage check, comparison of select with test, share of select targets in their own
        prompt (``seen_targets``).
    """

    train: SessionDataset
    fit: SessionDataset
    stop: HeldOut
    select: HeldOut
    test: HeldOut
    select_candidates: BoolArray
    test_candidates: BoolArray
    report: Mapping[str, Any] = field(default_factory=dict)


def split_dataset(dataset: SessionDataset, config: SplitConfig | None = None) -> Split:
    """Cut a dataset; equal dataset and config, equal parts.

    Temporal: sessions in order of their last event, stable; the newest ``test_share`` is test.
    Leave-last-out: each session of three events and more is a test prompt with its last event as
    the target, and stays in train without it; this leaks the future, which the report says. Items
    without an event in train leave the test prompts and targets, and test sessions with fewer than
    two items left are dropped, both counted. The select and stop parts are held against ``fit`` in
    the same way.

    Raises
    ------
    ConfigError
        If the method asks for times or labels that the dataset has not.
    InvalidDataError
        If a part would be empty, or a session id stands twice.
    """
    config = config or SplitConfig()
    whole = dataset.take(np.flatnonzero(dataset.sessions.lengths))
    ids = whole.sessions.ids.tolist()
    if len(set(ids)) < len(ids):
        raise InvalidDataError("a session id stands more than once: parts cannot be kept apart")
    method = find_method(whole, config.method)
    train, test = cut_test(whole, method, config.test_share)
    drawn = draw_parts(train, config.select_share, config.stop_share, config.seed)
    fit = train.take(drawn.fit)
    warm = {"train": train.item_counts() > 0, "fit": fit.item_counts() > 0}
    parts = {
        "select": hold_out(
            train.sessions.take(drawn.select), warm["fit"], keep_cold=config.keep_cold
        ),
        "stop": hold_out(train.sessions.take(drawn.stop), warm["fit"], keep_cold=config.keep_cold),
        "test": hold_out(
            test,
            warm["train"],
            keep_cold=config.keep_cold,
            only_last_event=method == "leave-last-out",
        ),
    }
    for name, part in parts.items():
        if len(part.kept) == 0:
            raise InvalidDataError(
                f"none of the {len(part.raw):,} {name} sessions has two items that train knows; "
                "the log is too small, or too much of it is new, for this split"
            )
    select = parts["select"].last_items()
    candidates = {
        name: np.ones_like(items) if config.keep_cold else items for name, items in warm.items()
    }
    report = {
        "method": method,
        "why": REASONS[method],
        "config": config.to_dict(),
        "validation": {"drawn": drawn.drawn, "why": drawn.why},
        "sizes": {
            "sessions": len(dataset.sessions),
            "train": len(train.sessions),
            "fit": len(fit.sessions),
            **{name: len(part.kept) for name, part in parts.items()},
            "test_candidates": int(candidates["train"].sum()),
            "select_candidates": int(candidates["fit"].sum()),
            "items": dataset.n_items,
        },
        "dropped": {name: part.dropped() for name, part in parts.items()},
        "leakage": check_leakage(whole, method, train, test),
        "comparison": {name: parts[name].statistics() for name in ("select", "test")},
        "seen_targets": seen_share(select),
    }
    return Split(
        train=train,
        fit=fit,
        stop=parts["stop"].every_position(),
        select=select,
        test=parts["test"].last_items(),
        select_candidates=candidates["fit"],
        test_candidates=candidates["train"],
        report=report,
    )
