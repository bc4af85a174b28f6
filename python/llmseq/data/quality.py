"""Statistics and quality of a dataset: what to know before believing any comparison on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from llmseq.data.held_out import seen_share
from llmseq.data.sessions import HeldOut
from llmseq.data.split import SplitConfig, split_dataset
from llmseq.errors import LlmseqError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llmseq.data.dataset import SessionDataset

_QUANTILES = {"min": 0.0, "p25": 0.25, "median": 0.5, "p75": 0.75, "p99": 0.99, "max": 1.0}


def describe(dataset: SessionDataset, split: SplitConfig | None = None) -> dict[str, Any]:
    """Describe a dataset in plain values that JSON can hold.

    Parameters
    ----------
    dataset : SessionDataset
    split : SplitConfig, optional
        The split whose parts are described; by default the one that ``compare`` would take.

    Returns
    -------
    dict
        ``fingerprint``, ``sessions``, ``events``, ``items`` and ``texts`` with counts, shares (0 to
        1) and quantiles; ``times`` or None; ``split``, or why it cannot be made.
    """
    return {
        "fingerprint": dataset.fingerprint(),
        "sessions": _sessions(dataset),
        "events": _events(dataset),
        "items": _items(dataset),
        "texts": _texts(dataset),
        "times": _times(dataset),
        "split": _split(dataset, split or SplitConfig()),
    }


def _sessions(dataset: SessionDataset) -> dict[str, Any]:
    sessions = dataset.sessions
    people = None if sessions.users is None else int(np.unique(sessions.users).size)
    return {
        "count": len(sessions),
        "people": people,
        "lengths": _quantiles(sessions.lengths),
        "of_one_event": int((sessions.lengths == 1).sum()),
        "last_item_seen_before": seen_share(HeldOut.last_item(sessions)),
    }


def _events(dataset: SessionDataset) -> dict[str, Any]:
    sessions = dataset.sessions
    n = sessions.n_events
    rows = sessions.events.rows
    follows = rows[1:] == rows[:-1]
    distinct = np.unique(rows * dataset.n_items + sessions.items).size
    ties = None
    if sessions.times is not None:
        ties = int((follows & (sessions.times[1:] == sessions.times[:-1])).sum())
    return {
        "count": n,
        "repeats": n - distinct,
        "immediate_repeats": int((follows & (sessions.items[1:] == sessions.items[:-1])).sum()),
        "ties": ties,
    }


def _items(dataset: SessionDataset) -> dict[str, Any]:
    counts = dataset.item_counts()
    ranked = np.sort(counts)[::-1]
    head = max(1, dataset.n_items // 100)
    return {
        "count": dataset.n_items,
        "without_events": int((counts == 0).sum()),
        "under_5_events": int((counts < 5).sum()),
        "events_each": _quantiles(counts),
        "share_of_top_percent": float(ranked[:head].sum() / max(1, counts.sum())),
        "with_times": _known_times(dataset),
    }


def _known_times(dataset: SessionDataset) -> int | None:
    times = dataset.catalogue.item_times
    return None if times is None else int(np.isfinite(times).sum())


def _texts(dataset: SessionDataset) -> dict[str, Any]:
    table = dataset.catalogue.table
    texts = table["text"].drop_nulls()
    titles = table["title"].drop_nulls()
    covered = table["text"].is_not_null().to_numpy()[dataset.sessions.items]
    return {
        "items_with_text": len(texts),
        "share_of_items": len(texts) / max(1, table.height),
        "share_of_events": float(covered.mean()) if covered.size else 0.0,
        "characters": _quantiles(texts.str.len_chars().to_numpy()),
        "items_sharing_a_title": int(titles.is_duplicated().sum()),
    }


def _times(dataset: SessionDataset) -> dict[str, Any] | None:
    times = dataset.sessions.times
    if times is None or times.size == 0:
        return None
    first, last = int(times.min()), int(times.max())
    shown = pl.Series([first, last]).cast(pl.Datetime("us")).dt.strftime("%Y-%m-%d %H:%M")
    return {"first": shown[0], "last": shown[1], "days": (last - first) / 86_400e6}


def _split(dataset: SessionDataset, config: SplitConfig) -> dict[str, Any]:
    try:
        report = split_dataset(dataset, config).report
    except LlmseqError as error:
        return {"possible": False, "why": str(error)}
    cold = report["sizes"]["items"] - report["sizes"]["test_candidates"]
    return {"possible": True, "items_without_train_events": cold, **report}


def _quantiles(values: NDArray[np.integer]) -> dict[str, float]:
    """Quantiles that are values of the data, and the mean; empty for no values."""
    if values.size == 0:
        return {}
    found = {
        name: float(np.quantile(values, share, method="lower"))
        for name, share in _QUANTILES.items()
    }
    return {"mean": float(values.mean()), **found}
