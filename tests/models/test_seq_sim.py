from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from typing import get_args

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmseq.core import ItemIndex
from llmseq.core.pooling import Pooling
from llmseq.data.catalogue import Catalogue
from llmseq.data.sessions import HeldOut, Sessions
from llmseq.embeddings.embed import embed_catalogue
from llmseq.embeddings.matrix import ItemEmbeddings, unit_rows
from llmseq.errors import (
    ArtifactError,
    ConfigError,
    InvalidDataError,
    MissingExtraError,
    ShapeError,
)
from llmseq.models.approximate import HnswIndex
from llmseq.models.protocol import FitContext
from llmseq.models.seq_sim import SeqSimConfig, SeqSimRecommender
from llmseq.testing import reference
from llmseq.testing.conformance import (
    CHECKS,
    Subject,
    check_checkerboard,
    check_planted_groups,
    groups_world,
)
from llmseq.testing.conformance import (
    fitted as fitted_once,
)
from llmseq.testing.strategies import ragged, vectors
from llmseq.testing.worlds import log_of

RAW = SeqSimConfig.make(
    {"reduction": {"method": "none", "unit_length": False}, "popularity_weight": 0}, what="test"
)
FOUR = np.array([[1, 0], [0.8, 0.6], [0, 1], [0.6, -0.8]], dtype=np.float32)
NO_PRIOR = ("popularity_weight", 0.0)
NARROW = (("search.method", "hnsw"), ("search.m", 4), ("search.ef", 8))
VARIANTS = [
    *(Subject("llmseqsim", (("pooling", pooling),)) for pooling in get_args(Pooling)),
    *(
        Subject("llmseqsim", (("similarity", similarity), NO_PRIOR, *search))
        for similarity in ("cosine", "dot", "euclidean")
        for search in ((), NARROW)
    ),
    *(
        Subject("llmseqsim", (("reduction.method", method), ("reduction.dim", 8), *more))
        for method in ("pca", "pca_whiten", "random", "autoencoder", "lda")
        for more in ((), NARROW)
    ),
    Subject("llmseqsim", (("reduction.method", "lda"), ("reduction.classes", "kind"))),
    Subject("llmseqsim", (("reduction.unit_length", False), ("similarity", "dot"))),
]


@pytest.mark.parametrize("subject", VARIANTS, ids=str)
def test_every_variant_conforms(subject):
    for check in (*CHECKS, check_planted_groups):
        check(subject)
    if ("reduction.method", "pca_whiten") not in subject.settings:
        check_checkerboard(subject)  # one direction tells parity; whitened, noise is as loud


def test_there_are_nine_poolings():
    assert len(get_args(Pooling)) == 9


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
    assert model._ranker.vectors.shape == (4, 1)
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


def test_embeddings_of_another_catalogue_are_refused(tmp_path):
    table = pl.DataFrame(
        {
            "item_id": list("abcdef"),
            "title": (titles := ["red soap", "red balm", "blue balm", "oil", "red oil", "salt"]),
            "text": titles,
        }
    )
    own, other = Catalogue(table), Catalogue(table.reverse())
    train = replace(log_of([[0, 1, 2], [3, 4]], 6), catalogue=own)
    made = {
        name: embed_catalogue(items, "tfidf", cache=tmp_path)
        for name, items in (("own", own), ("other", other))
    }
    for name, right in (("own", True), ("other", False)):
        model = SeqSimRecommender(RAW)
        if right:
            model.fit(train, embeddings={name: made[name]}, rng=np.random.default_rng(0))
            assert model.origin["encoder"] == "tfidf"
            continue
        with pytest.raises(InvalidDataError, match='"other" were made for a catalogue with other'):
            model.fit(train, embeddings={name: made[name]}, rng=np.random.default_rng(0))


def test_classes_are_taken_from_the_catalogue():
    variant = Subject("llmseqsim", (("reduction.method", "lda"), ("reduction.classes", "kind")))
    model = fitted_once(variant, groups_world())
    assert model._ranker.vectors.shape[1] == 5  # of six kinds
    assert model.summary.notes == ()


def approximate(**search):
    return RAW.replace(search={"method": "hnsw", **search})


def test_the_recall_of_an_approximate_search_is_told(tmp_path):
    item_vectors = np.random.default_rng(1).normal(size=(1500, 24)).astype(np.float32)
    rows = np.random.default_rng(2).integers(0, 1500, (700, 3)).tolist()
    train, heard = log_of(rows, 1500), []
    model = SeqSimRecommender(approximate(m=2, ef_construction=2, ef=8)).fit(
        train,
        embeddings={"text": ItemEmbeddings(item_vectors)},
        rng=np.random.default_rng(0),
        context=FitContext(progress=lambda share, text: heard.append(text)),
    )
    [note] = model.summary.notes
    assert heard == [note]
    told = re.fullmatch(
        r"approximate search finds ([\d.]+)% of the exact lists of 20 items "
        r"\(recall@20 over 500 prompts from train\)",
        note,
    )
    rng = np.random.default_rng(0)
    rng.integers(2**31)
    prompts = HeldOut.last_item(train.sessions.take(rng.choice(700, 500, replace=False))).prompts
    found = model.recommend(prompts, 20).items
    exact = fitted(RAW, item_vectors, rows).recommend(prompts, 20).items
    recall = np.mean([np.isin(*pair).mean() for pair in zip(exact, found, strict=True)])
    assert recall < 0.95
    assert float(told[1]) == pytest.approx(100 * recall, abs=0.051)
    model.save(tmp_path / "model")
    read = SeqSimRecommender.load(tmp_path / "model")
    assert read.summary == model.summary
    np.testing.assert_array_equal(read.recommend(prompts, 20).items, found)


def test_a_damaged_graph_is_noticed(tmp_path):
    fitted(approximate(), FOUR).save(tmp_path / "model")
    graph = tmp_path / "model" / "graph.hnsw"
    assert "graph.hnsw" in json.loads((tmp_path / "model" / "manifest.json").read_text())["files"]
    content = graph.read_bytes()
    graph.write_bytes(content[:-8] + b"12345678")
    with pytest.raises(ArtifactError, match=r"graph\.hnsw: damaged or changed"):
        SeqSimRecommender.load(tmp_path / "model")
    graph.unlink()
    with pytest.raises(ArtifactError, match=r"graph\.hnsw: missing"):
        SeqSimRecommender.load(tmp_path / "model")


def test_search_is_exact_unless_told_otherwise(monkeypatch):
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    assert isinstance(fitted(RAW, FOUR)._ranker.index, ItemIndex)
    with pytest.raises(MissingExtraError, match=r"llmseq\[ann\]"):
        fitted(approximate(), FOUR)
    monkeypatch.undo()
    assert isinstance(fitted(approximate(), FOUR)._ranker.index, HnswIndex)
    with pytest.raises(ConfigError, match=r"search.*'exact', 'hnsw'"):
        approximate(method="annoy")


def test_pca_keeps_what_the_vectors_span_and_says_so():
    config = SeqSimConfig(reduction={"method": "pca", "dim": 512})
    wide = np.random.default_rng(0).normal(size=(600, 520)).astype(np.float32)
    model = fitted(config, wide, rows=[range(600)])
    assert model._ranker.vectors.shape == (600, 512)
    assert model.summary.notes == ()
    narrow = fitted(config, wide[:, :40], rows=[range(600)])
    assert narrow.summary.notes == ("pca: 40 dimensions instead of 512: the vectors span no more",)
