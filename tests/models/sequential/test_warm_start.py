"""A fit that starts from a fitted model, on a catalogue whose items moved and grew."""

from __future__ import annotations

import numpy as np
import pytest

from llmseq.data.sessions import Sessions
from llmseq.embeddings.matrix import ItemEmbeddings
from llmseq.errors import ConfigError, NotFittedError, ShapeError
from llmseq.models.popularity import PopularityRecommender
from llmseq.models.protocol import FitContext, WarmStart
from llmseq.models.sequential.model import CONFIGS
from llmseq.models.sequential.recommender import SequentialRecommender
from llmseq.testing.worlds import log_of

# The new catalogue: item j was item OLD[j]; 3 and 8 are new, and 12 and 13 were never trained.
OLD = np.array([5, 0, 7, -1, 11, 13, 2, 1, -1, 4, 3, 6, 8, 9, 10, 12], dtype=np.int32)
KEPT = np.flatnonzero((OLD >= 0) & (OLD < 12))


@pytest.fixture
def grown():
    """A log over the new catalogue: everything but item 5 is met."""
    rows = [[int(start + step) % 16 for step in range(3)] for start in range(16)]
    return log_of([[item for item in row if item != 5] for row in rows], 16)


@pytest.fixture
def grown_text(text):
    vectors = np.random.default_rng(8).normal(size=(16, 20))
    vectors[OLD >= 0] = text["text"].vectors[OLD[OLD >= 0]]
    return {"text": ItemEmbeddings(vectors, {"encoder": "made up"})}


def fit(config, train, text, start=None, **context):
    rng = np.random.default_rng(0 if start is None else 5)
    return SequentialRecommender(config).fit(
        train,
        embeddings=text,
        rng=rng,
        context=FitContext(start=None if start is None else WarmStart(start, OLD), **context),
    )


def still(config):
    """The same without learning: what comes out is what went in."""
    return config.replace(learning_rate=1e-12, n_epochs=1)


@pytest.mark.parametrize("table", ["random", "llm_init", "bounded_delta", "identity_plus_text"])
@pytest.mark.parametrize("network", CONFIGS)
def test_what_was_learnt_is_carried_over(
    small, cold_circle, grown, text, grown_text, network, table
):
    config = small(network, item_table=table, head="projection", n_epochs=3)
    source = fit(config, cold_circle, text)
    model = fit(still(config), grown, grown_text, source)
    before, after = (each.fitted().model.state_dict() for each in (source, model))
    trained = np.delete(np.arange(16), 5)
    place = {item: row for row, item in enumerate(trained)}
    for name, value in after.items():
        if name in {"table.rows", "head.bias", "table.text"}:
            mine = value[[place[item] for item in KEPT]]
            theirs = before[name][OLD[KEPT]]
        else:
            mine, theirs = value, before[name]
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("table", ["random", "llm_init", "frozen_adapter", "null_space"])
@pytest.mark.parametrize("network", CONFIGS)
def test_without_learning_the_lists_are_those_of_the_source(
    small, cold_circle, grown, text, grown_text, network, table
):
    config = small(network, item_table=table, n_epochs=3)
    source = fit(config, cold_circle, text)
    model = fit(still(config), grown, grown_text, source)
    rows = [[1, 7], [6], [13, 14, 4, 2]]
    known_here, known_there = np.zeros(16, dtype=np.bool_), np.zeros(14, dtype=np.bool_)
    known_here[KEPT] = known_there[OLD[KEPT]] = True
    here = model.recommend(Sessions.from_lists(rows), 8, candidates=known_here)
    there = source.recommend(
        Sessions.from_lists([OLD[row].tolist() for row in rows]), 8, candidates=known_there
    )
    np.testing.assert_array_equal(OLD[here.items], there.items)
    np.testing.assert_allclose(here.scores, there.scores, rtol=1e-4, atol=1e-5)


def test_new_items_start_where_the_text_puts_them(small, cold_circle, grown, text, grown_text):
    alone = {"unseen_neighbours": 0, "unseen_scale": 1.0}
    config = small("sasrec", item_table="llm_init", n_epochs=3, **alone)
    source = fit(config, cold_circle, text)
    model = fit(still(config), grown, grown_text, source)
    new = source.extend(grown_text["text"])  # item 14 + j has the text of item j
    asked = np.zeros(30, dtype=np.bool_)
    asked[[14 + 3, 14 + 8]] = True
    expected = new.recommend(Sessions.from_lists([[0, 1]]), 2, candidates=asked)
    prompt = [[OLD.tolist().index(0), OLD.tolist().index(1)]]
    ours = model.recommend(Sessions.from_lists(prompt), 2, candidates=asked[14:])
    np.testing.assert_array_equal(ours.items + 14, expected.items)
    np.testing.assert_allclose(ours.scores, expected.scores, rtol=1e-4, atol=1e-5)


def test_the_source_is_left_as_it_was(small, circle):
    config = small("sasrec")
    source = fit(config, circle, None)
    asked = Sessions.from_lists([[1, 2]])
    before = source.recommend(asked, 5)
    start = WarmStart(source, np.arange(12, dtype=np.int32))
    SequentialRecommender(config.replace(n_epochs=3)).fit(
        circle, rng=np.random.default_rng(1), context=FitContext(start=start)
    )
    np.testing.assert_array_equal(source.recommend(asked, 5).scores, before.scores)


def test_a_head_start_shows_in_the_first_loss(small, circle):
    config = small("gru4rec", n_epochs=10, dropout=0.0)
    source = fit(config, circle, None)
    start = WarmStart(source, np.arange(12, dtype=np.int32))
    warm = SequentialRecommender(config.replace(n_epochs=1)).fit(
        circle, rng=np.random.default_rng(1), context=FitContext(start=start)
    )
    first, last = (source.summary.history[epoch]["loss"] for epoch in (0, -1))
    assert warm.summary.history[0]["loss"] < last < 0.7 * first


@pytest.mark.parametrize(
    ("network", "before", "now"),
    [
        ("sasrec", {"n_blocks": 2}, {}),
        ("sasrec", {}, {"n_blocks": 2}),
        ("sasrec", {"n_heads": 1}, {}),
        ("sasrec", {"block": "ligr"}, {"block": "pre_norm"}),
        ("sasrec", {"embedding_dim": 4}, {}),
        ("bert4rec", {"max_length": 5}, {}),
        ("bert4rec", {"head": "projection"}, {}),
        ("gru4rec", {}, {"head": "projection"}),
        ("gru4rec", {"hidden_dim": 11}, {}),
        ("gru4rec", {}, {"item_table": "llm_init"}),
        ("gru4rec", {"item_table": "bounded_delta"}, {"item_table": "llm_init"}),
        ("gru4rec", {"item_table": "frozen_adapter"}, {}),
        (
            "gru4rec",
            {"item_table": "null_space", "identity_dim": 2},
            {"item_table": "null_space", "identity_dim": 3},
        ),
    ],
    ids=str,
)
def test_another_build_is_an_error_before_training(
    small, cold_circle, grown, text, grown_text, network, before, now
):
    source, news = fit(small(network, **before), cold_circle, text), []
    with pytest.raises(ConfigError, match="the saved model does not go with the settings"):
        fit(
            small(network, **now),
            grown,
            grown_text,
            source,
            progress=lambda *args: news.append(args),
        )
    assert news == []


@pytest.mark.parametrize("network", CONFIGS)
def test_another_kind_is_an_error_that_names_both(small, circle, network):
    other = {"sasrec": "bert4rec", "bert4rec": "gru4rec", "gru4rec": "sasrec"}[network]
    labels = {"sasrec": "SASRec", "bert4rec": "BERT4Rec", "gru4rec": "GRU4Rec"}
    says = f"{labels[network]} cannot start from a saved {labels[other]}"
    source = fit(small(other), circle, None)
    with pytest.raises(ConfigError, match=says):
        fit(small(network), circle, None, source)
    popular = PopularityRecommender().fit(circle, rng=np.random.default_rng(0))
    with pytest.raises(ConfigError, match="cannot start from a saved Popularity"):
        fit(small(network), circle, None, popular)


def test_an_unfitted_source_says_so(small, circle):
    with pytest.raises(NotFittedError, match="SASRec"):
        fit(small("sasrec"), circle, None, SequentialRecommender(small("sasrec")))


def test_vectors_must_be_those_of_the_source(small, cold_circle, grown, text, grown_text):
    config = small("sasrec", item_table="llm_init")
    source, vectors = fit(config, cold_circle, text), grown_text["text"].vectors
    with pytest.raises(ConfigError, match=r'vectors of "made up", these are of "other"'):
        fit(config, grown, {"text": ItemEmbeddings(vectors, {"encoder": "other"})}, source)
    with pytest.raises(ShapeError, match="width 20, got 19"):
        fit(config, grown, {"text": ItemEmbeddings(vectors[:, :19])}, source)


@pytest.mark.parametrize("items", [OLD[:3], OLD + 1, OLD - 1], ids=["short", "beyond", "below"])
def test_items_must_go_with_the_two_catalogues(small, cold_circle, grown, text, items):
    source = fit(small("sasrec"), cold_circle, text)
    with pytest.raises(ShapeError, match="16 items"):
        SequentialRecommender(still(source.config)).fit(
            grown,
            rng=np.random.default_rng(5),
            context=FitContext(start=WarmStart(source, items)),
        )
