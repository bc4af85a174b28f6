"""Linear discriminant analysis: the directions that tell classes of items apart."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from llmseq.data.files import did_you_mean
from llmseq.embeddings.reduce.projections import kept_dim, with_signs
from llmseq.embeddings.reduce.reducer import Reducer
from llmseq.errors import ConfigError, InvalidDataError

if TYPE_CHECKING:
    from llmseq.data.catalogue import Catalogue
    from llmseq.embeddings.reduce.config import ReductionConfig
    from llmseq.types import FloatMatrix, ItemArray

SMALLEST_CLASS = 2
"""Items that a class must have: one alone says nothing of what its class has in common."""


def item_classes(catalogue: Catalogue, column: str) -> ItemArray:
    """Class of each item by the whole text of a column, int32 (n_items,); −1 where it is empty.

    Raises
    ------
    ConfigError
        If the catalogue has no such column.
    """
    if column not in catalogue.table.columns:
        named = [name for name in catalogue.table.columns if name != "item_id"]
        raise ConfigError(
            f'reduction.classes = "{column}" is no column of the items'
            f"{did_you_mean(column, named)} They have: {', '.join(named)}"
        )
    texts = catalogue.table[column].cast(pl.String)
    classes = np.full(catalogue.n_items, -1, dtype=np.int32)
    known = texts.is_not_null().to_numpy()
    classes[known] = np.unique(texts.drop_nulls().to_list(), return_inverse=True)[1]
    return classes


def fit_discriminants(config: ReductionConfig, vectors: FloatMatrix, classes: ItemArray) -> Reducer:
    """Fit the directions along which classes lie apart, against the spread inside each.

    Parameters
    ----------
    config : ReductionConfig
    vectors : float32 (n_rows, width)
    classes : int32 (n_rows,)
        −1: none. Such rows, and those that are alone in their class, are not fitted on; the notes
        count them.

    Raises
    ------
    InvalidDataError
        If fewer than two classes have two rows.

    Notes
    -----
    Fisher (1936), by the singular value decomposition of scikit-learn, which scales the spread
    inside the classes to one; directions without any such spread are left out.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    known = classes >= 0
    members = np.bincount(classes[known], minlength=1)
    usable = known & (members[classes] >= SMALLEST_CLASS)
    n_classes = int((members >= SMALLEST_CLASS).sum())
    if n_classes < 2:
        raise InvalidDataError(
            f"lda: of {len(vectors):,} items with events, {int(known.sum()):,} have a class in "
            f'column "{config.classes}", and {n_classes} of its {int((members > 0).sum()):,} '
            f"classes have {SMALLEST_CLASS} items or more, two must; name a coarser column, or "
            'take the method "pca"'
        )
    _check_spread(vectors[usable], classes[usable])
    fitted = LinearDiscriminantAnalysis(solver="svd")
    with warnings.catch_warnings():
        # text vectors need not span their width; what they do not span is left out
        warnings.filterwarnings("ignore", "Variables are collinear", UserWarning)
        fitted.fit(vectors[usable].astype(np.float64), classes[usable])
    most = min(n_classes - 1, fitted.scalings_.shape[1])
    dim, notes = kept_dim(config, most, f'{n_classes} classes of "{config.classes}" span no more')
    components = with_signs(fitted.scalings_[:, :dim].T)
    return Reducer(
        config,
        fitted.xbar_.astype(np.float32),
        components.astype(np.float32),
        notes=(*notes, *_left_out(config, classes, usable)),
    )


def _check_spread(vectors: FloatMatrix, classes: ItemArray) -> None:
    _, first, inverse = np.unique(classes, return_index=True, return_inverse=True)
    if (vectors == vectors[first[inverse]]).all():
        raise InvalidDataError(
            "lda: inside every class all vectors are equal, so that there is no spread to compare "
            'the classes by; take the method "pca"'
        )


def _left_out(
    config: ReductionConfig, classes: ItemArray, usable: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> tuple[str, ...]:
    without, alone = int((classes < 0).sum()), int(((classes >= 0) & ~usable).sum())
    if without + alone == 0:
        return ()
    return (
        f'lda: of {len(classes):,} items with events, {without:,} have no "{config.classes}" and '
        f"{alone:,} are alone in theirs; they are reduced but not fitted on",
    )
