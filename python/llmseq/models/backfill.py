"""A second model fills the lists that a first one leaves short."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llmseq.errors import ConfigError
from llmseq.models.catalog import MODELS
from llmseq.recommendations import Recommendations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmseq.data.dataset import SessionDataset
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.models.protocol import FitContext, Recommender
    from llmseq.types import OffsetArray


def check_backfill(name: str) -> None:
    """Refuse what cannot fill lists.

    Raises
    ------
    ConfigError
        If no such model is registered, or it is made of other models.
    """
    if MODELS[name].family == "hybrid":
        raise ConfigError(f'backfill = "{name}": a hybrid has members; name a single model')


def fit_backfill(
    name: str,
    train: SessionDataset,
    *,
    embeddings: Mapping[str, ItemEmbeddings] | None,
    rng: np.random.Generator,
    context: FitContext | None,
) -> Recommender:
    """Fit a registered model with its preset."""
    entry = MODELS[name]
    model: Recommender = entry.recommender_class()(entry.make_config(what=name))  # type: ignore[call-arg]
    return model.fit(train, embeddings=embeddings, rng=rng, context=context)


def fill_short(lists: Recommendations, rows: OffsetArray, more: Recommendations) -> Recommendations:
    """Fill missing places with a second model's items, in its order, that are not listed yet.

    A filled place scores −1, −2 and so on: below any item that the first model lists, since its
    scores are above 0, and in an order that does not depend on how many places are asked for.

    Parameters
    ----------
    lists
        Of the first model.
    rows
        Those of its lists that are short.
    more
        The second model's lists for these rows, equally long.
    """
    items, scores = lists.items.copy(), lists.scores.copy()
    for row, others in zip(rows, more.items, strict=True):
        listed = items[row][items[row] >= 0]
        new = others[(others >= 0) & ~np.isin(others, listed)][: lists.k - listed.size]
        filled = slice(listed.size, listed.size + new.size)
        items[row, filled] = new
        scores[row, filled] = -1.0 - np.arange(new.size)
    return Recommendations(items, scores)
