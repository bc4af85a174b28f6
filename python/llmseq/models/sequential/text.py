"""The text side of an item table: which vectors it is made of, and how wide it becomes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmseq.embeddings.reduce import Reducer, apply_reducer, fit_item_reducer
from llmseq.errors import ConfigError
from llmseq.models.sequential.config import MAPS_TEXT, USUAL_DIM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmseq.data.catalogue import Catalogue
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.models.sequential.config import SequentialConfig
    from llmseq.types import BoolArray, FloatMatrix


@dataclass(frozen=True, eq=False, slots=True)
class TableText:
    """A fitted reduction, which also serves items that come later.

    Parameters
    ----------
    reducer : Reducer
    dim : int
        D, the width of the table.
    origin : mapping
        How the vectors were made, as far as it is known.
    notes : tuple of str
        Where the width departs from the usual.
    """

    reducer: Reducer
    dim: int
    origin: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def reduce(self, given: ItemEmbeddings) -> FloatMatrix:
        """Reduced vectors (n, R).

        Raises
        ------
        ConfigError
            If another encoder made them.
        ShapeError
            If they are not as wide as those of the fit.
        """
        before, now = self.origin.get("encoder"), given.origin.get("encoder")
        if None not in (before, now) and before != now:
            raise ConfigError(
                f'the model was fitted on vectors of "{before}", these are of "{now}"; '
                "make them with the same encoder"
            )
        return apply_reducer(self.reducer, given).vectors


def usual_width(config: SequentialConfig) -> int:
    """D where no text limits it."""
    return config.embedding_dim or max(USUAL_DIM // config.heads, 1) * config.heads


def fit_text(
    config: SequentialConfig,
    given: ItemEmbeddings,
    rows: BoolArray,
    *,
    catalogue: Catalogue | None = None,
    label: str,
) -> TableText:
    """Fit the reduction on the vectors of some items and find the width of the table.

    ``catalogue`` holds the column of classes that a reduction may name.

    Raises
    ------
    ConfigError
        If the vectors span fewer dimensions than the settings ask for, or have a width that the
        heads cannot share.
    """
    wanted, reduction = usual_width(config), config.reduction
    if reduction.method != "none" and reduction.dim is None:
        reduction = reduction.replace(dim=wanted)
    reducer = fit_item_reducer(reduction, given, rows, catalogue=catalogue)
    width = given.dim if reducer.components is None else len(reducer.components)
    origin = dict(given.origin)
    if config.item_table in MAPS_TEXT:
        return TableText(reducer, wanted, origin, reducer.notes)
    if width == wanted or (config.embedding_dim is None and width % config.heads == 0):
        note = f"embedding_dim is {width} instead of {wanted}: the text vectors span no more"
        notes = (note, *reducer.notes) if width < wanted else reducer.notes
        return TableText(reducer, width, origin, notes)
    if config.embedding_dim is not None and reduction.method != "none":
        raise ConfigError(
            f"{label}: embedding_dim = {wanted} is more than the {width} dimensions that the text "
            f"vectors span after {reduction.method}; set embedding_dim to {width} or less, or "
            "leave it out"
        )
    shared = width // config.heads * config.heads
    if reduction.method == "none" or shared == 0:
        raise ConfigError(
            f"{label}: the text vectors have {width} dimensions, which do not go with "
            f"embedding_dim = {wanted} and {config.heads} heads; set reduction.method to "
            '"pca_whiten", or change embedding_dim or n_heads'
        )
    narrower = fit_item_reducer(reduction.replace(dim=shared), given, rows, catalogue=catalogue)
    note = f"embedding_dim is {shared} instead of {wanted}: the text vectors span no more that "
    return TableText(narrower, shared, origin, (note + "the heads can share", *narrower.notes))
