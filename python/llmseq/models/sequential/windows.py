"""What a network learns from: windows over sessions, and what it has to name in each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from llmseq.errors import InvalidDataError
from llmseq.models.sequential.batches import MASK, PackedBatch
from llmseq.types import Ragged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


class Windows:
    """Each session's newest events; a subclass says what is asked about them.

    Parameters
    ----------
    sessions : Ragged
        Item indices; sessions of fewer than two events teach nothing and are left out.
    length : int
        Most events of a window.

    Raises
    ------
    InvalidDataError
        If no session has two events.
    """

    def __init__(self, sessions: Ragged, length: int) -> None:
        usable = np.flatnonzero(sessions.lengths >= 2)
        if usable.size == 0:
            raise InvalidDataError(
                f"none of the {len(sessions)} training sessions has two events; "
                "a sequential model learns from which item follows which"
            )
        self.events = sessions.take(usable).tail(length)

    def __len__(self) -> int:
        return len(self.events)

    def target_counts(self, n_items: int) -> NDArray[np.int64]:
        """How often each item has to be named in an epoch, up to a constant, (n_items,)."""
        return np.bincount(self.events.items, minlength=n_items)

    def batches(
        self, batch_size: int, generator: torch.Generator, *, device: torch.device | str = "cpu"
    ) -> Iterator[PackedBatch]:
        """Go once through all windows in a random order; every batch has targets."""
        order = torch.randperm(len(self), generator=generator).numpy()
        for start in range(0, len(self), batch_size):
            window = self.events.take(order[start : start + batch_size])
            yield self._batch(window, generator, device)

    def _batch(
        self, window: Ragged, generator: torch.Generator, device: torch.device | str
    ) -> PackedBatch:
        raise NotImplementedError


class NextItemWindows(Windows):
    """After each event the item that follows is asked: for networks that see only the past.

    Parameters
    ----------
    sessions : Ragged
    max_length : int
        Events that the network sees; the last target comes on top.
    """

    def __init__(self, sessions: Ragged, max_length: int) -> None:
        super().__init__(sessions, max_length + 1)

    def target_counts(self, n_items: int) -> NDArray[np.int64]:
        """Every event but the first of its window."""
        later = np.ones(self.events.items.size, dtype=np.bool_)
        later[self.events.offsets[:-1]] = False
        return np.bincount(self.events.items[later], minlength=n_items)

    def _batch(
        self,
        window: Ragged,
        generator: torch.Generator,  # noqa: ARG002 - nothing is drawn
        device: torch.device | str,
    ) -> PackedBatch:
        first = np.zeros(window.items.size, dtype=np.bool_)
        first[window.offsets[:-1]] = True
        last = np.zeros_like(first)
        last[window.offsets[1:] - 1] = True
        return PackedBatch.pack(
            window.keep_events(~last), targets=window.items[~first], device=device
        )


class ClozeWindows(Windows):
    """Random events are hidden and have to be named: for networks that see both ways.

    Parameters
    ----------
    sessions : Ragged
    max_length : int
        Events that the network sees.
    mask_prob : float
        Probability that an event is hidden. A window where chance hid none hides its newest.
    """

    def __init__(self, sessions: Ragged, max_length: int, mask_prob: float) -> None:
        super().__init__(sessions, max_length)
        self._mask_prob = mask_prob

    def _batch(
        self, window: Ragged, generator: torch.Generator, device: torch.device | str
    ) -> PackedBatch:
        source = generator.device
        draws = torch.rand(window.items.size, generator=generator, device=source)
        hidden = (draws < self._mask_prob).cpu().numpy()
        untouched = ~np.logical_or.reduceat(hidden, window.offsets[:-1])
        hidden[window.offsets[1:][untouched] - 1] = True
        return PackedBatch.pack(
            Ragged(np.where(hidden, MASK, window.items), window.offsets),
            targets=window.items[hidden],
            asked=np.flatnonzero(hidden),
            device=device,
        )
