"""Start from the weights of a fitted model, on a catalogue that may have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from llmseq.errors import ConfigError, ShapeError

if TYPE_CHECKING:
    from llmseq.models.sequential.model import SequentialModel
    from llmseq.models.sequential.recommender import SequentialRecommender
    from llmseq.types import BoolArray, ItemArray

_ROW_PER_ITEM = ("table.rows", "head.bias")
_FROM_TEXT = "table.text"  # follows from the new catalogue's own vectors


def copy_weights(
    source: SequentialRecommender, model: SequentialModel, items: ItemArray, trained: BoolArray
) -> None:
    """Copy what was learnt into a freshly made model; new items keep their first values.

    Parameters
    ----------
    source : SequentialRecommender
        Fitted.
    model : SequentialModel
        With a row for each item of ``trained``.
    items : int32 (n_items,)
        Each item's index in the source's catalogue, −1 for new ones.
    trained : bool (n_items,)
        Items that the new training sees.

    Raises
    ------
    ConfigError
        If the two differ in build or shape.
    ShapeError
        If ``items`` does not go with the two catalogues.
    """
    found = source.fitted()
    if items.shape != trained.shape or not ((items >= -1) & (items < len(found.trained))).all():
        raise ShapeError(
            f"WarmStart.items must say for each of the {len(trained)} items which of the saved "
            f"model's {len(found.trained)} it is, or −1; got shape {items.shape}"
        )
    if _build(found.model) != _build(model):
        raise ConfigError(
            "the saved model does not go with the settings: its item table, blocks, heads or head "
            "are of another kind or number; leave out settings that shape the network"
        )
    old_rows = np.where(found.trained, np.cumsum(found.trained) - 1, -1)  # old index → table row
    wanted = items[trained]
    old = np.where(wanted >= 0, old_rows[wanted], -1)
    kept = torch.from_numpy(old >= 0)
    rows = torch.from_numpy(old[old >= 0])
    before, after = found.model.state_dict(), model.state_dict()
    for name, value in after.items():
        if name == _FROM_TEXT:
            continue
        if name in before and name in _ROW_PER_ITEM and before[name].shape[1:] == value.shape[1:]:
            value[kept] = before[name][rows].to(value.device)
        elif name in before and name not in _ROW_PER_ITEM and before[name].shape == value.shape:
            value.copy_(before[name])
        else:
            shape = tuple(before[name].shape) if name in before else "nothing"
            raise ConfigError(
                f"the saved model does not go with the settings: {name} is {shape} there and "
                f"{tuple(value.shape)} here; leave out settings that shape the network"
            )


def _build(model: SequentialModel) -> list[tuple[type, object]]:
    """List the parts of a model and their heads, which the shapes of weights do not tell."""
    return [(type(part), getattr(part, "n_heads", None)) for part in model.modules()]
