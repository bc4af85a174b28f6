from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmseq.data.sessions import Sessions
from llmseq.embeddings.matrix import ItemEmbeddings, unit_rows
from llmseq.errors import ConfigError, ShapeError
from llmseq.models.seq_sim import SeqSimConfig, SeqSimRecommender
from llmseq.testing import reference
from llmseq.testing.strategies import ragged, vectors
from llmseq.testing.worlds import log_of

RAW = SeqSimConfig.make(
    {"reduction": {"method": "none", "unit_length": False}, "popularity_weight": 0}, what="test"
)
FOUR = np.array([[1, 0], [0.8, 0.6], [0, 1], [0.6, -0.8]], dtype=np.float32)


def fitted(config, item_vectors, rows=((0, 1),)):
    train = log_of(rows, len(item_vectors))
    return SeqSimRecommender(config).fit(
        train,
        embeddings={"text": ItemEmbeddings(item_vectors)},
        rng=np.random.default_rng(0),
    )


def test_lists_the_items_most_like_the_prompt():
    lists = fitted(RAW, FOUR).recommend(Sessions.from_lists([[0]]), 3)
    assert lists.items.tolist() == [[1, 3, 2]]
    assert lists.scores[0] == pytest.approx([0.8, 0.6, 0.0])


def test_the_newest_item_weighs_most():
    lists = fitted(RAW, FOUR).recommend(Sessions.from_lists([[2, 0], [0, 2]]), 2)
    assert lists.items.tolist() == [[1, 3], [1, 3]]
    # harmonic weights 1/2 and 1: (1·[1,0] + ½·[0,1]) / 1.5, of unit length (2, 1)/√5
    assert lists.scores[0] == pytest.approx(np.array([2.2, 0.4]) / np.sqrt(5))
    assert lists.scores[1] == pytest.approx(np.array([2.0, -1.0]) / np.sqrt(5))


def test_popularity_is_added_to_the_similarity():
    config = RAW.replace(popularity_weight=0.5)
    model = fitted(config, FOUR, rows=[[3, 3, 3], [0]])  # counts 1 0 0 3
    lists = model.recommend(Sessions.from_lists([[0]]), 3)
    assert lists.items.tolist() == [[3, 1, 2]]
    assert lists.scores[0] == pytest.approx([0.6 + 0.5 * np.log(4), 0.8, 0.0])


def test_a_prompt_that_says_nothing_gets_nothing_or_the_popular_items():
    vectors_with_zero = np.vstack([FOUR, np.zeros((1, 2), dtype=np.float32)])
    prompts = Sessions.from_lists([[], [4], [0]])
    rows = [[3, 3, 2], [4]]
    plain = fitted(RAW, vectors_with_zero, rows).recommend(prompts, 3)
    assert plain.items[:2].tolist() == [[-1] * 3] * 2
    assert plain.items[2, 0] == 1
    prior = fitted(RAW.replace(popularity_weight=0.1), vectors_with_zero, rows)
    assert prior.recommend(prompts, 3).items[:2].tolist() == [[3, 2, 4], [3, 2, -1]]


def test_the_reduction_is_fitted_on_items_with_events():
    # items 0 to 2 differ along the first axis only, the cold item 3 along the second
    item_vectors = np.array([[1, 0], [2, 0], [4, 0], [0, 50]], dtype=np.float32)
    config = SeqSimConfig.make(
        {"reduction": {"method": "pca", "dim": 2, "unit_length": False}, "similarity": "dot"},
        what="test",
    )
    model = fitted(config, item_vectors, rows=[[0, 1, 2]])
    assert model._vectors.shape == (4, 1)
    assert "1 dimensions instead of 2" in model.summary.notes[0]


def test_notes_survive_saving(tmp_path):
    config = SeqSimConfig.make({"reduction": {"method": "pca", "dim": 9}}, what="test")
    model = fitted(config, FOUR, rows=[[0, 1, 2]])
    model.save(tmp_path / "m")
    assert SeqSimRecommender.load(tmp_path / "m").summary == model.summary
    assert model.summary.notes


@given(
    item_vectors=vectors(6, 3),
    prompts=ragged(6),
    similarity=st.sampled_from(["cosine", "dot"]),
    weight=st.sampled_from([0.25, 2.0]),
)
def test_one_dot_product_is_the_sum_of_both_terms(item_vectors, prompts, similarity, weight):
    config = RAW.replace(similarity=similarity, popularity_weight=weight, pooling="mean")
    model = fitted(config, item_vectors, rows=[[0, 1, 1], [1, 5, 2]])
    asked = Sessions.from_lists([row.tolist() for row in prompts])
    lists = model.recommend(asked, 6, exclude_seen=False)
    counts = np.array([1, 3, 1, 0, 0, 1])
    queries = reference.pool_sessions(item_vectors, prompts.items, prompts.offsets, "mean")
    rows = item_vectors
    if similarity == "cosine":
        queries, rows = unit_rows(queries), unit_rows(item_vectors)
    wanted = queries.astype(np.float64) @ rows.T.astype(np.float64) + weight * np.log1p(counts)
    for row in range(len(prompts)):
        listed = lists.items[row][lists.items[row] >= 0]
        assert listed.size == (6 if queries[row].any() else 4)
        np.testing.assert_allclose(lists.scores[row, : listed.size], wanted[row, listed], atol=1e-5)
        assert np.all(np.diff(wanted[row, listed]) <= 1e-5)


def test_euclidean_similarity_falls_with_distance():
    lists = fitted(RAW.replace(similarity="euclidean"), FOUR).recommend(
        Sessions.from_lists([[0]]), 1
    )
    assert lists.scores[0, 0] == pytest.approx(1 / (1 + np.sqrt(0.04 + 0.36)))


def test_euclidean_similarity_has_no_popularity_term():
    with pytest.raises(ConfigError, match="popularity_weight must be 0 with similarity euclidean"):
        RAW.replace(similarity="euclidean", popularity_weight=0.1)


@pytest.mark.parametrize(
    ("given_embeddings", "name", "error", "says"),
    [
        (None, None, ConfigError, "needs text vectors"),
        ({"a": FOUR, "b": FOUR}, None, ConfigError, 'set "embedding" to one of a, b'),
        ({"a": FOUR}, "c", ConfigError, 'no embeddings are called "c"; choose from a'),
        ({"a": FOUR[:3]}, None, ShapeError, "3 rows, but the catalogue has 4 items"),
    ],
)
def test_wrong_embeddings(given_embeddings, name, error, says):
    named = given_embeddings and {key: ItemEmbeddings(v) for key, v in given_embeddings.items()}
    model = SeqSimRecommender(RAW.replace(embedding=name))
    with pytest.raises(error, match=says):
        model.fit(log_of([[0, 1]], 4), embeddings=named, rng=np.random.default_rng(0))


def test_the_named_embeddings_are_taken():
    train = log_of([[0, 1]], 4)
    embeddings = {"a": ItemEmbeddings(FOUR[::-1].copy()), "b": ItemEmbeddings(FOUR)}
    model = SeqSimRecommender(RAW.replace(embedding="b"))
    model.fit(train, embeddings=embeddings, rng=np.random.default_rng(0))
    assert model.recommend(Sessions.from_lists([[0]]), 1).items.tolist() == [[1]]
