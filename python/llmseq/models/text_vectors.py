"""The text vectors that a model was given, reduced as its settings say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmseq.embeddings.reduce import ReductionConfig, reduce_embeddings
from llmseq.models.request import pick_embeddings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmseq.data.dataset import SessionDataset
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.types import FloatMatrix


@dataclass(frozen=True, eq=False, slots=True)
class ReducedText:
    """Reduced vectors of all items.

    Parameters
    ----------
    vectors : float32 (n_items, dim)
    notes
        What the reduction has to say; what was known of the given vectors is left out.
    origin
        How the given vectors were made.
    """

    vectors: FloatMatrix
    notes: tuple[str, ...]
    origin: Mapping[str, Any]


def reduced_text(
    train: SessionDataset,
    embeddings: Mapping[str, ItemEmbeddings] | None,
    name: str | None,
    reduction: ReductionConfig,
    *,
    model: str,
) -> ReducedText:
    """Take the embeddings of that name, or the only ones; reduce them as items of train need it.

    Raises
    ------
    ConfigError
        If they are missing, or the items have no column with the classes that the reduction names.
    ShapeError, InvalidDataError
        If they are another catalogue's, or cannot be reduced.
    MissingExtraError
        If the reduction needs packages that are not installed.
    """
    given = pick_embeddings(embeddings, name, catalogue=train.catalogue, model=model)
    reduced = reduce_embeddings(
        given, reduction, rows=train.item_counts() > 0, catalogue=train.catalogue
    )
    n_known = len(given.origin.get("notes", ()))
    return ReducedText(reduced.vectors, tuple(reduced.origin["notes"][n_known:]), given.origin)
