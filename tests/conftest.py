"""Fixtures that all tests share: the small made-up shop and, where it is there, the real data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# One thread a test process: tests are many and small, and two of them run at once.
os.environ.setdefault("LLMSEQ_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from llmseq.data.synthetic import make_shop  # after the environment: torch reads it once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmseq.data.dataset import SessionDataset

_REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's cache of text vectors out of the tests, and the tests out of it."""
    before = os.environ.get("LLMSEQ_CACHE")
    os.environ["LLMSEQ_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["LLMSEQ_CACHE"]
    else:
        os.environ["LLMSEQ_CACHE"] = before


@pytest.fixture(scope="session")
def shop() -> SessionDataset:
    """300 sessions with times over 120 items with texts; one item has none."""
    return make_shop(n_sessions=300, n_items=120, untitled_share=0.01, seed=7)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data sets; tests marked ``realdata`` skip where it is absent."""
    path = Path(os.environ.get("LLMSEQ_SHARED_DATA", _REPOSITORY.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no real data at {path}; set LLMSEQ_SHARED_DATA to where it is")
    return path


@pytest.fixture(scope="session")
def beauty_path(shared_data: Path) -> Path:
    """Folder with the Amazon Beauty files."""
    return shared_data / "beauty"
