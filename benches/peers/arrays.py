"""Arrays that all contestants get alike."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
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


@dataclass(frozen=True)
class Real:
    """Item vectors and session vectors, and where they come from."""

    items: np.ndarray
    prompts: np.ndarray
    source: str


@cache
def real() -> Real:
    """Give MiniLM vectors of Beauty and its test prompts; without the data, a made-up shop."""
    from llmseq.data.importer import import_dataset
    from llmseq.data.split import split_dataset
    from llmseq.data.synthetic import make_shop
    from llmseq.embeddings.embed import embed_catalogue

    if BEAUTY.exists():
        data = import_dataset(
            BEAUTY / "interactions.csv.gz",
            BEAUTY / "items.csv.gz",
            split=BEAUTY / "split.csv.gz",
            item_times=BEAUTY / "item_order.csv.gz",
        )
        items = embed_catalogue(data.catalogue, "minilm").vectors
        asked = split_dataset(data).test.prompts
        return Real(items, pooled(items, asked.items, asked.offsets), "Beauty")
    items = embed_catalogue(make_shop(n_items=2_000).catalogue, "minilm").vectors
    items = like(items, 12_101)
    return Real(items, made_prompts(items, 4_469), "a made-up shop")


def pooled(items: np.ndarray, events: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Harmonic means of the items' vectors."""
    from llmseq.core import pool_sessions

    return pool_sessions(items, events, offsets, "harmonic")


def made_prompts(items: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """Session vectors of two to eight items that have nothing to do with each other."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 9, n)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return pooled(items, rng.integers(0, len(items), offsets[-1]), offsets)
