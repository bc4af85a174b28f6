"""Where items that training never saw are put: by their text, among the items it saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from llmseq.core import top_k

if TYPE_CHECKING:
    from torch import Tensor

    from llmseq.models.sequential.config import SequentialConfig
    from llmseq.models.sequential.item_table import ItemTable
    from llmseq.types import BoolArray, FloatMatrix, ItemArray

_TEMPERATURE = 0.1  # of the weights: a text .1 of a cosine nearer counts e times as much


class UnseenItems:
    """Gives vectors to the items that training never saw, for any weights of a table.

    Training moves the items that it sees away from what their texts alone would give, together
    where they are bought together. A new item left behind where its text puts it is seldom
    listed, so it takes over what training added to the trained items of the nearest texts: the
    mean, weighted by the softmax of the cosines over ``_TEMPERATURE``.

    Parameters
    ----------
    text : float32 (n_items, R)
        Reduced text vectors of the whole catalogue.
    trained : bool (n_items,)
        Items that training saw, in the order of the table's rows.
    config : SequentialConfig
        ``unseen_neighbours`` and ``unseen_scale``.
    """

    def __init__(self, text: FloatMatrix, trained: BoolArray, config: SequentialConfig) -> None:
        self._seen, self._unseen = torch.from_numpy(text[trained]), torch.from_numpy(text[~trained])
        self._scale = config.unseen_scale
        nearest, cosines = _nearest(text, trained, min(config.unseen_neighbours, len(self._seen)))
        self._nearest = torch.from_numpy(nearest.astype(np.int64))
        self._weights = torch.softmax(torch.from_numpy(cosines) / _TEMPERATURE, dim=1)

    def vectors(self, table: ItemTable, rows: Tensor) -> Tensor:
        """Give the vectors (n, D) of the unseen items, from a table and its rows (V, D)."""
        unseen, seen = (
            table.from_text(text.to(rows.device)) for text in (self._unseen, self._seen)
        )
        learnt = (rows - seen)[self._nearest.to(rows.device)]  # (n, neighbours, D)
        weights = self._weights.to(rows.device)[:, :, None]
        return self._scale * (unseen + (weights * learnt).sum(dim=1))


def _nearest(text: FloatMatrix, trained: BoolArray, k: int) -> tuple[ItemArray, FloatMatrix]:
    """Find the k trained items nearest in text to each of the others, and their cosines."""
    n_unseen = int((~trained).sum())
    if k == 0 or n_unseen == 0:
        return np.empty((n_unseen, k), np.int32), np.empty((n_unseen, k), np.float32)
    directions = text / np.maximum(np.linalg.norm(text, axis=1, keepdims=True), 1e-12)
    return top_k(directions[~trained], directions[trained], k)
