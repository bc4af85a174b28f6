from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from llmseq.data.sessions import HeldOut, Sessions
from llmseq.embeddings.matrix import ItemEmbeddings
from llmseq.errors import ArtifactError, ConfigError, InvalidDataError, NotFittedError, ShapeError
from llmseq.models.protocol import FitContext, WarmStart
from llmseq.models.sequential.recommender import SequentialRecommender
from llmseq.testing.worlds import log_of


def fit(config, train, *, seed=0, **more):
    return SequentialRecommender(config).fit(train, rng=np.random.default_rng(seed), **more)


def of_text(config, **changes):
    """The same with a table made of text, as wide as the text allows."""
    return config.replace(item_table="llm_init", embedding_dim=None, **changes)


def prompts(*rows):
    return Sessions.from_lists(rows)


@pytest.mark.parametrize("plain", [True, False], ids=["random", "llm_init"])
def test_finds_what_follows(tiny, cold_circle, text, plain):
    config = tiny.replace(n_epochs=15) if plain else of_text(tiny, n_epochs=15)
    model = fit(config, cold_circle, embeddings=text)
    lists = model.recommend(prompts([0, 1, 2], [5], [9, 10, 11]), 3)
    assert lists.items[:, 0].tolist() == [3, 6, 0]
    assert lists.items.max() < 12  # nothing that training never saw


def test_early_stopping_looks_at_validation(tiny, circle):
    held_out = HeldOut.every_position(circle.sessions.take(np.arange(10)))
    model = fit(tiny.replace(n_epochs=25, patience=2), circle, validation=held_out)
    scores = [record["ndcg@20"] for record in model.summary.history]
    assert model.summary.epochs == int(np.argmax(scores)) + 1
    assert len(scores) <= model.summary.epochs + 2
    assert scores[0] < max(scores) <= 1.0
    refit = model.refit_config()
    assert (refit.n_epochs, refit.patience) == (model.summary.epochs, 0)
    assert refit.replace(n_epochs=25, patience=2) == model.config


def test_a_validation_part_without_prompts_counts_as_none(tiny, circle):
    nothing = HeldOut.every_position(Sessions.from_lists([]))
    assert fit(tiny.replace(n_epochs=2), circle, validation=nothing).summary.epochs == 2


def test_only_the_newest_events_are_read_but_all_are_excluded(tiny, circle):
    model = fit(tiny, circle)  # reads 6 events
    long, cut = [11, 10, 9, 0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]
    lists = model.recommend(prompts(long, cut), 12, exclude_seen=False)
    np.testing.assert_array_equal(lists.items[0], lists.items[1])
    listed = model.recommend(prompts(long), 12).items[0]
    assert set(listed[listed >= 0]) == {6, 7, 8}


def test_a_prompt_that_says_nothing_gets_nothing(tiny, cold_circle):
    lists = fit(tiny, cold_circle).recommend(prompts([], [13], [3]), 2)
    assert lists.items[:2].tolist() == [[-1, -1], [-1, -1]]
    assert np.all(np.isneginf(lists.scores[:2]))
    assert (lists.items[2] >= 0).all()


def test_text_speaks_for_items_that_training_never_saw(tiny, cold_circle, text):
    model = fit(of_text(tiny), cold_circle, embeddings=text)
    cold = np.arange(14) >= 12
    lists = model.recommend(prompts([3], [13]), 2, candidates=cold)
    assert sorted(lists.items[0]) == [12, 13]
    assert lists.items[1].tolist() == [12, -1]
    plain = fit(tiny, cold_circle).recommend(prompts([3]), 2, candidates=cold)
    assert plain.items.tolist() == [[-1, -1]]


def test_the_table_starts_from_the_text(tiny, circle, cold_circle, text, tmp_path):
    config = of_text(tiny, learning_rate=1e-12, n_epochs=1, table_scale=2.0)
    fit(config, cold_circle, embeddings=text).save(tmp_path / "model")
    arrays = load_file(tmp_path / "model" / "weights.safetensors")
    table, unseen = arrays["weights.table.rows"], arrays["text"][12:]
    assert table.shape == (12, 10)  # 12 centred vectors span 11, which two heads cannot share
    assert unseen.shape == (2, 10)
    np.testing.assert_allclose(np.linalg.norm(table, axis=1), 2.0, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(unseen, axis=1), 1.0, rtol=1e-5)


def test_vectors_that_span_too_little_narrow_the_network_and_say_so(tiny, cold_circle, text):
    model = fit(of_text(tiny, n_epochs=1), cold_circle, embeddings=text)
    assert model.summary.notes == (
        "embedding_dim is 10 instead of 128: the text vectors span no more that "
        "the heads can share",
    )


def test_the_embedding_is_chosen_by_name(tiny, cold_circle, text):
    both = {**text, "other": ItemEmbeddings(np.ones((3, 4)))}
    config = of_text(tiny, n_epochs=1)
    with pytest.raises(ConfigError, match="embedding"):
        fit(config, cold_circle, embeddings=both)
    fit(config.replace(embedding="text"), cold_circle, embeddings=both)


def test_vectors_of_another_catalogue_are_refused_before_training(tiny, circle, text):
    config = tiny.replace(item_table="llm_init")
    with pytest.raises(ShapeError, match="14 rows, but the catalogue has 12 items"):
        fit(config, circle, embeddings=text)
    with pytest.raises(ConfigError, match="needs text vectors"):
        fit(config, circle)


def test_unreduced_vectors_must_be_as_wide_as_the_network(tiny, cold_circle, text):
    config = tiny.replace(item_table="llm_init", reduction={"method": "none"})
    with pytest.raises(ConfigError, match=r"20 dimensions, .*embedding_dim = 16"):
        fit(config, cold_circle, embeddings=text)
    fit(config.replace(embedding_dim=20, n_epochs=1), cold_circle, embeddings=text)


@pytest.mark.parametrize(
    ("settings", "vectors", "error", "says"),
    [
        ({"embedding_dim": 12}, (12, 20), ConfigError, "embedding_dim = 12 is more than the 11"),
        ({"embedding_dim": 8}, (12, 5), ConfigError, "embedding_dim = 8 is more than the 5"),
        ({"embedding_dim": None, "n_heads": 6}, (12, 5), ConfigError, "5 dimensions.* 6 heads"),
        ({}, (13, 20), ShapeError, "13 rows, but the catalogue has 12 items"),
        (
            {"item_table": "null_space", "embedding_dim": None, "identity_dim": 40},
            (12, 20),
            ConfigError,
            "identity_dim = 40 leaves no room for text in 10 dimensions",
        ),
        (
            {"item_table": "identity_beside_text", "embedding_dim": None, "identity_dim": 128},
            (12, 20),
            ConfigError,
            "identity_dim = 128 leaves no room for text in 128 dimensions",
        ),
    ],
)
def test_what_does_not_go_together_is_an_error_before_training(
    small, circle, settings, vectors, error, says
):
    config = small("sasrec", **{"item_table": "llm_init", **settings})
    given = {"text": ItemEmbeddings(np.random.default_rng(0).normal(size=vectors))}
    news = []
    with pytest.raises(error, match=says):
        fit(
            config,
            circle,
            embeddings=given,
            context=FitContext(progress=lambda *args: news.append(args)),
        )
    assert news == []


def test_nothing_to_learn_from_is_an_error(tiny):
    with pytest.raises(InvalidDataError, match="two events"):
        fit(tiny, log_of([[1], [2]], 3))


def test_unfitted_models_say_so(tiny):
    with pytest.raises(NotFittedError, match="SASRec"):
        SequentialRecommender(tiny).refit_config()


def test_the_seed_decides_and_the_generator_moves_on(tiny, circle):
    config = tiny.replace(n_epochs=1)
    rng = np.random.default_rng(0)
    first, second = (SequentialRecommender(config).fit(circle, rng=rng) for _ in range(2))
    same = fit(config, circle)
    asked = prompts([1, 2], [7])
    scores = [model.recommend(asked, 5).scores for model in (first, second, same)]
    np.testing.assert_array_equal(scores[0], scores[2])
    assert not np.array_equal(scores[0], scores[1])


def test_a_loaded_model_is_the_saved_one(tiny, cold_circle, text, tmp_path):
    config = of_text(tiny, n_epochs=2)
    model = fit(config, cold_circle, embeddings=text)
    model.save(tmp_path / "model")
    loaded = SequentialRecommender.load(tmp_path / "model")
    assert loaded.config == config
    assert loaded.summary == model.summary
    assert loaded.refit_config() == model.refit_config()
    asked = prompts([1, 2], [13], [])
    ours, theirs = (each.recommend(asked, 9) for each in (model, loaded))
    np.testing.assert_array_equal(ours.items, theirs.items)
    np.testing.assert_array_equal(ours.scores, theirs.scores)


def test_a_checkpoint_belongs_to_its_data_and_settings(tiny, circle, tmp_path):
    context = FitContext(checkpoint=tmp_path)
    config = tiny.replace(n_epochs=1)
    fit(config, circle, context=context)
    for changed in (
        lambda: fit(config.replace(dropout=0.3), circle, context=context),
        lambda: fit(config, circle, seed=1, context=context),
        lambda: fit(config, circle.take(np.arange(60)), context=context),
        lambda: fit(config, circle, context=context, validation=HeldOut.last_item(circle.sessions)),
    ):
        with pytest.raises(ArtifactError, match="other data or settings"):
            changed()


@pytest.mark.parametrize(
    ("network", "settings"),
    [
        ("gru4rec", {}),
        ("bert4rec", {}),
        ("sasrec", {"head": "projection"}),
        ("sasrec", {"objective": "bce"}),
        ("sasrec", {"block": "ligr"}),
    ],
)
def test_a_checkpoint_of_another_model_is_an_error_before_training(
    small, circle, tmp_path, network, settings
):
    news = []
    context = FitContext(checkpoint=tmp_path)
    fit(small("sasrec"), circle, context=context)
    listening = replace(context, progress=lambda *args: news.append(args))
    with pytest.raises(ArtifactError, match="other data or settings"):
        fit(small(network, **settings), circle, context=listening)
    assert news == []


def test_a_checkpoint_belongs_to_its_text(small, cold_circle, text, tmp_path):
    config, context = small("sasrec", item_table="llm_init"), FitContext(checkpoint=tmp_path)
    fit(config, cold_circle, embeddings=text, context=context)
    other = {"text": ItemEmbeddings(text["text"].vectors[::-1])}
    with pytest.raises(ArtifactError, match="other data or settings"):
        fit(config, cold_circle, embeddings=other, context=context)


def test_a_checkpoint_belongs_to_what_training_started_from(small, circle, tmp_path):
    config, same = small("sasrec"), np.arange(12, dtype=np.int32)
    sources = [fit(config, circle, seed=seed) for seed in (1, 2)]

    def go_on(source):
        start = WarmStart(source, same)
        fit(config, circle, context=FitContext(checkpoint=tmp_path, start=start))

    go_on(sources[0])
    go_on(sources[0])
    with pytest.raises(ArtifactError, match="other data or settings"):
        go_on(sources[1])


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_training_survives_sigkill(tmp_path):
    script = """
        import os, pathlib, signal, sys
        import numpy as np
        from llmseq.models.protocol import FitContext
        from llmseq.models.sequential.config import SASRecConfig
        from llmseq.models.sequential.recommender import SequentialRecommender
        from llmseq.testing.worlds import log_of

        def train(folder, progress=None):
            log = log_of([[i, i + 1, i + 2] for i in range(20)], 22)
            config = SASRecConfig(embedding_dim=8, n_epochs=6, batch_size=4)
            context = FitContext(checkpoint=pathlib.Path(folder), progress=progress)
            model = SequentialRecommender(config)
            return model.fit(log, rng=np.random.default_rng(0), context=context)

        def kill(share, text):
            if share > 0.6:
                os.kill(os.getpid(), signal.SIGKILL)
    """
    scope = {}
    exec(textwrap.dedent(script), scope)
    code = f"{textwrap.dedent(script)}\ntrain({str(tmp_path / 'killed')!r}, kill)"
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    news = []
    resumed = scope["train"](tmp_path / "killed", lambda *args: news.append(args))
    assert news[0][0] > 0.5  # three of six epochs were kept
    whole = scope["train"](tmp_path / "whole")
    lists = [model.recommend(prompts([1, 2], [7]), 22) for model in (resumed, whole)]
    np.testing.assert_array_equal(lists[0].items, lists[1].items)
    np.testing.assert_array_equal(lists[0].scores, lists[1].scores)
