from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from llmseq.config import Config
from llmseq.data.catalogue import Catalogue
from llmseq.embeddings.matrix import ItemEmbeddings
from llmseq.errors import ArtifactError, ConfigError, InvalidDataError, ShapeError
from llmseq.models.persistence import (
    SavedModel,
    load_members,
    load_model,
    load_recommender,
    read_model,
    write_model,
)
from llmseq.models.popularity import PopularityRecommender
from llmseq.models.sequential.config import SASRecConfig
from llmseq.models.sequential.recommender import SequentialRecommender
from llmseq.testing.worlds import log_of


class Example(Config):
    size: int = 3


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "model"
    arrays = {"table": np.arange(6, dtype=np.float32).reshape(2, 3).T}  # not contiguous
    write_model(path, kind="popularity", config=Example(), arrays=arrays, extra={"seed": 7})
    return path


@pytest.fixture
def served():
    train = log_of([[3, 1, 3], [1, 2], [3]], 5)  # counts 0 2 1 3 0
    model = PopularityRecommender().fit(train, rng=np.random.default_rng(0))
    return SavedModel(model, train.catalogue, {"name": "popularity", "seed": 0})


def edit_manifest(path, **changes):
    values = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**values, **changes}))


def test_reads_what_was_written(folder):
    config, arrays, extra = read_model(folder, kind="popularity")
    assert config == {"size": 3}
    assert arrays["table"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert extra["seed"] == 7
    assert load_members(folder) == {}


def test_the_manifest_says_what_it_is(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["schema"] == 1
    assert manifest["kind"] == "popularity"
    assert manifest["llmseq"]
    assert set(manifest["files"]) == {"config.json", "weights.safetensors"}


def test_a_name_that_the_file_does_not_hold_is_named(folder):
    _, arrays, extra = read_model(folder, kind="popularity")
    with pytest.raises(ArtifactError, match=r'weights\.safetensors: damaged, "bias" is missing'):
        arrays["bias"]
    with pytest.raises(ArtifactError, match=r'manifest\.json: damaged, "epochs" is missing'):
        extra["epochs"]


def test_a_changed_file_is_found_by_its_hash(folder):
    (folder / "config.json").write_text('{"size": 4}')
    with pytest.raises(ArtifactError, match=r"config\.json: damaged or changed"):
        read_model(folder, kind="popularity")


def test_weights_that_are_no_safetensors(folder):
    from llmseq.storage import file_fingerprint

    weights = folder / "weights.safetensors"
    weights.write_bytes(b"not tensors")
    files = json.loads((folder / "manifest.json").read_text())["files"]
    edit_manifest(folder, files={**files, weights.name: file_fingerprint(weights)})
    with pytest.raises(ArtifactError, match=r"weights\.safetensors: damaged"):
        read_model(folder, kind="popularity")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schema": 2}, "schema 2, written by llmseq .*; this version reads schema 1"),
        ({"kind": "transformer"}, 'unknown kind "transformer"; this version reads popularity'),
        ({"kind": 3}, '"kind" is not a str'),
        ({"files": []}, '"files" is not a dict'),
        ({"files": {}}, 'list of files is wrong at "config.json"'),
        ({"members": None}, '"members" is not a list'),
    ],
)
def test_a_manifest_that_is_wrong(folder, changes, says):
    edit_manifest(folder, **changes)
    with pytest.raises(ArtifactError, match=says) as caught:
        load_recommender(folder)
    assert str(folder / "manifest.json") in str(caught.value)


def test_a_manifest_cannot_point_outside_its_folder(folder):
    files = json.loads((folder / "manifest.json").read_text())["files"]
    edit_manifest(folder, files={**files, "../secret": "0"})
    with pytest.raises(ArtifactError, match="wrong at"):
        load_recommender(folder)
    edit_manifest(folder, files=files, members=["../other"])
    with pytest.raises(ArtifactError, match="a member's name must"):
        load_members(folder)


def test_the_wrong_kind_and_no_folder(folder, tmp_path):
    with pytest.raises(ArtifactError, match='holds a "popularity", not a "v-sknn"'):
        read_model(folder, kind="v-sknn")
    with pytest.raises(ArtifactError, match="no such folder"):
        load_model(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match=r"manifest\.json: missing"):
        load_model(tmp_path / "empty")


def test_a_failed_write_leaves_the_old_model(folder):
    with pytest.raises(TypeError):
        write_model(folder, kind="popularity", config=Example(), arrays={}, extra={"bad": object()})
    assert read_model(folder, kind="popularity")[2]["seed"] == 7
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_served_models_speak_external_ids(served, tmp_path):
    served.save(tmp_path / "m")
    read = load_model(tmp_path / "m")
    assert read.provenance == {"name": "popularity", "seed": 0}
    assert read.recommend([["i1"], []], 2) == [
        [("i3", 3.0), ("i2", 1.0)],
        [("i3", 3.0), ("i1", 2.0)],
    ]
    assert read.recommend([["i1"]], 1, exclude_seen=False) == [[("i3", 3.0)]]


def test_unknown_ids_are_left_out_and_counted(served):
    prompts, n_unknown = served.encode_sessions([["i1", "x"], ["y"], []])
    assert [prompts[row].tolist() for row in range(3)] == [[1], [], []]
    assert n_unknown == 2
    assert served.recommend([["x", "i3"]], 2) == [[("i1", 2.0), ("i2", 1.0)]]


def test_candidates_by_id(served):
    mask, n_unknown = served.encode_candidates(["i2", "i0", "x"])
    assert mask.tolist() == [True, False, True, False, False]
    assert n_unknown == 1
    assert served.recommend([[]], 3, candidates=["i2", "i0", "x"]) == [[("i2", 1.0)]]


@pytest.mark.parametrize(("ids", "says"), [(["x", "y"], 'none of the 2.*example "x"'), ([], "0")])
def test_no_known_candidate_is_an_error(served, ids, says):
    with pytest.raises(InvalidDataError, match=says):
        served.recommend([["i1"]], 3, candidates=ids)


def test_a_damaged_or_missing_catalogue(served, tmp_path):
    served.save(tmp_path / "m")
    file = tmp_path / "m" / "catalogue.parquet"
    content = file.read_bytes()
    file.write_bytes(content[:-9])
    with pytest.raises(ArtifactError, match=r"catalogue\.parquet: damaged"):
        load_model(tmp_path / "m")
    file.unlink()
    with pytest.raises(ArtifactError, match=r"catalogue\.parquet: missing"):
        load_model(tmp_path / "m")
    served.recommender.save(tmp_path / "bare")
    with pytest.raises(ArtifactError, match="without its catalogue"):
        load_model(tmp_path / "bare")


@pytest.fixture
def extendable():
    train = log_of([[0, 1, 2], [1, 2, 0], [2, 0, 1]] * 4, 4)  # nobody met the last item
    config = SASRecConfig(item_table="llm_init", n_epochs=1, n_heads=1, n_blocks=1)
    text = {"text": ItemEmbeddings(np.eye(4, 6), {"encoder": "eye"})}
    model = SequentialRecommender(config).fit(train, embeddings=text, rng=np.random.default_rng(0))
    return SavedModel(model, train.catalogue, {"name": "llm2sasrec"})


def new_items(*ids):
    return Catalogue(pl.DataFrame({"item_id": ids, "title": ids, "text": ids, "brand": "b"}))


def test_new_items_are_listed_where_candidates_name_them(extendable, tmp_path):
    longer = extendable.extend(new_items("n0", "n1"), ItemEmbeddings(np.eye(2, 6)))
    longer.save(tmp_path / "model")
    served = load_model(tmp_path / "model")
    assert served.catalogue.ids.tolist() == ["i0", "i1", "i2", "i3", "n0", "n1"]
    assert {item for item, _ in served.recommend([["i0"]], 9)[0]} == {"i1", "i2"}
    [found] = served.recommend([["i0", "n1"]], 9, candidates=["n0", "n1", "i3"])
    assert {item for item, _ in found} == {"n0", "i3"}
    assert extendable.catalogue.n_items == 4  # the model itself stays as it was


@pytest.mark.parametrize(
    ("ids", "n_vectors", "error", "says"),
    [
        (("n0", "i1"), 2, InvalidDataError, 'item "i1" is in the catalogue already'),
        (("n0",), 2, ShapeError, "1 new items, but 2 vectors"),
    ],
)
def test_wrong_extensions_are_refused(extendable, ids, n_vectors, error, says):
    with pytest.raises(error, match=says):
        extendable.extend(new_items(*ids), ItemEmbeddings(np.eye(n_vectors, 6)))


def test_a_model_without_text_cannot_be_extended(served):
    with pytest.raises(ConfigError, match="PopularityRecommender cannot be extended"):
        served.extend(new_items("n0"), ItemEmbeddings(np.eye(1, 6)))
