"""Datasets on disk: whole or not at all, damage named, every scoring of test counted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from llmseq.data import folder
from llmseq.data.folder import read_dataset, record_test_scoring, write_dataset
from llmseq.data.sessions import Sessions
from llmseq.errors import ArtifactError


@pytest.fixture
def path(shop, tmp_path):
    write_dataset(shop, tmp_path / "shop")
    return tmp_path / "shop"


def test_round_trip(shop, path):
    again = read_dataset(path)
    assert again.fingerprint() == shop.fingerprint()
    assert again.catalogue.table.equals(shop.catalogue.table)
    assert again.sessions.ids.tolist() == shop.sessions.ids.tolist()
    for name in ("items", "offsets", "times", "users"):
        ours, theirs = getattr(shop.sessions, name), getattr(again.sessions, name)
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype
    assert again.provenance == shop.provenance


def test_round_trip_of_labels_and_without_times(shop, tmp_path):
    labels = np.array(["train", "test"] * (len(shop.sessions) // 2), dtype=object)
    sessions = Sessions(shop.sessions.ids, shop.sessions.events)
    dataset = dataclasses.replace(shop, sessions=sessions, split_labels=labels)
    write_dataset(dataset, tmp_path / "d")
    again = read_dataset(tmp_path / "d")
    assert again.split_labels.tolist() == labels.tolist()
    assert again.sessions.times is None
    assert again.sessions.users is None
    assert again.fingerprint() == dataset.fingerprint() != shop.fingerprint()


@pytest.mark.parametrize("name", ["items.parquet", "sessions.parquet", "events.parquet"])
@pytest.mark.parametrize("how", ["missing", "cut short", "changed"])
def test_damage_is_named(path, name, how):
    file = path / name
    content = file.read_bytes()
    if how == "missing":
        file.unlink()
    else:
        file.write_bytes(content[:-20] if how == "cut short" else content[::-1])
    with pytest.raises(ArtifactError, match=f"{name}: (missing|damaged)"):
        read_dataset(path)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (None, "it has no manifest.json"),
        ("{", "manifest.json: damaged"),
        ("[]", "is not the manifest of a dataset"),
        ('{"kind": "llmseq dataset", "schema": 99}', "has schema 99, this llmseq reads 1"),
    ],
)
def test_damaged_manifest(path, manifest, message):
    file = path / "manifest.json"
    file.unlink()
    if manifest is not None:
        file.write_text(manifest)
    with pytest.raises(ArtifactError, match=message):
        read_dataset(path)


def test_no_folder(tmp_path):
    with pytest.raises(ArtifactError, match="no such dataset folder; make one with"):
        read_dataset(tmp_path / "nowhere")


def test_a_write_that_fails_leaves_the_old_dataset(shop, path, monkeypatch):
    before = read_dataset(path).fingerprint()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "write_json", full)
    with pytest.raises(OSError, match="No space left"):
        write_dataset(shop.take(np.arange(10)), path)
    assert read_dataset(path).fingerprint() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["shop"]


def test_scorings_only_grow(shop, path):
    assert folder.test_scorings(path) == []
    assert record_test_scoring(path, {"run": "first"}) == 1
    write_dataset(shop, path)  # importing again does not make test unseen
    with (path / "test_scorings.jsonl").open("a") as file:
        file.write('{"run": "killed')
    assert record_test_scoring(path, {"run": "third"}) == 3
    assert [entry.get("run") for entry in folder.test_scorings(path)] == ["first", None, "third"]
    read_dataset(path)
