from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmseq.core import CooccurrenceIndex, ItemIndex
from llmseq.data.sessions import Sessions
from llmseq.embeddings.matrix import ItemEmbeddings
from llmseq.embeddings.reduce import ReductionConfig
from llmseq.errors import ConfigError, ShapeError
from llmseq.models.catalog import MODELS
from llmseq.models.cooccurrence import (
    CooccurrenceConfig,
    CooccurrenceRecommender,
    CooccurrenceTextConfig,
)
from llmseq.testing import reference
from llmseq.testing.strategies import ragged
from llmseq.testing.worlds import log_of

PLAIN = CooccurrenceConfig(window=2, distance_power=1.0, backward=0.5, row_power=0.0)
AS_GIVEN = ReductionConfig()
# Item 3, without an event, is worded like item 2.
VECTORS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 2]], dtype=np.float32)


def fitted(config, rows, n_items=4, vectors=None):
    embeddings = None if vectors is None else {"text": ItemEmbeddings(vectors)}
    return CooccurrenceRecommender(config).fit(
        log_of(rows, n_items), embeddings=embeddings, rng=np.random.default_rng(0)
    )


def asked(*rows):
    return Sessions.from_lists(rows)


def test_counts_by_distance_and_direction():
    model = fitted(PLAIN, [[0, 1, 2], [0, 1]])
    lists = model.recommend(asked([0], [1]), 3)
    # After 0: 1 twice at distance 1, 2 at distance 2. Around 1: 2 behind it, 0 twice before it.
    assert lists.items.tolist() == [[1, 2, -1], [0, 2, -1]]
    assert lists.scores[:, :2].tolist() == [[2.0, 0.5], [1.0, 1.0]]


def test_markov_reads_the_last_item_alone():
    config = MODELS["markov"].make_config({"prompt_pooling": "last"}, what="markov")
    model = fitted(config, [[0, 1], [0, 2], [0, 2], [3, 1]])
    lists = model.recommend(asked([3, 0], [0, 3], [1]), 2)
    assert lists.items.tolist() == [[2, 1], [1, -1], [-1, -1]]
    assert lists.scores[0].tolist() == pytest.approx([2 / 3, 1 / 3])


def test_text_reaches_an_item_without_an_event():
    rows = [[0, 2], [0, 1]]
    config = CooccurrenceTextConfig(
        reduction=AS_GIVEN, n_neighbours=1, item_smoothing=0.5, text_weight=0.0
    )
    model = fitted(config, rows, vectors=VECTORS)
    only_cold = np.array([False, False, False, True])
    assert model.recommend(asked([0]), 2, candidates=only_cold).items.tolist() == [[3, -1]]
    assert fitted(PLAIN, rows).recommend(asked([0]), 2, candidates=only_cold).items[0, 0] == -1


def test_a_prompt_of_an_unseen_item_is_read_through_its_text():
    config = CooccurrenceTextConfig(reduction=AS_GIVEN, n_neighbours=1, text_weight=0.25)
    model = fitted(config, [[0, 2], [0, 1]], vectors=VECTORS)
    assert model.recommend(asked([3]), 2).items.tolist() == [[2, -1]]
    passing = config.replace(prompt_smoothing=1.0, text_weight=0.0)
    model = fitted(passing, [[2, 0], [0, 1]], vectors=VECTORS)
    assert model.recommend(asked([3]), 2).items.tolist() == [[0, -1]]
    assert fitted(PLAIN, [[2, 0]]).recommend(asked([3]), 2).items.tolist() == [[-1, -1]]


def test_an_item_is_not_its_own_neighbour():
    config = CooccurrenceTextConfig(reduction=AS_GIVEN, n_neighbours=3, text_weight=1.0)
    model = fitted(config, [[0]], vectors=VECTORS)
    lists = model.recommend(asked([2]), 4, exclude_seen=False)
    assert lists.items.tolist() == [[3, -1, -1, -1]]


def test_vectors_are_needed_and_of_this_catalogue():
    with pytest.raises(ConfigError, match="LLM2Cooccurrence needs text vectors"):
        fitted(CooccurrenceTextConfig(), [[0, 1]])
    with pytest.raises(ShapeError, match="4 rows, but the catalogue has 5 items"):
        fitted(CooccurrenceTextConfig(), [[0, 1]], n_items=5, vectors=VECTORS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"window": 0},
        {"row_power": -0.1},
        {"backward": float("inf")},
        {"prompt_pooling": "newest"},
        {"text_weight": 1.0},
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        CooccurrenceConfig.make(wrong, what="cooccurrence")


def test_a_loaded_model_maps_its_index(tmp_path, monkeypatch):
    config = CooccurrenceTextConfig(reduction=AS_GIVEN)
    model = fitted(config, [[0, 2], [0, 1]], vectors=VECTORS)
    wanted = model.recommend(asked([0], [3], []), 4)
    model.save(tmp_path / "m")
    monkeypatch.setattr(CooccurrenceIndex, "__init__", None)  # nothing may be counted again
    read = CooccurrenceRecommender.load(tmp_path / "m")
    assert read.config == config
    np.testing.assert_array_equal(read.recommend(asked([0], [3], []), 4).scores, wanted.scores)


@settings(deadline=None)
@given(
    rows=ragged(5, max_rows=12),
    prompts=ragged(5),
    window=st.integers(1, 4),
    powers=st.tuples(st.sampled_from([0.0, 0.8]), st.sampled_from([0.0, 0.6])),
    backward=st.sampled_from([0.0, 0.25]),
    pooling=st.sampled_from(["harmonic", "last"]),
)
def test_every_setting_reaches_the_index(rows, prompts, window, powers, backward, pooling):
    config = CooccurrenceConfig(
        window=window,
        distance_power=powers[0],
        row_power=powers[1],
        backward=backward,
        prompt_pooling=pooling,
    )
    model = fitted(config, [row.tolist() for row in rows], n_items=5)
    lists = model.recommend(Sessions.from_lists([row.tolist() for row in prompts]), 4)
    forward = [float(distance) ** -powers[0] for distance in range(1, window + 1)]
    items, scores = reference.CooccurrenceIndex(
        rows.items,
        rows.offsets,
        5,
        forward=forward,
        backward=[backward * weight for weight in forward],
        row_power=powers[1],
    ).search(prompts.items, prompts.offsets, 4, pooling=pooling)
    np.testing.assert_array_equal(lists.items, items)
    np.testing.assert_allclose(lists.scores, scores, rtol=1e-6)


@settings(deadline=None)
@given(
    rows=ragged(4, max_rows=12),
    prompts=ragged(4),
    name=st.sampled_from(["markov", "cooccurrence", "llm2cooccurrence"]),
    strengths=st.tuples(*[st.sampled_from([0.0, 0.5])] * 3),
    n_neighbours=st.integers(1, 3),
)
def test_every_name_lists_what_its_twin_lists(rows, prompts, name, strengths, n_neighbours):
    smooths = name == "llm2cooccurrence"
    chosen = {
        "reduction": {},
        "n_neighbours": n_neighbours,
        "prompt_smoothing": strengths[0],
        "item_smoothing": strengths[1],
        "text_weight": strengths[2],
    }
    config = MODELS[name].make_config(chosen if smooths else {}, what=name)
    model = fitted(config, [row.tolist() for row in rows], vectors=VECTORS if smooths else None)
    lists = model.recommend(Sessions.from_lists([row.tolist() for row in prompts]), 3)
    forward = [float(d) ** -config.distance_power for d in range(1, config.window + 1)]
    near = ItemIndex(VECTORS, "cosine").search(
        VECTORS, n_neighbours, exclude=(np.arange(4), np.arange(5))
    )
    items, scores = reference.CooccurrenceIndex(
        rows.items,
        rows.offsets,
        4,
        forward=forward,
        backward=[config.backward * weight for weight in forward],
        row_power=config.row_power,
        near=near if smooths else None,
        smoothing=strengths if smooths else (0.0, 0.0, 0.0),
    ).search(prompts.items, prompts.offsets, 3, pooling=config.prompt_pooling)
    np.testing.assert_array_equal(lists.items, items)
    np.testing.assert_allclose(lists.scores, scores, rtol=1e-6)
