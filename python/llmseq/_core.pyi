__all__ = [
    "CooccurrenceIndex",
    "ItemIndex",
    "SessionIndex",
    "cpu_path",
    "cpu_paths",
    "default_threads",
    "evaluate_lists",
    "fuse_lists",
    "pool_sessions",
]

from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from llmseq.types import (
    BoolArray,
    CountArray,
    FloatMatrix,
    FloatVector,
    ItemArray,
    OffsetArray,
)

@final
class CooccurrenceIndex:
    def __new__(
        cls,
        items: ItemArray,
        offsets: OffsetArray,
        n_items: int,
        forward: FloatVector,
        backward: FloatVector,
        row_power: float,
        near: tuple[ItemArray, FloatMatrix] | None,
        smoothing: tuple[float, float, float],
        n_threads: int,
    ) -> CooccurrenceIndex: ...
    @staticmethod
    def open(path: Path) -> CooccurrenceIndex: ...
    @staticmethod
    def format() -> tuple[str, str]: ...
    def arrays(self) -> dict[str, NDArray[Any]]: ...
    @property
    def n_items(self) -> int: ...
    @property
    def n_pairs(self) -> int: ...
    def search(
        self,
        prompt_items: ItemArray,
        prompt_offsets: OffsetArray,
        k: int,
        pooling: str,
        exclude_seen: bool,
        candidates: BoolArray | None,
        n_threads: int,
    ) -> tuple[ItemArray, FloatMatrix]: ...

@final
class ItemIndex:
    def __new__(cls, vectors: FloatMatrix, similarity: str, n_threads: int) -> ItemIndex: ...
    @staticmethod
    def open(path: Path) -> ItemIndex: ...
    @staticmethod
    def format() -> tuple[str, str]: ...
    def arrays(self) -> dict[str, NDArray[Any]]: ...
    @property
    def similarity(self) -> str: ...
    @property
    def n_items(self) -> int: ...
    @property
    def dim(self) -> int: ...
    def search(
        self,
        queries: FloatMatrix,
        k: int,
        exclude: tuple[ItemArray, OffsetArray] | None,
        candidates: BoolArray | None,
        n_threads: int,
    ) -> tuple[ItemArray, FloatMatrix]: ...

@final
class SessionIndex:
    def __new__(
        cls,
        items: ItemArray,
        offsets: OffsetArray,
        n_items: int,
        order: NDArray[np.int64] | None,
        newest: int | None,
        followers: bool,
        vectors: FloatMatrix | None,
        pooling: str,
        n_threads: int,
    ) -> SessionIndex: ...
    @staticmethod
    def open(path: Path) -> SessionIndex: ...
    @staticmethod
    def format() -> tuple[str, str]: ...
    def arrays(self) -> dict[str, NDArray[Any]]: ...
    @property
    def n_items(self) -> int: ...
    @property
    def n_sessions(self) -> int: ...
    def search(
        self,
        prompt_items: ItemArray,
        prompt_offsets: OffsetArray,
        k_items: int,
        k: int,
        sample_size: int,
        sampling: str,
        similarity: str,
        prompt_decay: str | None,
        prompt_pooling: str,
        backward: float,
        sequential_weighting: bool,
        only_followers: bool,
        half_life: float | None,
        idf_weighting: bool,
        last_n: int | None,
        seed: int,
        exclude_seen: bool,
        candidates: BoolArray | None,
        n_threads: int,
    ) -> tuple[ItemArray, FloatMatrix]: ...

def cpu_paths() -> list[str]: ...
def cpu_path() -> str: ...
def default_threads() -> int: ...
def pool_sessions(
    item_vectors: FloatMatrix,
    items: ItemArray,
    offsets: OffsetArray,
    pooling: str,
    n_threads: int,
) -> FloatMatrix: ...
def evaluate_lists(
    lists: ItemArray,
    target_items: ItemArray,
    target_offsets: OffsetArray,
    ks: list[int],
    popularity: CountArray | None,
    n_items: int | None,
    n_threads: int,
) -> tuple[dict[str, float], dict[str, FloatVector]]: ...
def fuse_lists(
    lists: list[tuple[ItemArray, FloatMatrix]],
    k: int,
    method: str,
    weights: list[float],
    c: float,
    n_threads: int,
) -> tuple[ItemArray, FloatMatrix]: ...
