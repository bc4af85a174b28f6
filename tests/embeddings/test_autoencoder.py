"""The autoencoder learns, is the same again, and is plain arrays once it is fitted."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from llmseq.embeddings.reduce import Reducer, ReductionConfig, fit_reducer
from llmseq.errors import MissingExtraError, ShapeError

CONFIG = ReductionConfig(method="autoencoder", dim=2, unit_length=False)


def bent(n_rows: int = 600, width: int = 12) -> np.ndarray:
    """Vectors on a bent sheet: two numbers tell each of them."""
    rng = np.random.default_rng(3)
    told = rng.uniform(-1, 1, size=(n_rows, 2))
    bends = np.column_stack([told, told**2, told[:, :1] * told[:, 1:]])
    return (bends @ rng.normal(size=(5, width)) + 4).astype(np.float32)


def explained(reduced: np.ndarray, vectors: np.ndarray) -> float:
    """Share of the variance that the best polynomial of degree two reads back."""
    a, b = reduced.astype(np.float64).T
    terms = np.column_stack([np.ones_like(a), a, b, a * a, b * b, a * b])
    left = vectors - terms @ np.linalg.lstsq(terms, vectors, rcond=None)[0]
    return 1 - float(left.var(axis=0).sum() / vectors.var(axis=0).sum())


def test_two_numbers_keep_what_tells_the_vectors_apart():
    vectors = bent()
    reduced = fit_reducer(CONFIG, vectors).transform(vectors)
    assert reduced.shape == (600, 2)
    assert explained(reduced, vectors) > 0.95
    np.testing.assert_allclose(reduced.mean(axis=0), 0, atol=1e-4)


def test_same_seed_same_network_whatever_the_rest_of_the_process_does():
    import torch

    vectors = bent(80)
    first = fit_reducer(CONFIG, vectors)
    before = torch.get_num_threads()
    torch.manual_seed(99)
    torch.set_num_threads(2)
    try:
        again = fit_reducer(CONFIG, vectors)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(again.transform(vectors), first.transform(vectors))
    other = fit_reducer(CONFIG.replace(seed=1), vectors)
    assert not np.allclose(other.transform(vectors), first.transform(vectors))


def test_scale_and_place_of_the_vectors_do_not_matter():
    vectors = bent(80)
    first = fit_reducer(CONFIG, vectors).transform(vectors)
    moved = vectors * 64 - 3
    np.testing.assert_allclose(fit_reducer(CONFIG, moved).transform(moved), first, atol=1e-2)


def test_more_dimensions_than_the_vectors_have():
    reducer = fit_reducer(CONFIG.replace(dim=20), bent(50))
    assert len(reducer.components) == 12
    assert reducer.notes == ("autoencoder: 12 dimensions instead of 20: the vectors have no more",)


@pytest.mark.parametrize("n_rows", [2, 3, 12])
def test_a_handful_of_vectors(n_rows):
    vectors = bent(n_rows)
    assert np.isfinite(fit_reducer(CONFIG, vectors).transform(vectors)).all()


def test_arrays_that_do_not_fit():
    arrays = fit_reducer(CONFIG, bent(20)).arrays()
    for name in arrays:
        with pytest.raises(ShapeError, match="arrays of a autoencoder reduction do not fit"):
            Reducer.from_arrays(CONFIG, {**arrays, name: arrays[name][..., :1]})
        with pytest.raises(ShapeError, match="do not fit"):
            Reducer.from_arrays(CONFIG, {n: array for n, array in arrays.items() if n != name})
    with pytest.raises(ShapeError, match="do not fit"):
        Reducer.from_arrays(CONFIG.replace(method="pca"), arrays)


def test_without_torch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "llmseq.embeddings.reduce.autoencoder", raising=False)
    with pytest.raises(MissingExtraError, match=r"autoencoder.*llmseq\[train\]"):
        fit_reducer(CONFIG, bent(20))


def test_a_fitted_one_is_read_without_torch(tmp_path):
    from safetensors.numpy import save_file

    save_file(fit_reducer(CONFIG, bent(20)).arrays(), tmp_path / "arrays")
    code = (
        "import sys, numpy as np; sys.modules['torch'] = None\n"
        "from safetensors.numpy import load_file\n"
        "from llmseq.embeddings.reduce import Reducer, ReductionConfig\n"
        "config = ReductionConfig(method='autoencoder', dim=2)\n"
        f"made = Reducer.from_arrays(config, load_file({str(tmp_path / 'arrays')!r}))\n"
        "assert made.transform(np.ones((3, 12), dtype=np.float32)).shape == (3, 2)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
