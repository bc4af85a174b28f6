"""What every model checks before it ranks: k, the prompts' items, the candidate mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from llmseq.errors import ConfigError, InvalidDataError, NotFittedError, ShapeError
from llmseq.models.protocol import MayNeedTimes
from llmseq.storage import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmseq.config import Config
    from llmseq.data.catalogue import Catalogue
    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import Sessions
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.types import BoolArray

T = TypeVar("T")


def check_request(
    prompts: Sessions, k: int, candidates: BoolArray | None, *, n_items: int
) -> BoolArray | None:
    """Refuse what no model can answer; returns the mask as booleans.

    Raises
    ------
    ConfigError
        If ``k`` is below 1.
    InvalidDataError
        If a prompt names an item that the model's catalogue does not have.
    ShapeError
        If ``candidates`` is no boolean (n_items,).
    """
    if k < 1:
        raise ConfigError(f"k must be at least 1, got {k}")
    beyond = (prompts.items < 0) | (prompts.items >= n_items)
    if beyond.any():
        event = int(np.argmax(beyond))
        row = int(np.searchsorted(prompts.offsets, event, side="right")) - 1
        raise InvalidDataError(
            f'prompt {row} (session "{prompts.ids[row]}") names item index '
            f"{prompts.items[event]}, but the model was fitted on a catalogue of {n_items} items; "
            "leave unknown items out of the prompts"
        )
    if candidates is None:
        return None
    mask = np.asarray(candidates)
    if mask.dtype != np.bool_ or mask.shape != (n_items,):
        raise ShapeError(
            f"candidates must be a boolean mask of shape ({n_items},), "
            f"got {mask.dtype} {mask.shape}"
        )
    return mask


def check_times(config: Config, train: SessionDataset, *, model: str, instead: str) -> None:
    """Refuse settings that need session times, for a log that has none.

    Raises
    ------
    ConfigError
        Naming the settings and what to do instead.
    """
    asked = config.needs_times if isinstance(config, MayNeedTimes) else ()
    if asked and train.sessions.times is None:
        raise ConfigError(
            f"{model}: {' and '.join(asked)} needs session times, and this log has none; {instead}"
        )


def fitted(part: T | None, model: str) -> T:
    """Give what a fit made; None is a ``NotFittedError``."""
    if part is None:
        raise NotFittedError(f"{model} is not fitted; call fit() first or load a saved model")
    return part


def pick_embeddings(
    embeddings: Mapping[str, ItemEmbeddings] | None,
    name: str | None,
    *,
    catalogue: Catalogue,
    model: str,
) -> ItemEmbeddings:
    """Take the embeddings that a config names, or the only ones.

    Raises
    ------
    ConfigError
        If none are given, the name is not among them, or several are given and none is named.
    ShapeError
        If they do not have one row for each item of the catalogue.
    InvalidDataError
        If they were made for a catalogue of other items, or in another order.
    """
    given = embeddings or {}
    if not given:
        raise ConfigError(f"{model} needs text vectors: pass embeddings={{name: ItemEmbeddings}}")
    choices = ", ".join(given)
    if name is None and len(given) > 1:
        raise ConfigError(
            f'{model}: several embeddings are given; set "embedding" to one of {choices}'
        )
    chosen = next(iter(given)) if name is None else name
    if chosen not in given:
        raise ConfigError(f'{model}: no embeddings are called "{chosen}"; choose from {choices}')
    found = given[chosen]
    if found.n_items != catalogue.n_items:
        raise ShapeError(
            f'{model}: the embeddings "{chosen}" have {found.n_items} rows, '
            f"but the catalogue has {catalogue.n_items} items"
        )
    items = found.origin.get("items_fingerprint")
    if items is not None and items != fingerprint(catalogue.ids):
        raise InvalidDataError(
            f'{model}: the embeddings "{chosen}" were made for a catalogue with other items or '
            "another order of them; make them again from this one"
        )
    return found
