from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from llmseq.cli.main import cli
from llmseq.data.folder import write_dataset

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmseq.data.dataset import SessionDataset


@pytest.fixture
def llmseq() -> Callable[..., Result]:
    """Run the command line in this process: ``llmseq("compare", path, "--k", "10")``."""

    def run(*words: object) -> Result:
        return CliRunner().invoke(cli, [str(word) for word in words])

    return run


@pytest.fixture
def shop_folder(shop: SessionDataset, tmp_path: Path) -> Path:
    """The small shop as a dataset folder."""
    write_dataset(shop, tmp_path / "shop")
    return tmp_path / "shop"
