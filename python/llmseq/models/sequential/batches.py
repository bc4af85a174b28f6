"""Training windows and packed batches: the events of a batch end to end, nothing padded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from llmseq.errors import InvalidDataError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from llmseq.types import Ragged


@dataclass(frozen=True, eq=False, slots=True)
class PackedBatch:
    """B sessions with M events in all, one after the other.

    Parameters
    ----------
    items : int64 (M,)
        Item of each event, oldest first within a session.
    sessions : int64 (M,)
        Row of the batch that each event belongs to, rising.
    ages : int64 (M,)
        Events that come after it in its session: 0 for the newest.
    longest : int
        Events of the longest session, at least 1.
    targets : int64 (M,), optional
        The item that follows each event; training only.
    """

    items: Tensor
    sessions: Tensor
    ages: Tensor
    longest: int
    targets: Tensor | None = None

    @classmethod
    def pack(
        cls, events: Ragged, *, targets: Ragged | None = None, device: torch.device | str = "cpu"
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
            targets=None if targets is None else tensor(targets.items),
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

    def newest(self) -> Tensor:
        """Where each session's newest event stands, int64 (B,), in order."""
        return torch.nonzero(self.ages == 0).squeeze(1)


class TrainingWindows:
    """What a causal model learns from: each session's newest events, and the item after each.

    Parameters
    ----------
    sessions : Ragged
        Item indices; sessions of fewer than two events teach nothing and are left out.
    max_length : int
        Most events that the model sees at once.

    Raises
    ------
    InvalidDataError
        If no session has two events.
    """

    def __init__(self, sessions: Ragged, max_length: int) -> None:
        usable = np.flatnonzero(sessions.lengths >= 2)
        if usable.size == 0:
            raise InvalidDataError(
                f"none of the {len(sessions)} training sessions has two events; "
                "a sequential model learns from which item follows which"
            )
        self._windows = sessions.take(usable).tail(max_length + 1)

    def __len__(self) -> int:
        return len(self._windows)

    @property
    def n_targets(self) -> int:
        """Events that have to be predicted in one epoch."""
        return self._windows.items.size - len(self)

    def batches(
        self, batch_size: int, generator: torch.Generator, *, device: torch.device | str = "cpu"
    ) -> Iterator[PackedBatch]:
        """Go once through all windows in a random order."""
        order = torch.randperm(len(self), generator=generator).numpy()
        for start in range(0, len(self), batch_size):
            yield self._batch(order[start : start + batch_size], device)

    def _batch(self, rows: NDArray[np.int64], device: torch.device | str) -> PackedBatch:
        window = self._windows.take(rows)
        first = np.zeros(window.items.size, dtype=np.bool_)
        first[window.offsets[:-1]] = True
        last = np.zeros_like(first)
        last[window.offsets[1:] - 1] = True
        return PackedBatch.pack(
            window.keep_events(~last), targets=window.keep_events(~first), device=device
        )
