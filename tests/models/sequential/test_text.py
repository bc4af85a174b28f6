"""Which width a table of text gets, and which vectors a fitted one takes."""

from __future__ import annotations

import numpy as np
import pytest

from llmseq.embeddings.matrix import ItemEmbeddings
from llmseq.errors import ConfigError, ShapeError
from llmseq.models.sequential.config import MAPS_TEXT, GRU4RecConfig, SASRecConfig
from llmseq.models.sequential.text import fit_text, usual_width

ALL = np.ones(30, dtype=np.bool_)


def vectors(span=9, width=16, n=30, encoder="made up"):
    """Vectors of ``width`` numbers that span fewer dimensions; their mean is zero."""
    rng = np.random.default_rng(0)
    inner = rng.normal(size=(n, span))
    return ItemEmbeddings(
        (inner - inner.mean(axis=0)) @ rng.normal(size=(span, width)),
        {"encoder": encoder} if encoder else {},
    )


def fitted(rows=ALL, given=None, **settings):
    config = SASRecConfig(**{"item_table": "llm_init", **settings})
    return fit_text(config, given or vectors(), rows, label="SASRec")


@pytest.mark.parametrize(
    ("config", "width"),
    [
        (SASRecConfig(), 128),
        (SASRecConfig(n_heads=3), 126),
        (SASRecConfig(n_heads=200), 200),
        (SASRecConfig(n_heads=3, embedding_dim=9), 9),
        (GRU4RecConfig(), 128),
    ],
)
def test_the_usual_width_is_what_the_heads_can_share(config, width):
    assert usual_width(config) == width


@pytest.mark.parametrize(("n_heads", "width"), [(1, 9), (2, 8), (3, 9), (4, 8), (5, 5)])
def test_without_a_wish_the_width_is_what_the_text_spans(n_heads, width):
    text = fitted(n_heads=n_heads)
    reduced = text.reduce(vectors())
    assert (text.dim, reduced.shape) == (width, (30, width))
    assert text.notes[0].startswith(f"embedding_dim is {width} instead of ")
    assert text.notes[1:] == text.reducer.notes
    np.testing.assert_allclose(np.linalg.norm(reduced, axis=1), 1.0, rtol=1e-5)


def test_a_wish_that_the_text_spans_is_granted_without_a_word():
    text = fitted(embedding_dim=6)
    assert (text.dim, text.notes) == (6, ())
    assert text.reduce(vectors()).shape == (30, 6)


def test_a_wish_above_it_is_an_error_that_names_both():
    with pytest.raises(ConfigError, match="embedding_dim = 10 is more than the 9 dimensions"):
        fitted(embedding_dim=10)


def test_fewer_items_span_less():
    with pytest.raises(ConfigError, match="embedding_dim = 6 is more than the 4 dimensions"):
        fitted(np.arange(30) < 5, embedding_dim=6)


def test_heads_that_no_width_suits_are_an_error():
    with pytest.raises(ConfigError, match=r"9 dimensions, which do not go with .* 10 heads"):
        fitted(n_heads=10)


@pytest.mark.parametrize("wish", [None, 16])
def test_unreduced_text_keeps_its_width(wish):
    text = fitted(reduction={"method": "none"}, embedding_dim=wish)
    assert text.dim == 16
    assert text.reduce(vectors()).shape == (30, 16)


@pytest.mark.parametrize("settings", [{"embedding_dim": 8}, {"n_heads": 3}])
def test_unreduced_text_of_another_width_is_an_error(settings):
    with pytest.raises(ConfigError, match=r'16 dimensions, .*set reduction\.method to "pca'):
        fitted(reduction={"method": "none"}, **settings)


@pytest.mark.parametrize("table", sorted(MAPS_TEXT))
@pytest.mark.parametrize(("wish", "width"), [(None, 128), (64, 64), (4, 4)])
def test_a_table_that_maps_the_text_has_the_width_it_likes(table, wish, width):
    assert fitted(item_table=table, embedding_dim=wish).dim == width


def test_only_the_given_items_are_fitted_on():
    some = np.arange(30) < 20
    loud = ItemEmbeddings(np.where(some[:, None], vectors().vectors, 1e4), vectors().origin)
    calm, shaken = (
        fitted(some, given, embedding_dim=4).reduce(vectors()) for given in (vectors(), loud)
    )
    np.testing.assert_array_equal(calm, shaken)


def test_vectors_of_another_encoder_or_width_are_refused():
    text = fitted()
    with pytest.raises(ConfigError, match='vectors of "made up", these are of "other"'):
        text.reduce(vectors(encoder="other"))
    with pytest.raises(ShapeError, match="width 16, got 15"):
        text.reduce(vectors(width=15))
    assert text.reduce(vectors(encoder=None)).shape == (30, 8)  # nobody knows: allowed
