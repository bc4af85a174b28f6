from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from llmseq.models.popularity import PopularityRecommender
from llmseq.models.session_knn import SessionKnnRecommender
from llmseq.testing.worlds import log_of

if TYPE_CHECKING:
    from llmseq.data.dataset import SessionDataset


@pytest.fixture(scope="session")
def train() -> SessionDataset:
    return log_of([[0, 1, 2], [0, 2, 3], [4, 5], [0, 1]], 7)


@pytest.fixture(scope="session")
def members(train):
    rng = np.random.default_rng(0)
    return {
        "popularity": PopularityRecommender().fit(train, rng=rng),
        "v-sknn": SessionKnnRecommender().fit(train, rng=rng),
    }
