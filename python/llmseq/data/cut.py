"""Cut test sessions off a dataset: by a split file, by time, or by leaving each last event out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from llmseq.errors import ConfigError, InvalidDataError

if TYPE_CHECKING:
    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import Sessions

Method = Literal["file", "temporal", "leave-last-out"]

REASONS: dict[Method, str] = {
    "file": "the labels of the split file",
    "temporal": "sessions in order of their last event; the newest are test",
    "leave-last-out": (
        "the last event of each session of three and more is the target; train holds the others, "
        "and with them what happened after many a target: figures are too good for a forecast"
    ),
}


def find_method(dataset: SessionDataset, wanted: Literal["auto"] | Method) -> Method:
    """Resolve "auto", and refuse a method that the dataset has not the columns for.

    Raises
    ------
    ConfigError
        If labels or times are missing; names the choices.
    """
    has_labels = dataset.split_labels is not None
    has_times = dataset.sessions.times is not None
    if wanted == "auto":
        if has_labels or has_times:
            return "file" if has_labels else "temporal"
        raise ConfigError(
            "the dataset has neither split labels nor times to cut test by: import it with --split "
            'FILE or --time-col COLUMN, or choose the split "leave-last-out"'
        )
    if wanted == "file" and not has_labels:
        raise ConfigError(
            'the split "file" needs split labels: import the dataset with --split FILE, or choose '
            '"temporal" or "leave-last-out"'
        )
    if wanted == "temporal" and not has_times:
        raise ConfigError(
            'the split "temporal" needs times: import the dataset with --time-col COLUMN, or '
            'choose "file" or "leave-last-out"'
        )
    return wanted


def cut_test(
    dataset: SessionDataset, method: Method, test_share: float
) -> tuple[SessionDataset, Sessions]:
    """Cut into train and the test sessions, whose last events are the targets; orders are kept.

    Sessions are not empty. Those with another label than "train" and "test" are in neither.

    Raises
    ------
    InvalidDataError
        If there would be no train or no test session.
    """
    sessions = dataset.sessions
    if method == "leave-last-out":
        long = sessions.lengths >= 3
        stays = np.ones(sessions.n_events, dtype=np.bool_)
        stays[sessions.offsets[1:][long] - 1] = False
        train_rows, test_rows = np.arange(len(sessions)), np.flatnonzero(long)
        train = replace(dataset, sessions=sessions.keep_events(stays))
    else:
        if method == "temporal":
            order = np.argsort(sessions.last_times(), kind="stable")
            n_test = max(1, round(test_share * len(sessions)))
            train_rows, test_rows = np.sort(order[:-n_test]), np.sort(order[-n_test:])
        else:
            train_rows = np.flatnonzero(dataset.split_labels == "train")
            test_rows = np.flatnonzero(dataset.split_labels == "test")
        train = dataset.take(train_rows)
    for name, rows in (("train", train_rows), ("test", test_rows)):
        if rows.size == 0:
            raise InvalidDataError(
                f"the {method} split leaves no {name} sessions of {len(sessions):,}"
            )
    return train, sessions.take(test_rows)


def check_leakage(
    dataset: SessionDataset, method: Method, train: SessionDataset, test: Sessions
) -> dict[str, Any]:
    """Look for test events in train, and say what was found.

    Raises
    ------
    InvalidDataError
        If a test session, or a target, is in train.

    Returns
    -------
    mapping
        ``train_events_after_first_target`` (None without times) and ``summary`` in words.
    """
    if method == "leave-last-out":
        shared = train.sessions.n_events + len(test) - dataset.sessions.n_events
    else:
        shared = len(set(train.sessions.ids.tolist()) & set(test.ids.tolist()))
    if shared:
        raise InvalidDataError(f"{shared} test sessions or targets are in train too")
    late = None
    if train.sessions.times is not None:
        late = int((train.sessions.times > test.last_times().min()).sum())
    summary = (
        "no test session is in train"
        if method != "leave-last-out"
        else ("no target event is in train, but the other events of the test sessions are")
    )
    if late:
        summary += f"; {late:,} train events are newer than the oldest target: the future leaks"
    elif late == 0:
        summary += ", and no train event is newer than a target"
    return {"train_events_after_first_target": late, "summary": summary}
