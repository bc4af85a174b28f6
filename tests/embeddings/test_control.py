"""Vectors whose meaning is taken away keep everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from llmseq.embeddings.embed import embed_catalogue
from llmseq.embeddings.encoders import get_encoder
from llmseq.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from llmseq.data.dataset import SessionDataset


@pytest.mark.parametrize("kind", ["permuted", "spectrum"])
def test_mean_and_covariance_stay_and_the_meaning_goes(
    shop: SessionDataset, tmp_path: Path, kind: str
) -> None:
    plain, made = (
        embed_catalogue(shop.catalogue, name, cache=tmp_path) for name in ("tfidf", f"{kind}:tfidf")
    )
    assert made.vectors.dtype == np.float32
    assert plain.filled is not None
    assert made.filled is not None
    np.testing.assert_array_equal(made.filled, plain.filled)
    np.testing.assert_array_equal(made.vectors[made.filled], plain.vectors[plain.filled])
    own, other = plain.vectors[~plain.filled], made.vectors[~made.filled]
    np.testing.assert_allclose(other.mean(axis=0), own.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(np.cov(other.T), np.cov(own.T), atol=1e-5)
    moved = np.abs(other - own).max(axis=1) > 1e-3
    assert moved.mean() > 0.95
    assert (made.origin["encoder"], made.origin["dim"]) == (f"{kind}:tfidf", plain.dim)
    assert made.origin["fingerprint"] != plain.origin["fingerprint"]


def test_permuted_vectors_are_the_same_rows(shop: SessionDataset, tmp_path: Path) -> None:
    plain, made = (
        embed_catalogue(shop.catalogue, name, cache=tmp_path)
        for name in ("tfidf", "permuted:tfidf")
    )
    np.testing.assert_array_equal(
        made.vectors[np.lexsort(made.vectors.T)], plain.vectors[np.lexsort(plain.vectors.T)]
    )


def test_ready_vectors_can_be_permuted(shop: SessionDataset, tmp_path: Path) -> None:
    ids = shop.catalogue.ids.tolist()
    np.save(tmp_path / "mine.npy", np.random.default_rng(0).normal(size=(len(ids), 4)))
    (tmp_path / "mine.ids.txt").write_text("\n".join(ids))
    made = embed_catalogue(shop.catalogue, f"permuted:file:{tmp_path}/mine.npy")
    assert made.origin["encoder"].startswith("permuted:file:")


@pytest.mark.parametrize(
    "name", ["permuted", "permuted:", "permuted:word2vec", "spectrum:permuted:tfidf"]
)
def test_what_is_permuted_must_be_an_encoder(name: str) -> None:
    with pytest.raises(ConfigError, match="encoder"):
        get_encoder(name)
