"""Items that training never saw: listed by candidates alone, and added to a fitted model."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import polars as pl
import pytest

from llmseq.data.catalogue import Catalogue
from llmseq.data.sessions import Sessions
from llmseq.embeddings.matrix import ItemEmbeddings
from llmseq.errors import ConfigError, NotFittedError, ShapeError
from llmseq.models.sequential.config import TableMode
from llmseq.models.sequential.model import CONFIGS
from llmseq.models.sequential.recommender import SequentialRecommender
from llmseq.testing.worlds import log_of

WITH_TEXT = [mode for mode in get_args(TableMode) if mode != "random"]
COLD = np.arange(14) >= 12
PROMPTS = Sessions.from_lists([[1, 2], [13], [3, 12, 4], []])


def fit(config, train, text, seed=0):
    rng = np.random.default_rng(seed)
    return SequentialRecommender(config).fit(train, embeddings=text, rng=rng)


def part(text, rows):
    return {"text": ItemEmbeddings(text["text"].vectors[rows], text["text"].origin)}


@pytest.mark.parametrize("head", ["dot", "projection"])
@pytest.mark.parametrize("table", WITH_TEXT)
@pytest.mark.parametrize("network", CONFIGS)
def test_extending_equals_a_fit_that_knew_the_items_from_the_start(
    small, circle, cold_circle, text, network, table, head
):
    config = small(network, item_table=table, head=head)
    later = fit(config, circle, part(text, slice(12))).extend(part(text, slice(12, 14))["text"])
    ever = fit(config, cold_circle, text)
    for candidates in (None, COLD, np.ones(14, dtype=np.bool_)):
        ours, theirs = (
            model.recommend(PROMPTS, 14, candidates=candidates) for model in (later, ever)
        )
        np.testing.assert_array_equal(ours.items, theirs.items)
        np.testing.assert_allclose(ours.scores, theirs.scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "reduction",
    [
        {"method": "autoencoder"},
        {"method": "lda", "classes": "kind"},
        {"method": "lda"},  # becomes pca
    ],
)
def test_new_items_go_through_the_saved_reduction(small, circle, text, reduction, tmp_path):
    kinds = pl.Series("kind", [f"kind {item % 6}" for item in range(12)])
    train = replace(circle, catalogue=Catalogue(circle.catalogue.table.with_columns(kinds)))
    config = small("sasrec", item_table="llm_init", embedding_dim=4, reduction=reduction)
    model = fit(config, train, part(text, slice(12)))
    became_pca = any("lda became pca" in note for note in model.summary.notes)
    assert became_pca == (reduction == {"method": "lda"})
    model.save(tmp_path / "model")
    for fitted in (model, SequentialRecommender.load(tmp_path / "model")):
        copies = fitted.extend(part(text, slice(12))["text"])  # item 12 + i has item i's text
        np.testing.assert_array_equal(copies._vectors[12:], copies._vectors[:12])
        assert copies._vectors.shape == (24, 4)
        assert copies.recommend(PROMPTS, 3, candidates=np.arange(24) >= 12).items[0].min() >= 12


@pytest.mark.parametrize("network", CONFIGS)
def test_new_items_are_listed_by_candidates_alone(small, circle, text, network):
    model = fit(small(network, item_table="llm_init"), circle, part(text, slice(12)))
    longer = model.extend(part(text, slice(12, 14))["text"])
    usual = longer.recommend(PROMPTS, 14)
    assert usual.items.max() < 12
    np.testing.assert_array_equal(usual.items[0], model.recommend(PROMPTS.take([0]), 14).items[0])
    asked = longer.recommend(PROMPTS, 2, candidates=COLD)
    assert sorted(asked.items[0]) == [12, 13]
    assert asked.items[1].tolist() == [12, -1]  # 13 is in the prompt
    assert asked.items[3].tolist() == [-1, -1]
    with pytest.raises(ShapeError, match="candidates"):
        model.recommend(Sessions.from_lists([[1]]), 2, candidates=COLD)  # the old one is as it was


@pytest.mark.parametrize("network", CONFIGS)
def test_a_new_item_of_the_same_text_scores_the_same_where_text_is_all(
    small, circle, text, network
):
    config = small(network, item_table="bounded_delta", max_delta=0.0, unseen_scale=1.0, n_epochs=2)
    model = fit(config, circle, part(text, slice(12)))
    copies = model.extend(part(text, slice(12))["text"])  # item 12 + i has the text of item i
    old = copies.recommend(PROMPTS.take([0]), 12, exclude_seen=False)
    new = copies.recommend(PROMPTS.take([0]), 12, candidates=np.arange(24) >= 12)
    np.testing.assert_array_equal(new.items - 12, old.items)
    np.testing.assert_allclose(new.scores, old.scores, rtol=1e-5)
    read = copies.recommend(Sessions.from_lists([[13, 14]]), 12)  # prompts may hold them too
    np.testing.assert_allclose(read.scores, old.scores, rtol=1e-5)


def test_the_bounded_differences_stay_bounded_at_any_learning_rate(small, circle, text):
    config = small(
        "sasrec", item_table="bounded_delta", learning_rate=1.0, n_epochs=3, table_scale=2.0
    )
    table = fit(config.replace(max_delta=0.25), circle, part(text, slice(12))).fitted().model.table
    lengths = table.rows.detach().norm(dim=1).numpy()
    assert lengths.max() <= 0.5 * (1 + 1e-6)
    assert lengths.min() > 0.49  # so fast that every one reached the bound
    np.testing.assert_allclose(table.text.norm(dim=1), 2.0, rtol=1e-5)


def test_the_frozen_directions_of_the_null_space_stay_frozen(small, circle, text):
    config = small("sasrec", item_table="null_space", identity_dim=3, n_epochs=3, weight_decay=0.1)
    slow = fit(config.replace(learning_rate=1e-12), circle, part(text, slice(12)))
    fast = fit(config, circle, part(text, slice(12)))
    before, after = (model.fitted().model.table().detach().numpy() for model in (slow, fast))
    np.testing.assert_array_equal(before[:, :5], after[:, :5])
    assert np.abs(before[:, 5:] - after[:, 5:]).min() > 1e-6
    assert np.abs(before[:, 5:]).max() < 0.1  # identity starts small beside unit rows


def test_a_random_table_knows_nothing_of_new_items(small, circle, text):
    model = fit(small("bert4rec"), circle, None)
    with pytest.raises(ConfigError, match=r"BERT4Rec: .*random.* nothing is known about a new"):
        model.extend(text["text"])


@pytest.mark.parametrize("reduction", [{"method": "pca_whiten"}, {"method": "none"}])
def test_new_vectors_must_be_as_wide_and_of_the_same_encoder(small, circle, text, reduction):
    config = small("gru4rec", item_table="frozen_adapter", reduction=reduction)
    model = fit(config, circle, part(text, slice(12)))
    with pytest.raises(ShapeError, match=r"fitted on vectors of width 20, got 19"):
        model.extend(ItemEmbeddings(np.ones((2, 19)), {"encoder": "made up"}))
    with pytest.raises(ConfigError, match=r'fitted on vectors of "made up", these are of "other"'):
        model.extend(ItemEmbeddings(np.ones((2, 20)), {"encoder": "other"}))


def test_an_unfitted_model_cannot_be_extended(small, text):
    with pytest.raises(NotFittedError, match="SASRec"):
        SequentialRecommender(small("sasrec", item_table="llm_init")).extend(text["text"])


def test_cold_items_have_no_say_in_the_reduction(small, text):
    log = log_of([[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9], [9, 10, 11, 0]], 14)
    loud = text["text"].vectors.copy()
    loud[12:] *= 1000
    config = small("sasrec", item_table="llm_init", n_epochs=1)
    calm, shaken = (
        fit(config, log, {"text": ItemEmbeddings(vectors)}).recommend(PROMPTS, 12)
        for vectors in (text["text"].vectors, loud)
    )
    np.testing.assert_array_equal(calm.items[0], shaken.items[0])
    np.testing.assert_array_equal(calm.scores[0], shaken.scores[0])
