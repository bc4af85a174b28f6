"""Arrays that all contestants get alike."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

BEAUTY = Path(os.environ.get("LLMSEQ_SHARED_DATA", "../shared/data")) / "beauty"


def random_vectors(n: int, dim: int, seed: int = 0) -> np.ndarray:
    """Unit vectors without any structure: the worst case for every bound."""
    vectors = np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def like(vectors: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """More vectors of the kind: means of two random rows plus noise of a tenth, unit length."""
    rng = np.random.default_rng(seed)
    made = np.empty((n, vectors.shape[1]), dtype=np.float32)
    for start in range(0, n, 50_000):
        part = made[start : start + 50_000]
        first, second = rng.integers(0, len(vectors), (2, len(part)))
        part[:] = vectors[first] + vectors[second]
        noise = rng.standard_normal(part.shape, dtype=np.float32)
        part += noise * (0.1 / np.sqrt(noise.shape[1]))
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return made


def real_items() -> tuple[np.ndarray, str]:
    """MiniLM vectors of Beauty's titles; without the data, of made-up products' titles."""
    from llmseq.embeddings.embed import embed_catalogue

    if BEAUTY.exists():
        from llmseq.data.importer import import_dataset

        data = import_dataset(BEAUTY / "interactions.csv.gz", BEAUTY / "items.csv.gz")
        return embed_catalogue(
            data.catalogue, "minilm"
        ).vectors, "MiniLM vectors of Beauty's titles"
    from llmseq.data.synthetic import make_shop

    vectors = embed_catalogue(make_shop(n_items=2_000).catalogue, "minilm").vectors
    return like(vectors, 12_101), "made from MiniLM vectors of made-up titles"


def prompts(items: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """Session vectors: harmonic means of two to eight items."""
    from llmseq.core import pool_sessions

    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 9, n)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return pool_sessions(items, rng.integers(0, len(items), offsets[-1]), offsets, "harmonic")
