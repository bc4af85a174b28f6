"""A dataset: catalogue, sessions, where they came from, and a fingerprint of the content."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from llmseq.errors import InvalidDataError
from llmseq.storage import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from llmseq.data.catalogue import Catalogue
    from llmseq.data.sessions import Sessions
    from llmseq.types import CountArray, IdArray


@dataclass(frozen=True, eq=False, slots=True)
class SessionDataset:
    """What a model is fitted on.

    Parameters
    ----------
    catalogue : Catalogue
    sessions : Sessions
        Item indices point into the catalogue.
    split_labels : object (n_sessions,), optional
        "train", "test" or another word (left out of both) where a split file was given.
    provenance : mapping
        Plain values: files, options, what was dropped and why. Not part of the fingerprint.
    """

    catalogue: Catalogue
    sessions: Sessions
    split_labels: IdArray | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        items = self.sessions.items
        if items.size and (items.min() < 0 or items.max() >= self.catalogue.n_items):
            raise InvalidDataError(
                f"item indices must be 0 to {self.catalogue.n_items - 1}, "
                f"got {items.min()} to {items.max()}"
            )

    @property
    def n_items(self) -> int:
        """Items in the catalogue."""
        return self.catalogue.n_items

    def item_counts(self) -> CountArray:
        """Events of each item, int64 (n_items,)."""
        return self.sessions.item_counts(self.n_items)

    def take(self, rows: NDArray[np.integer]) -> SessionDataset:
        """Copy with only the given sessions, in that order; the catalogue stays whole."""
        labels = None if self.split_labels is None else self.split_labels[rows]
        return replace(self, sessions=self.sessions.take(rows), split_labels=labels)

    def fingerprint(self) -> str:
        """32 hex digits that follow from the content alone: ids, texts, events, times, split."""
        sessions = self.sessions
        empty = np.empty(0)
        return fingerprint(
            self.catalogue.table.to_dict(as_series=False),
            sessions.ids,
            sessions.items,
            sessions.offsets,
            empty if sessions.times is None else sessions.times,
            empty if sessions.users is None else sessions.users,
            empty if self.split_labels is None else self.split_labels,
        )
