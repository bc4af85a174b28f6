"""Write golden.txt: what the NumPy twins compute, for the Rust tests of the core alone.

Run from the repository's root: .venv/bin/python rust/tests/golden/make.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from llmseq.core import POOLINGS
from llmseq.testing import reference
from llmseq.types import Ragged

N_ITEMS, DIM, N_SESSIONS, K = 40, 6, 25, 5


def line(name: str, values: object) -> str:
    """Numbers as integers; floats by their bits, so that nothing is lost."""
    array = np.ascontiguousarray(values).ravel()
    if array.dtype.kind == "f":
        array = array.view(np.uint32 if array.dtype == np.float32 else np.uint64)
    return " ".join([name, *map(str, array.tolist())])


def main() -> None:
    """Make inputs from a seed and write them with the results."""
    rng = np.random.default_rng(2402)
    vectors = rng.normal(size=(N_ITEMS, DIM)).astype(np.float32)
    vectors[7], vectors[30] = vectors[3], 0
    sessions = Ragged.from_lists(
        [rng.integers(0, N_ITEMS, rng.integers(1, 9)) for _ in range(N_SESSIONS)]
    )
    counts = np.bincount(sessions.items, minlength=N_ITEMS)
    lines = [
        line("sizes", [N_ITEMS, DIM, N_SESSIONS, K]),
        line("vectors", vectors),
        line("items", sessions.items),
        line("offsets", sessions.offsets),
        line("counts", counts),
    ]
    for pooling in POOLINGS:
        pooled = reference.pool_sessions(vectors, sessions.items, sessions.offsets, pooling)
        lines.append(line(f"pool.{pooling}", pooled))
    fused_from = []
    for similarity in ("dot", "cosine", "euclidean"):
        found = reference.top_k(pooled, vectors, K, similarity=similarity, exclude=sessions)
        lines += [
            line(f"topk.{similarity}.items", found[0]),
            line(f"topk.{similarity}.scores", found[1]),
        ]
        fused_from.append(found)
    index = reference.SessionIndex(
        sessions.items, sessions.offsets, N_ITEMS, order=np.arange(N_SESSIONS)
    )
    for sampling in ("random", "recent", "idf", "idf_greedy"):
        near = index.search(
            sessions.items,
            sessions.offsets,
            K,
            k=3,
            sample_size=4,
            sampling=sampling,
            prompt_decay="log",
            idf_weighting=True,
            seed=17,
        )
        lines += [
            line(f"knn.{sampling}.items", near[0]),
            line(f"knn.{sampling}.scores", near[1]),
        ]
    for method in ("rrf", "zscore"):
        fused = reference.fuse_lists(fused_from, K, method=method, weights=[1.0, 0.5, 2.0])
        lines += [line(f"fuse.{method}.items", fused[0]), line(f"fuse.{method}.scores", fused[1])]
    targets = Ragged.from_lists([rng.integers(0, N_ITEMS, 6) for _ in range(N_SESSIONS)])
    lines += [line("targets.items", targets.items), line("targets.offsets", targets.offsets)]
    result = reference.evaluate_lists(fused[0], targets, (2, K), counts, N_ITEMS)
    lines += [line(f"mean.{name}", [value]) for name, value in result.means.items()]
    Path(__file__).with_name("golden.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
