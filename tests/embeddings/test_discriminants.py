"""Discriminants against the textbook, and catalogues whose classes are not as they should be."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.linalg import eigh

from llmseq.data.catalogue import Catalogue
from llmseq.embeddings.matrix import ItemEmbeddings
from llmseq.embeddings.reduce import ReductionConfig, fit_reducer, reduce_embeddings
from llmseq.errors import ConfigError, InvalidDataError, ShapeError

LDA = ReductionConfig(method="lda", unit_length=False, classes="kind")


def clouds(n_classes: int = 4, size: int = 30, width: int = 7, seed: int = 0):
    """Clouds longer in some directions than their centres lie apart; vectors and classes."""
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(n_classes, dtype=np.int32), size)
    spread = np.linspace(5, 0.2, width)
    vectors = rng.normal(size=(n_classes, width))[classes] + spread * rng.normal(
        size=(classes.size, width)
    )
    return vectors.astype(np.float32), classes


def catalogue(kinds) -> Catalogue:
    ids = [f"i{row}" for row in range(len(kinds))]
    return Catalogue(
        pl.DataFrame(
            {"item_id": ids, "title": ids, "text": ids, "kind": kinds},
            schema_overrides={"kind": pl.String},
        )
    )


def test_directions_are_those_of_fishers_quotient():
    vectors, classes = clouds()
    reducer = fit_reducer(LDA, vectors, classes=classes)
    wide = vectors.astype(np.float64)
    means = np.stack([wide[classes == c].mean(axis=0) for c in range(4)])
    inside = sum(np.cov(wide[classes == c].T, bias=True) for c in range(4))
    between = np.cov(means.T, bias=True)
    values, directions = eigh(between, inside)
    wanted = directions[:, np.argsort(-values)[:3]]
    assert reducer.components.shape == (3, 7)
    for found, right in zip(reducer.components, wanted.T, strict=True):
        cosine = found @ right / np.linalg.norm(found) / np.linalg.norm(right)
        assert abs(cosine) == pytest.approx(1, abs=1e-4)


def test_classes_lie_apart_where_principal_components_mix_them():
    classes = np.arange(60, dtype=np.int32) % 2
    noise = np.random.default_rng(0).normal(size=(60, 7))
    vectors = (noise * np.linspace(5, 0.2, 7)).astype(np.float32)
    vectors[:, -1] += 3 * classes  # the direction of the least variance tells them apart
    line = fit_reducer(LDA.replace(dim=1), vectors, classes=classes).transform(vectors)[:, 0]
    mixed = fit_reducer(LDA.replace(method="pca", classes=None, dim=1), vectors).transform(vectors)
    for values, apart in ((line, True), (mixed[:, 0], False)):
        means, spread = [values[classes == c].mean() for c in (0, 1)], values[classes == 0].std()
        assert bool(abs(means[0] - means[1]) > 3 * spread) == apart


def test_no_more_dimensions_than_classes_less_one():
    vectors, classes = clouds()
    reducer = fit_reducer(LDA.replace(dim=6), vectors, classes=classes)
    assert reducer.notes == ('lda: 3 dimensions instead of 6: 4 classes of "kind" span no more',)
    assert len(reducer.components) == 3


def test_items_without_a_class_and_classes_of_one_are_counted_and_not_fitted_on():
    vectors, classes = clouds()
    whole = fit_reducer(LDA, vectors, classes=classes)
    strays = np.full((3, 7), 1e3, dtype=np.float32)
    more = fit_reducer(
        LDA,
        np.vstack([vectors, strays]),
        classes=np.append(classes, np.array([-1, -1, 9], dtype=np.int32)),
    )
    np.testing.assert_array_equal(more.components, whole.components)
    assert more.notes == (
        'lda: of 123 items with events, 2 have no "kind" and 1 are alone in theirs; they are '
        "reduced but not fitted on",
    )


def test_classes_come_from_the_catalogue():
    vectors, classes = clouds()
    warm = np.arange(120) % 30 < 20
    kinds = [f"kind {c}" for c in classes]
    kinds[5] = None
    made = reduce_embeddings(ItemEmbeddings(vectors), LDA, warm, catalogue=catalogue(kinds))
    codes = classes.copy()
    codes[5] = -1
    right = fit_reducer(LDA, vectors, warm, classes=codes)
    np.testing.assert_array_equal(made.vectors, right.transform(vectors))
    assert "of 80 items with events, 1 have no" in made.origin["notes"][-1]


def test_without_classes_it_becomes_pca_and_says_so():
    vectors, _ = clouds()
    config = ReductionConfig(method="lda", dim=9)
    reducer = fit_reducer(config, vectors)
    pca = fit_reducer(config.replace(method="pca"), vectors)
    np.testing.assert_array_equal(reducer.transform(vectors), pca.transform(vectors))
    assert reducer.config is config
    assert reducer.notes[0].startswith("lda became pca")
    assert reducer.notes[1:] == pca.notes != ()


def test_vectors_that_do_not_span_their_width():
    vectors, classes = clouds(width=5)
    wide = np.hstack([vectors, vectors @ np.ones((5, 4), dtype=np.float32)])
    made = fit_reducer(LDA, wide, classes=classes).transform(wide)
    assert made.shape == (120, 3)
    assert np.isfinite(made).all()


@pytest.mark.parametrize(
    ("kinds", "says"),
    [
        ([None] * 6, "of 6 items with events, 0 have a class"),
        (list("abcdef"), "0 of its 6 classes have 2 items or more, two must; name a coarser"),
        (list("aaaaab"), "1 of its 2 classes"),
    ],
)
def test_classes_that_tell_nothing(kinds, says):
    vectors = ItemEmbeddings(clouds()[0][:6])
    with pytest.raises(InvalidDataError, match=says):
        reduce_embeddings(vectors, LDA, catalogue=catalogue(kinds))


def test_classes_of_equal_vectors_have_no_spread():
    vectors = np.eye(3, dtype=np.float32)[[0, 0, 1, 1, 2]]
    with pytest.raises(InvalidDataError, match="inside every class all vectors are equal"):
        fit_reducer(LDA, vectors, classes=np.array([0, 0, 1, 1, 2], dtype=np.int32))


def test_a_column_that_is_not_there():
    vectors = ItemEmbeddings(clouds()[0][:4])
    items = catalogue(list("aabb"))
    with pytest.raises(ConfigError, match=r'"kinds" is no column.*did you mean "kind"'):
        reduce_embeddings(vectors, LDA.replace(classes="kinds"), catalogue=items)
    with pytest.raises(ConfigError, match="give catalogue="):
        reduce_embeddings(vectors, LDA)
    with pytest.raises(ShapeError, match=r"classes must be \(4,\)"):
        fit_reducer(LDA, vectors.vectors, classes=np.zeros(3, dtype=np.int32))
