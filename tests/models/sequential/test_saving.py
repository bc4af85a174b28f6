"""A saved model is the fitted one, whatever it is made of."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from llmseq.data.sessions import Sessions
from llmseq.errors import ArtifactError
from llmseq.models.popularity import PopularityRecommender
from llmseq.models.sequential.config import HeadKind, TableMode
from llmseq.models.sequential.model import CONFIGS
from llmseq.models.sequential.recommender import SequentialRecommender
from llmseq.storage import file_fingerprint, read_json, write_json

PROMPTS = Sessions.from_lists([[1, 2], [13], [], [0, 12, 5]])


def fit(config, train, text):
    return SequentialRecommender(config).fit(train, embeddings=text, rng=np.random.default_rng(0))


def require_same_lists(first, second, n_items):
    for candidates in (None, np.ones(n_items, dtype=np.bool_)):
        ours, theirs = (
            model.recommend(PROMPTS, n_items, candidates=candidates) for model in (first, second)
        )
        np.testing.assert_array_equal(ours.items, theirs.items)
        np.testing.assert_array_equal(ours.scores, theirs.scores)


def tamper(folder, change):
    """Change the arrays of a saved model behind its back, the checksum included."""
    path = folder / "weights.safetensors"
    save_file(change(load_file(path)), path)
    manifest = read_json(folder / "manifest.json")
    manifest["files"][path.name] = file_fingerprint(path)
    write_json(folder / "manifest.json", manifest)


@pytest.mark.parametrize("head", get_args(HeadKind))
@pytest.mark.parametrize("table", get_args(TableMode))
@pytest.mark.parametrize("network", CONFIGS)
def test_a_loaded_model_gives_the_same_lists(
    small, cold_circle, text, tmp_path, network, table, head
):
    model = fit(small(network, item_table=table, head=head), cold_circle, text)
    model.save(tmp_path / "model")
    loaded = SequentialRecommender.load(tmp_path / "model")
    assert (loaded.config, loaded.summary) == (model.config, model.summary)
    assert loaded.config.network == network
    require_same_lists(model, loaded, 14)


@pytest.mark.parametrize("reduction", [{"method": "none"}, {"method": "random", "dim": 6}])
def test_text_that_the_table_maps_may_be_of_any_width(
    small, cold_circle, text, tmp_path, reduction
):
    config = small("sasrec", item_table="frozen_adapter", reduction=reduction)
    model = fit(config, cold_circle, text)
    model.save(tmp_path / "model")
    require_same_lists(model, SequentialRecommender.load(tmp_path / "model"), 14)


def test_an_extended_model_is_saved_with_its_new_items(small, cold_circle, text, tmp_path):
    model = fit(small("gru4rec", item_table="bounded_delta"), cold_circle, text)
    longer = model.extend(text["text"])
    longer.save(tmp_path / "model")
    loaded = SequentialRecommender.load(tmp_path / "model")
    require_same_lists(longer, loaded, 28)
    require_same_lists(loaded.extend(text["text"]), longer.extend(text["text"]), 42)


@pytest.mark.parametrize("table", ["random", "llm_init"])
@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: {n: a for n, a in arrays.items() if n != "weights.table.rows"},
        lambda arrays: {n: a for n, a in arrays.items() if n != "weights.network.norm.weight"},
        lambda arrays: {**arrays, "weights.network.positions": np.zeros((2, 8), np.float32)},
        lambda arrays: {**arrays, "weights.network.more": np.zeros(3, np.float32)},
        lambda arrays: {**arrays, "trained": np.ones_like(arrays["trained"])},
    ],
    ids=["no rows", "no norm", "other shape", "too many", "other items"],
)
def test_weights_that_do_not_go_with_the_settings_are_an_artifact_error(
    small, cold_circle, text, tmp_path, table, change
):
    folder = tmp_path / "model"
    fit(small("sasrec", item_table=table), cold_circle, text).save(folder)
    tamper(folder, change)
    with pytest.raises(ArtifactError, match=r"does not go with config\.json"):
        SequentialRecommender.load(folder)


def test_a_saved_model_of_another_kind_is_named(circle, tmp_path):
    PopularityRecommender().fit(circle, rng=np.random.default_rng(0)).save(tmp_path / "model")
    with pytest.raises(ArtifactError, match=r'holds a "popularity", not one of sasrec'):
        SequentialRecommender.load(tmp_path / "model")
