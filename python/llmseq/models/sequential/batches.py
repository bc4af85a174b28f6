"""Packed batches: the events of a batch end to end, nothing padded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from llmseq.errors import ShapeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llmseq.types import Ragged

MASK = -1
"""The item of an event that is hidden from the network."""


@dataclass(frozen=True, eq=False, slots=True)
class PackedBatch:
    """B sessions with M events in all, one after the other.

    Parameters
    ----------
    items : int64 (M,)
        Item of each event, oldest first within a session; `MASK` where it is hidden.
    sessions : int64 (M,)
        Row of the batch that each event belongs to, rising.
    ages : int64 (M,)
        Events that come after it in its session: 0 for the newest.
    longest : int
        Events of the longest session, at least 1.
    targets : int64 (P,), optional
        What the network has to name; training only.
    asked : int64 (P,), optional
        The events whose hidden states have to name them; None: every event.
    """

    items: Tensor
    sessions: Tensor
    ages: Tensor
    longest: int
    targets: Tensor | None = None
    asked: Tensor | None = None

    @classmethod
    def pack(
        cls,
        events: Ragged,
        *,
        targets: NDArray[np.integer] | None = None,
        asked: NDArray[np.integer] | None = None,
        device: torch.device | str = "cpu",
    ) -> PackedBatch:
        """Pack sessions; those without events leave no trace."""
        ages = np.repeat(events.offsets[1:], events.lengths) - np.arange(events.items.size) - 1

        def tensor(values: NDArray[np.integer]) -> Tensor:
            return torch.from_numpy(values.astype(np.int64)).to(device)

        return cls(
            items=tensor(events.items),
            sessions=tensor(events.rows),
            ages=tensor(ages),
            longest=max(1, int(events.lengths.max(initial=0))),
            targets=None if targets is None else tensor(targets),
            asked=None if asked is None else tensor(asked),
        )

    @property
    def wanted(self) -> Tensor:
        """The targets of a training batch.

        Raises
        ------
        ShapeError
            If the batch has none.
        """
        if self.targets is None:
            raise ShapeError("the batch has no targets; training needs them")
        return self.targets

    def answers(self, hidden: Tensor) -> Tensor:
        """Hidden states (P, D) of the events that are asked, out of all (M, D)."""
        return hidden if self.asked is None else hidden[self.asked]

    def newest(self) -> Tensor:
        """Where each session's newest event stands, int64 (B,), in order."""
        return torch.nonzero(self.ages == 0).squeeze(1)
