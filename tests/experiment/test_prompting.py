from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from llmseq.data.folder import test_scorings as scorings_of
from llmseq.errors import ConfigError
from llmseq.experiment.prompting import ask
from llmseq.experiment.single import fit_model

if TYPE_CHECKING:
    from pathlib import Path

    from llmseq.data.dataset import SessionDataset


@pytest.fixture
def saved(shop_folder: Path, tmp_path: Path) -> list[Path]:
    paths = [tmp_path / name for name in ("popularity", "v-sknn")]
    for path in paths:
        fit_model(shop_folder, path.name, on="train", n_threads=1).save(path)
    return paths


def test_intervals_and_tests_draw_people(
    shop: SessionDataset, shop_folder: Path, saved: list[Path]
) -> None:
    assert shop.sessions.users is not None
    answered = ask(shop_folder, saved[1], beside=saved[:1], k=10)
    users = answered.held_out.prompts.users
    assert users is not None
    assert np.unique(users).size < users.size
    first = answered.models[0]
    by_people = first.scored.intervals(users, rng=np.random.default_rng(0))["ndcg@10"]
    by_sessions = first.scored.intervals(rng=np.random.default_rng(0))["ndcg@10"]
    assert first.interval == by_people != by_sessions


def test_a_model_that_cannot_re_rank_is_refused_before_test_is_counted(
    shop_folder: Path, saved: list[Path]
) -> None:
    with pytest.raises(ConfigError, match="only a prompt model can re-rank"):
        ask(shop_folder, saved[1], part="test", rerank=saved[0])
    assert scorings_of(shop_folder) == []
