"""Lists: who can stand in them, what free decoding writes, re-ranking, saved adapters."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from llmseq.data.catalogue import Catalogue
from llmseq.data.dataset import SessionDataset
from llmseq.data.sessions import Sessions
from llmseq.embeddings.matrix import ItemEmbeddings
from llmseq.errors import ArtifactError, ConfigError
from llmseq.models.hybrid.fuse import FusionConfig
from llmseq.models.persistence import load_recommender
from llmseq.models.prompt.lists import most_frequent_first
from llmseq.models.prompt.match import Matcher, Written
from llmseq.models.prompt.recommender import PromptRecommender
from llmseq.models.prompt.sample import sample_completions
from llmseq.models.prompt.titles import Titles
from llmseq.models.protocol import FitContext
from llmseq.recommendations import Recommendations
from llmseq.testing.language_models import tiny_language_model

TITLES = ["rose soap", "hand cream", "rose soap", None, "rose balm", "hand soap"]
ROWS = [[0, 1, 2], [2, 4], [1, 5, 2], [3, 2], [4, 1], [5, 2, 3]]


def small_shop():
    ids = [f"i{item}" for item in range(len(TITLES))]
    table = pl.DataFrame({"item_id": ids, "title": TITLES, "text": TITLES})
    return SessionDataset(Catalogue(table), Sessions.from_lists(ROWS))


def vectors():
    made = np.random.default_rng(5).normal(size=(len(TITLES), 6)).astype(np.float32)
    return {"text": ItemEmbeddings(made)}


def fit(config):
    return PromptRecommender(config).fit(
        small_shop(),
        embeddings=vectors(),
        rng=np.random.default_rng(0),
        context=FitContext(n_threads=1),
    )


def free(config, **decoding):
    training = {**config.training.model_dump(), "loss": "vocabulary"}
    return config.replace(training=training, decoding={"method": "sampled", **decoding})


@pytest.mark.parametrize("task", ["genitem", "genlist", "classify", "rank"])
def test_every_titled_item_is_listed_once_and_no_other(tiny, task):
    model = fit(tiny.replace(task=task, n_choices=5, n_clusters=5))
    lists = model.recommend(Sessions.from_lists([[0], [3], []]), 6, exclude_seen=False)
    assert sorted(lists.items[0][lists.items[0] >= 0].tolist()) == [0, 1, 2, 4, 5]
    assert (lists.items[1:] == -1).all()  # nothing with a title to go by
    assert "1 items have no title and are never listed" in model.summary.notes


def test_items_that_share_a_title_stand_next_to_each_other_popular_first(tiny):
    lists = fit(tiny).recommend(Sessions.from_lists([[1], [5, 4]]), 6)
    for items, scores in zip(lists.items.tolist(), lists.scores, strict=True):
        first = items.index(2)
        assert items[first + 1] == 0
        assert scores[first] > scores[first + 1] > scores[first] - 1e-3


def test_a_list_never_holds_more_than_its_beams(tiny):
    model = fit(tiny.replace(decoding={"n_beams": 2}))
    lists = model.recommend(Sessions.from_lists([[1]]), 6)
    assert (lists.items[0] >= 0).sum() == 2


def test_likelihoods_enter_a_fusion(tiny):
    prompts = Sessions.from_lists([[1], [4]])
    lists = fit(tiny).recommend(prompts, 4, exclude_seen=False)
    popular = np.tile(np.array([2, 1, 5, 4], dtype=np.int32), (2, 1))
    scores = np.tile(np.array([9, 4, 3, 1], dtype=np.float32), (2, 1))
    members = {"genitem": lists, "popularity": Recommendations(popular, scores)}
    fused = FusionConfig(method="zscore", weights={"genitem": 2.0}).fused(members, 4)
    for row in range(2):
        totals = dict.fromkeys(range(len(TITLES)), 0.0)
        for weight, made in ((2.0, lists), (1.0, members["popularity"])):
            values = made.scores[row].astype(np.float64)
            standard = (values - values.mean()) / values.std()
            given = dict(zip(made.items[row].tolist(), standard, strict=True))
            for item in totals:  # one that is not listed counts as the last one
                totals[item] += weight * given.get(item, standard.min())
        listed = {*lists.items[row].tolist(), *popular[row].tolist()}
        wanted = sorted(listed, key=lambda item: (-totals[item], item))[:4]
        assert fused.items[row].tolist() == wanted
        np.testing.assert_allclose(fused.scores[row], [totals[item] for item in wanted], rtol=1e-4)


def test_re_ranking_orders_by_the_likelihood_among_all_titles(tiny):
    model = fit(tiny.replace(decoding={"n_beams": 6}))
    prompts = Sessions.from_lists([[1], [4]])
    own = model.recommend(prompts, 6, exclude_seen=False)
    given = Recommendations(np.array([[4, 5, 3, 0], [1, 0, -1, -1]]), np.zeros((2, 4)))
    made = model.rerank(prompts, given)
    for row, kept in enumerate([{4, 5, 0}, {1, 0}]):
        wanted = [item for item in own.items[row].tolist() if item in kept]
        assert made.items[row][: len(kept)].tolist() == wanted
        scores = dict(zip(own.items[row].tolist(), own.scores[row], strict=True))
        for item, score in zip(made.items[row].tolist(), made.scores[row], strict=True):
            if item >= 0:
                assert score == pytest.approx(scores[item], abs=1e-3)


def test_re_ranking_asks_for_next_items(tiny):
    model = fit(tiny.replace(task="rank", n_choices=3))
    given = Recommendations(np.array([[4]]), np.zeros((1, 1)))
    with pytest.raises(ConfigError, match="GenItem"):
        model.rerank(Sessions.from_lists([[1]]), given)


@pytest.mark.parametrize("task", ["genitem", "genlist", "rank"])
def test_free_decoding_is_matched_and_counted(tiny, task):
    model = fit(free(tiny.replace(task=task, n_choices=4), temperature=2.0, n_beams=4))
    prompts = Sessions.from_lists([[1], [4, 2], [3]])
    lists = model.recommend(prompts, 4)
    for row, seen in enumerate(([1], [4, 2])):
        listed = lists.items[row][lists.items[row] >= 0].tolist()
        assert listed
        assert len(set(listed)) == len(listed)
        assert not set(listed) & {3, *seen}
    written = model.written
    assert 0 < written.n_unknown <= written.n_titles
    again = model.recommend(Sessions.from_lists([[4, 2]]), 4)  # chance does not cross prompts
    np.testing.assert_array_equal(again.items[0], lists.items[1])


def test_top_p_near_zero_and_low_temperature_are_greedy(llama):
    options = {"max_tokens": 6, "end": 4, "n_titles": 1}
    for settings in ({"temperature": 1.0, "top_p": 1e-6}, {"temperature": 1e-4, "top_p": 1.0}):
        ((first, second),) = sample_completions(
            llama, [[9, 10]], 2, seeds=[1], **settings, **options
        )
        assert first == second
        wanted = llama.model.generate(
            input_ids=_tensor([[9, 10]]), max_new_tokens=6, do_sample=False
        )[0, 2:]
        stop = {4, llama.tokenizer.eos_token_id}
        end = next((i + 1 for i, t in enumerate(wanted.tolist()) if t in stop), 6)
        assert first == wanted.tolist()[:end]


def _tensor(rows):
    import torch

    return torch.tensor(rows)


def test_what_was_drawn_most_often_comes_first_and_repeats_last():
    assert most_frequent_first(["b", "a", "c", "a", "a", "c"]) == ["a", "c", "b", "a", "a", "c"]


def test_repeats_and_unknown_titles_become_the_nearest_free_item():
    titles = Titles.of(["rose soap", "rose balm", "car wax", None], np.array([1, 1, 1, 1]))
    matcher = Matcher(titles, "tfidf")
    written = Written()
    allowed = np.array([True, True, True, False])
    said = ["Rose  Soap", "rose soap", "wax for a car"]
    matcher.prepare(said)
    assert matcher.fill(said, allowed, 3, written) == [0, 1, 2]
    assert (written.n_titles, written.n_repeats, written.n_unknown) == (3, 1, 1)


def test_a_matcher_that_cannot_read_new_texts_is_refused():
    titles = Titles.of(["a b"], np.array([1]))
    with pytest.raises(ConfigError, match="cannot read new texts"):
        Matcher(titles, "file:vectors.parquet")


def test_an_adapter_belongs_to_its_base_model(tmp_path, tiny):
    model = fit(tiny)
    model.save(tmp_path / "model")
    saved = (tmp_path / "model" / "manifest.json").read_text()
    assert tiny.base_model in saved
    assert model._parts.digest in saved
    assert not list((tmp_path / "model").rglob("tokenizer*"))
    other = load_recommender(tmp_path / "model")
    other.config = other.config.replace(base_model=str(tiny_language_model(seed=1)))
    with pytest.raises(ArtifactError, match="not the base model that the adapter was trained on"):
        other.recommend(Sessions.from_lists([[1]]), 3)
