from __future__ import annotations

import numpy as np
import pytest

from llmseq.models.prompt.config import PromptConfig
from llmseq.models.prompt.language_model import LanguageModel
from llmseq.models.prompt.titles import Titles
from llmseq.models.sequential.trainer import torch_threads
from llmseq.testing.language_models import tiny_language_model


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Tiny networks gain nothing from threads and wait long for a busy core."""
    monkeypatch.setenv("LLMSEQ_NUM_THREADS", "1")
    with torch_threads(1):
        yield


@pytest.fixture(scope="session")
def llama():
    """Two layers of random weights."""
    return LanguageModel.load(str(tiny_language_model()), precision="float32")


@pytest.fixture(scope="session")
def gemma():
    """The same with a sliding window of six tokens in its first layer."""
    return LanguageModel.load(str(tiny_language_model(window=6)), precision="float32")


@pytest.fixture
def tiny():
    """Settings that go with the tiny model."""
    return PromptConfig(
        base_model=str(tiny_language_model()),
        precision="float32",
        max_prompt_tokens=256,
        lora={"rank": 4},
        training={"n_steps": 4, "tokens_per_step": 300, "learning_rate": 0.01},
    )


@pytest.fixture
def five():
    """Five items: two share a title, one has none."""
    titles = ["rose soap", "hand cream", "rose soap", None, "rose  balm\n"]
    return Titles.of(titles, np.array([2, 1, 5, 9, 3]))
