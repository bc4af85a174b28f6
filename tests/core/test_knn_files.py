"""Saved session indexes: mapped as they were, and never read when damaged."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

import llmseq.core
from llmseq.errors import ArtifactError
from llmseq.types import Ragged

TRAIN = Ragged.from_lists([[0, 1, 2, 0], [1, 3], [4, 5], [1, 2, 3, 4]])


@pytest.fixture
def full_index():
    return llmseq.core.SessionIndex(
        TRAIN.items,
        TRAIN.offsets,
        7,
        order=[4, 3, 2, 1],
        newest=3,
        followers=True,
        vectors=np.arange(14.0).reshape(7, 2),
    )


def test_a_mapped_index_gives_the_same_lists(full_index, tmp_path):
    plain = llmseq.core.SessionIndex(TRAIN.items, TRAIN.offsets, 7)
    asked = {"k": 3, "sample_size": 3}
    every = asked | {"sampling": "recent", "only_followers": True, "half_life": 2.0}
    for made, arguments in ((plain, asked), (full_index, every)):
        made.save(tmp_path / "index.safetensors")
        read = llmseq.core.SessionIndex.open(tmp_path / "index.safetensors")
        assert (read.n_items, read.n_sessions) == (7, 4)
        prompts = Ragged.from_lists([[0, 1], [1], [], [6], [4, 5]])
        found = read.search(prompts.items, prompts.offsets, 5, **arguments)
        wanted = made.search(prompts.items, prompts.offsets, 5, **arguments)
        np.testing.assert_array_equal(found[0], wanted[0])
        np.testing.assert_array_equal(found[1], wanted[1])
        assert (found[0] >= 0).any()


def test_a_file_cut_short_is_named(full_index, tmp_path):
    path = tmp_path / "index.safetensors"
    full_index.save(path)
    content = path.read_bytes()
    for size in range(0, len(content), 13):
        path.write_bytes(content[:size])
        with pytest.raises(ArtifactError, match=r"index\.safetensors.*damaged or cut short"):
            llmseq.core.SessionIndex.open(path)
    path.unlink()
    with pytest.raises(ArtifactError, match=r"index\.safetensors: cannot be read"):
        llmseq.core.SessionIndex.open(path)


def rewritten(index, path, changes, metadata=None):
    save_file({**index.arrays(), **changes}, path, metadata or dict(index.metadata()))
    return path


def test_another_version_or_format_is_named(full_index, tmp_path):
    later = dict(full_index.metadata()) | {"version": "99"}
    path = rewritten(full_index, tmp_path / "index", {}, later)
    with pytest.raises(ArtifactError, match=r"of version 99; this version of llmseq reads 2"):
        llmseq.core.SessionIndex.open(path)
    path = rewritten(full_index, tmp_path / "index", {}, {"format": "weights"})
    with pytest.raises(ArtifactError, match=r'holds no llmseq session index .*"weights"'):
        llmseq.core.SessionIndex.open(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"held.values": np.full(9, 7, np.uint32)},
        {"held.offsets": np.array([0, 3, 2, 5, 9], np.uint64)},
        {"held.offsets": np.array([0, 3, 5, 7, 8], np.uint64)},
        {"posting.values": np.full(9, 4, np.uint32)},
        {"posting.offsets": np.array([0, 9], np.uint64)},
        {"idf": np.full(7, np.nan)},
        {"idf": np.ones(7, np.float32)},
        {"order": np.zeros(3, np.int64)},
        {"vectors.sessions": np.zeros(7, np.float32)},
        {"vectors.items": np.full(14, np.inf, np.float32)},
    ],
)
def test_arrays_that_do_not_fit_are_damage(full_index, tmp_path, changes):
    path = rewritten(full_index, tmp_path / "index", changes)
    with pytest.raises(ArtifactError, match=r"index: damaged"):
        llmseq.core.SessionIndex.open(path)


def test_a_session_without_what_its_posting_names_is_no_panic(tmp_path):
    # Every array is sound by itself: only comparing all of both would show it.
    emptied = {"held.values": np.zeros(0, np.uint32), "held.offsets": np.zeros(5, np.uint64)}
    plain = llmseq.core.SessionIndex(TRAIN.items, TRAIN.offsets, 7)
    index = llmseq.core.SessionIndex.open(rewritten(plain, tmp_path / "index", emptied))
    found = index.search([0, 1], [0, 2], 3, k=4, sample_size=4, similarity="dot", backward=0.5)
    assert found[0].tolist() == [[-1] * 3]


def test_a_missing_array_is_damage(full_index, tmp_path):
    arrays = dict(full_index.arrays())
    del arrays["posting.values"]
    save_file(arrays, tmp_path / "index", dict(full_index.metadata()))
    with pytest.raises(ArtifactError, match=r'the array "posting.values" is missing'):
        llmseq.core.SessionIndex.open(tmp_path / "index")
