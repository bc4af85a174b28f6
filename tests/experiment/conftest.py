from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llmseq.data.folder import write_dataset
from llmseq.experiment.artifacts import RunFolder
from llmseq.experiment.run import Run, compare

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmseq.data.dataset import SessionDataset


@pytest.fixture
def shop_folder(shop: SessionDataset, tmp_path: Path) -> Path:
    """The small shop as a dataset folder; scorings of its test part are counted there."""
    write_dataset(shop, tmp_path / "shop")
    return tmp_path / "shop"


@pytest.fixture
def quick_compare(shop_folder: Path, tmp_path: Path) -> Callable[..., Run]:
    """Compare cheap models on the small shop."""

    def run(**changes: Any) -> Run:
        options = {
            "models": ["popularity", "v-sknn", "llmseqsim", "fusion"],
            "encoder": "tfidf",
            "n_threads": 1,
        }
        return compare(shop_folder, tmp_path / "run", **{**options, **changes})

    return run


@pytest.fixture
def run_folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    return folder


@pytest.fixture(scope="session")
def tiny() -> dict[str, dict[str, int]]:
    """Settings that make the neural models a matter of a second."""
    small = {"n_epochs": 2, "embedding_dim": 8, "max_length": 10}
    return {"sasrec": small, "llm2sasrec": small}
