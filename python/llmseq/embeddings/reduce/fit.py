"""Fit a reduction on some items and apply it to all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llmseq.embeddings.matrix import ItemEmbeddings, non_finite_rows
from llmseq.embeddings.reduce.discriminants import fit_discriminants, item_classes
from llmseq.embeddings.reduce.projections import fit_principal_components, fit_random_projection
from llmseq.embeddings.reduce.reducer import Reducer, as_matrix
from llmseq.errors import ConfigError, InvalidDataError, ShapeError

if TYPE_CHECKING:
    from llmseq.data.catalogue import Catalogue
    from llmseq.embeddings.reduce.config import ReductionConfig
    from llmseq.types import BoolArray, FloatMatrix, ItemArray

_NOT_CENTRED = frozenset({"none", "random"})


def fit_reducer(
    config: ReductionConfig,
    vectors: FloatMatrix,
    rows: BoolArray | None = None,
    *,
    classes: ItemArray | None = None,
) -> Reducer:
    """Fit a reduction.

    Parameters
    ----------
    config : ReductionConfig
    vectors : float32 (n_rows, width)
    rows : bool (n_rows,), optional
        Rows to fit on, those of warm items; None: all.
    classes : int32 (n_rows,), optional
        For ``"lda"``: each row's class, −1 where it has none. None: principal components instead.

    Returns
    -------
    Reducer
        The same inputs give the same one.

    Raises
    ------
    InvalidDataError
        If a row holds NaN or infinity, or those to fit on are fewer than two or all equal, or
        their classes cannot be told apart.
    ShapeError
        If ``rows`` or ``classes`` is not as long as there are vectors.
    MissingExtraError
        If an autoencoder is asked for without torch.
    """
    vectors = as_matrix(vectors)
    for name, given in (("rows", rows), ("classes", classes)):
        if given is not None and given.shape != vectors.shape[:1]:
            raise ShapeError(f"{name} must be ({len(vectors)},), one a vector, got {given.shape}")
    bad = non_finite_rows(vectors)
    if bad.any():
        raise InvalidDataError(f"the vector in row {int(np.argmax(bad))} holds NaN or infinity")
    some = vectors if rows is None else vectors[rows]
    match config.method:
        case "none":
            return Reducer(config)
        case "random":
            return fit_random_projection(config, vectors.shape[1])
        case "pca" | "pca_whiten":
            return fit_principal_components(config, some)
        case "lda":
            if classes is None:
                return _components_for_want_of_classes(config, some)
            return fit_discriminants(config, some, classes if rows is None else classes[rows])
        case "autoencoder":
            from llmseq.embeddings.reduce.autoencoder import fit_autoencoder  # imports torch

            return fit_autoencoder(config, some)


def _components_for_want_of_classes(config: ReductionConfig, vectors: FloatMatrix) -> Reducer:
    made = fit_principal_components(config.replace(method="pca"), vectors)
    note = "lda became pca: reduction.classes names no column of the items with their classes"
    return Reducer(config, made.mean, made.components, notes=(note, *made.notes))


def reduce_embeddings(
    embeddings: ItemEmbeddings,
    config: ReductionConfig,
    rows: BoolArray | None = None,
    *,
    catalogue: Catalogue | None = None,
) -> ItemEmbeddings:
    """Fit on some items and reduce all.

    Items that got the mean for want of a vector (``embeddings.filled``) are not fitted on, and
    after a reduction that moves the mean to zero they are zero, like to nothing: scaled to length
    one, the little that is left of a mean would be as loud as any vector.

    Parameters
    ----------
    embeddings : ItemEmbeddings
    config : ReductionConfig
    rows : bool (n_items,), optional
        Items to fit on, the warm ones; None: all.
    catalogue : Catalogue, optional
        Holds the column that ``config.classes`` names.

    Returns
    -------
    ItemEmbeddings
        ``origin`` has the new dim, ``reduction`` (the settings) and further ``notes``.
    """
    reducer = fit_item_reducer(config, embeddings, rows, catalogue=catalogue)
    return apply_reducer(reducer, embeddings)


def fit_item_reducer(
    config: ReductionConfig,
    embeddings: ItemEmbeddings,
    rows: BoolArray | None = None,
    *,
    catalogue: Catalogue | None = None,
) -> Reducer:
    """Fit on some items (None: all), but never on those that got the mean for want of a vector.

    Raises
    ------
    ConfigError
        If the settings name classes, and there is no catalogue or it has no such column.
    """
    filled, classes = embeddings.filled, None
    if filled is not None:
        rows = ~filled if rows is None else rows & ~filled
    if config.classes is not None:
        if catalogue is None:
            raise ConfigError(
                f'reduction.classes = "{config.classes}" is a column of the items: give catalogue='
            )
        classes = item_classes(catalogue, config.classes)
    return fit_reducer(config, embeddings.vectors, rows, classes=classes)


def apply_reducer(reducer: Reducer, embeddings: ItemEmbeddings) -> ItemEmbeddings:
    """Reduce the vectors of items, of those it was fitted on or of others; see `reduce_embeddings`.

    Raises
    ------
    ShapeError
        If the vectors are not as wide as those it was fitted on.
    """
    filled, config = embeddings.filled, reducer.config
    vectors = reducer.transform(embeddings.vectors)
    if filled is not None and config.method not in _NOT_CENTRED:
        vectors[filled] = 0.0
    origin = {
        **embeddings.origin,
        "dim": int(vectors.shape[1]),
        "reduction": config.to_dict(),
        "notes": [*embeddings.origin.get("notes", ()), *reducer.notes],
    }
    return ItemEmbeddings(vectors, origin, filled)
