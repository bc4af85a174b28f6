"""Reductions against an explicit decomposition, and their edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmseq.embeddings.matrix import ItemEmbeddings
from llmseq.embeddings.reduce import Reducer, ReductionConfig, fit_reducer, reduce_embeddings
from llmseq.errors import ConfigError, InvalidDataError, ShapeError

METHODS = ["none", "pca", "pca_whiten", "random", "lda", "autoencoder"]


def _vectors(n_rows: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    scales = np.linspace(3.0, 0.3, width)
    mixed = rng.standard_normal((n_rows, width)) * scales @ rng.standard_normal((width, width))
    return (mixed + 5.0).astype(np.float32)


def _config(method: str, **settings: object) -> ReductionConfig:
    return ReductionConfig.make({"method": method, **settings}, what="reduction")


@given(
    shape=st.sampled_from([(50, 6), (6, 50), (20, 20), (21, 20)]),
    dim=st.integers(1, 5),
    seed=st.integers(0, 50),
)
def test_pca_is_the_singular_value_decomposition(shape, dim, seed):
    vectors = _vectors(*shape, seed)
    reduced = fit_reducer(_config("pca", dim=dim, unit_length=False), vectors).transform(vectors)
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(
        np.abs(reduced), np.abs(left * singular)[:, :dim], atol=2e-4 * singular[0]
    )


def test_pca_like_scikit_learn():
    from sklearn.decomposition import PCA

    vectors = _vectors(300, 24)
    for whiten, method in [(False, "pca"), (True, "pca_whiten")]:
        reducer = fit_reducer(_config(method, dim=10, unit_length=False), vectors)
        theirs = PCA(10, whiten=whiten, svd_solver="full").fit_transform(vectors.astype(np.float64))
        np.testing.assert_allclose(reducer.transform(vectors), theirs, atol=1e-3)


def test_signs_do_not_hang_on_the_order_of_rows():
    vectors = _vectors(80, 8)
    config = _config("pca", unit_length=False)
    first = fit_reducer(config, vectors).components
    turned = fit_reducer(config, vectors[::-1].copy()).components
    assert first is not None
    np.testing.assert_allclose(first, turned, atol=1e-5)
    largest = np.argmax(np.abs(first), axis=1)
    assert (first[np.arange(8), largest] > 0).all()


@pytest.mark.parametrize("shape", [(400, 12), (10, 40)])
def test_whitened_vectors_have_variance_one_and_no_correlation(shape):
    vectors = _vectors(*shape)
    reduced = fit_reducer(_config("pca_whiten", unit_length=False), vectors).transform(vectors)
    covariance = np.cov(reduced.astype(np.float64), rowvar=False)
    np.testing.assert_allclose(covariance, np.eye(reduced.shape[1]), atol=1e-4)


def test_only_the_given_rows_are_fitted_on():
    vectors = _vectors(60, 5)
    rows = np.arange(60) < 40
    fitted = fit_reducer(_config("pca_whiten"), vectors, rows)
    changed = vectors.copy()
    changed[~rows] = 1e3
    again = fit_reducer(_config("pca_whiten"), changed, rows)
    np.testing.assert_array_equal(fitted.components, again.components)
    np.testing.assert_array_equal(fitted.mean, again.mean)
    whole = fit_reducer(_config("pca_whiten"), vectors)
    assert not np.allclose(fitted.components, whole.components)


@pytest.mark.parametrize("method", ["pca", "pca_whiten"])
def test_dim_above_the_rank_becomes_the_rank(method):
    vectors = _vectors(100, 3) @ np.random.default_rng(1).standard_normal((3, 20))
    reducer = fit_reducer(_config(method, dim=16), vectors)
    reduced = reducer.transform(vectors)
    assert reduced.shape == (100, 3)
    assert np.isfinite(reduced).all()
    assert reducer.notes == (f"{method}: 3 dimensions instead of 16: the vectors span no more",)
    assert fit_reducer(_config(method), vectors).notes == ()


def test_few_rows_span_one_dimension_less():
    assert fit_reducer(_config("pca_whiten", dim=50), _vectors(7, 20)).transform(
        _vectors(3, 20, seed=9)
    ).shape == (3, 6)


def test_random_projection_keeps_distances_on_average_and_follows_the_seed():
    vectors = _vectors(60, 200)
    reducer = fit_reducer(_config("random", dim=150, unit_length=False), vectors)
    reduced = reducer.transform(vectors)
    before = np.linalg.norm(vectors[:30] - vectors[30:], axis=1)
    after = np.linalg.norm(reduced[:30] - reduced[30:], axis=1)
    assert np.mean(after / before) == pytest.approx(1.0, abs=0.05)
    other = fit_reducer(_config("random", dim=150, seed=1), vectors)
    assert not np.allclose(reducer.components, other.components)
    wide = fit_reducer(_config("random", dim=300), vectors)
    assert wide.transform(vectors).shape == (60, 200)
    assert "200 dimensions instead of 300" in wide.notes[0]


@given(method=st.sampled_from(METHODS[:5]), seed=st.integers(0, 20))
def test_unit_length_with_zero_rows(method, seed):
    vectors = _vectors(30, 6, seed)
    if method in {"none", "random"}:
        vectors[4] = 0.0
    else:
        vectors -= vectors.mean(axis=0)
        vectors = np.concatenate([vectors, -vectors])
        vectors[[4, 34]] = 0.0  # the mean is zero exactly, so these rows have no direction
    reducer = fit_reducer(_config(method), vectors)
    if reducer.mean is not None:
        np.testing.assert_allclose(reducer.mean, 0.0, atol=1e-6)
        reducer = Reducer(reducer.config, np.zeros_like(reducer.mean), reducer.components)
    lengths = np.linalg.norm(reducer.transform(vectors), axis=1)
    assert lengths[4] == 0.0
    np.testing.assert_allclose(
        np.delete(lengths, [4, 34] if len(lengths) > 30 else 4), 1, rtol=1e-5
    )


def test_none_leaves_vectors_alone():
    vectors = _vectors(5, 3)
    reducer = fit_reducer(_config("none", unit_length=False), vectors)
    kept = reducer.transform(vectors)
    np.testing.assert_array_equal(kept, vectors)
    assert not np.shares_memory(kept, vectors)
    assert reducer.arrays() == {}


@pytest.mark.parametrize("method", METHODS)
def test_saved_and_loaded_reducers_are_equal(method):
    vectors = _vectors(40, 9)
    reducer = fit_reducer(_config(method), vectors)
    config = ReductionConfig.from_toml(reducer.config.to_toml())
    assert config == reducer.config
    again = Reducer.from_arrays(config, reducer.arrays())
    np.testing.assert_array_equal(again.transform(vectors), reducer.transform(vectors))


def test_arrays_that_do_not_fit():
    arrays = fit_reducer(_config("pca"), _vectors(9, 4)).arrays()
    with pytest.raises(ShapeError, match=r"arrays of a pca reduction do not fit.*\(3,\)"):
        Reducer.from_arrays(_config("pca"), {**arrays, "mean": arrays["mean"][:3]})
    with pytest.raises(ShapeError, match="do not fit"):
        Reducer.from_arrays(_config("pca"), {})


def test_many_rows_in_blocks(monkeypatch):
    vectors = _vectors(100, 7)
    whole = fit_reducer(_config("pca_whiten"), vectors)
    for module in ("projections", "reducer"):
        monkeypatch.setattr(f"llmseq.embeddings.reduce.{module}.BLOCK_ROWS", 16)
    blocks = fit_reducer(_config("pca_whiten"), vectors)
    np.testing.assert_allclose(blocks.components, whole.components, rtol=1e-4)
    np.testing.assert_allclose(blocks.transform(vectors), whole.transform(vectors), atol=1e-5)


def test_items_that_got_the_mean_are_neither_fitted_on_nor_loud():
    vectors = _vectors(50, 6)
    filled = np.zeros(50, dtype=bool)
    filled[[3, 8]] = True
    vectors[filled] = vectors[~filled].mean(axis=0)
    origin = {"encoder": "minilm", "dim": 6, "notes": ["a note"]}
    warm = np.arange(50) < 30
    made = reduce_embeddings(
        ItemEmbeddings(vectors, origin, filled), _config("pca_whiten", dim=9), warm
    )
    expected = fit_reducer(_config("pca_whiten", dim=9), vectors, warm & ~filled)
    np.testing.assert_array_equal(made.vectors[~filled], expected.transform(vectors)[~filled])
    assert not made.vectors[filled].any()
    assert made.filled is filled
    assert made.origin["dim"] == 6
    assert made.origin["encoder"] == "minilm"
    assert made.origin["reduction"]["method"] == "pca_whiten"
    assert made.origin["notes"][0] == "a note"
    assert "6 dimensions instead of 9" in made.origin["notes"][1]
    random = reduce_embeddings(ItemEmbeddings(vectors, origin, filled), _config("random", dim=4))
    assert random.vectors[filled].any()


def test_settings_that_cannot_be():
    for settings, message in [
        ({"method": "tsne"}, "method"),
        ({"method": "pca", "classes": "brand"}, 'classes needs the method "lda"'),
        ({"method": "pca", "dim": 0}, "dim"),
        ({"dim": 8}, "dim needs a method"),
        ({"method": "pca", "dims": 8}, 'unknown setting "dims"'),
    ]:
        with pytest.raises(ConfigError, match=message):
            ReductionConfig.make(settings, what="reduction")


def test_vectors_that_cannot_be_reduced():
    good = _vectors(10, 4)
    for method in METHODS[1:3] + METHODS[4:]:
        config = _config(method)
        with pytest.raises(InvalidDataError, match="all equal"):
            fit_reducer(config, np.ones((10, 4), dtype=np.float32))
        with pytest.raises(InvalidDataError, match="two vectors or more, got 1"):
            fit_reducer(config, good, np.arange(10) == 3)
    config = _config("pca")
    with pytest.raises(ShapeError, match=r"rows must be \(10,\)"):
        fit_reducer(config, good, np.ones(9, dtype=bool))
    with pytest.raises(ShapeError, match="width 4, got 3"):
        fit_reducer(config, good).transform(good[:, :3])
    with pytest.raises(ShapeError, match=r"\(n_rows, width\)"):
        fit_reducer(config, good[0])
    bad = good.copy()
    bad[6, 0] = np.nan
    with pytest.raises(InvalidDataError, match="row 6 holds NaN"):
        fit_reducer(config, bad)
