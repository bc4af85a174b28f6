from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmseq.core import SessionIndex
from llmseq.data.sessions import Sessions
from llmseq.embeddings.matrix import ItemEmbeddings
from llmseq.embeddings.reduce import ReductionConfig, reduce_embeddings
from llmseq.errors import ArtifactError, ConfigError, ShapeError
from llmseq.models.catalog import MODELS
from llmseq.models.persistence import write_model
from llmseq.models.session_knn import SessionKnnConfig, SessionKnnRecommender
from llmseq.models.session_knn_text import SessionKnnTextConfig, SessionKnnTextRecommender
from llmseq.testing import reference
from llmseq.testing.strategies import ragged
from llmseq.testing.worlds import log_of

PLAIN = SessionKnnConfig(k=2, sample_size=10, backward=1.0, idf_weighting=False)


def fitted(config, rows, n_items=6, *, seed=0):
    return SessionKnnRecommender(config).fit(log_of(rows, n_items), rng=np.random.default_rng(seed))


def test_sums_the_similarities_of_the_nearest_sessions():
    model = fitted(PLAIN, [[0, 1, 2], [0, 1, 3], [0, 4]])
    lists = model.recommend(Sessions.from_lists([[0, 1]]), 4)
    # the two sessions with both items are nearest, cosine 2/√6 each; item 4's is not among them
    assert lists.items.tolist() == [[2, 3, -1, -1]]
    assert lists.scores[0, :2] == pytest.approx([2 / np.sqrt(6)] * 2)


def test_decay_prefers_the_sessions_of_the_newest_item():
    rows = [[0, 2], [1, 3]]
    flat = fitted(PLAIN, rows).recommend(Sessions.from_lists([[0, 1]]), 2)
    assert flat.items.tolist() == [[2, 3]]  # a tie
    decayed = fitted(PLAIN.replace(prompt_decay="harmonic"), rows)
    assert decayed.recommend(Sessions.from_lists([[0, 1]]), 2).items.tolist() == [[3, 2]]


def test_idf_lifts_the_rarer_item():
    rows = [[0, 1], [0, 1], [0, 2], [3, 1]]
    config = PLAIN.replace(k=3)
    plain = fitted(config, rows).recommend(Sessions.from_lists([[0]]), 2)
    assert plain.items.tolist() == [[1, 2]]
    weighted = fitted(config.replace(k=1, idf_weighting=True), rows)
    scores = weighted.recommend(Sessions.from_lists([[0]]), 2).scores
    assert scores[0, 0] == pytest.approx(1 / np.sqrt(2) * (1 + np.log(4 / 3)))


def test_recent_takes_the_newest_session_by_its_last_event():
    config = PLAIN.replace(sampling="recent", k=1, sample_size=1)
    rows = [[0, 1], [0, 2], [0, 3]]
    assert fitted(config, rows).recommend(Sessions.from_lists([[0]]), 1).items.tolist() == [[3]]
    train = log_of(rows, 6)
    times = train.sessions.times.copy()
    times[:2] += 10**15  # the first session becomes the newest
    late = replace(train, sessions=replace(train.sessions, times=times))
    model = SessionKnnRecommender(config).fit(late, rng=np.random.default_rng(0))
    assert model.recommend(Sessions.from_lists([[0]]), 1).items.tolist() == [[1]]


def test_recent_without_times_says_what_to_use_instead():
    train = log_of([[0, 1]], 2)
    train = replace(train, sessions=replace(train.sessions, times=None))
    model = SessionKnnRecommender(SessionKnnConfig(sampling="recent"))
    with pytest.raises(ConfigError, match=r'"recent" needs session times.*"random", "idf"'):
        model.fit(train, rng=np.random.default_rng(0))


def test_recent_survives_saving(tmp_path):
    config = PLAIN.replace(sampling="recent", k=1, sample_size=1)
    model = fitted(config, [[0, 1], [0, 2]])
    model.save(tmp_path / "m")
    read = SessionKnnRecommender.load(tmp_path / "m")
    assert read.recommend(Sessions.from_lists([[0]]), 1).items.tolist() == [[2]]


def test_the_seed_decides_the_random_sample():
    config = PLAIN.replace(sampling="random", k=1, sample_size=1)
    rows = [[0, item] for item in range(1, 6)]
    first = {
        int(fitted(config, rows, seed=seed).recommend(Sessions.from_lists([[0]]), 1).items[0, 0])
        for seed in range(12)
    }
    assert len(first) > 1


def test_more_neighbours_than_the_sample_is_refused():
    with pytest.raises(ConfigError, match="must not exceed sample_size"):
        SessionKnnConfig.make({"k": 20, "sample_size": 10}, what="v-sknn")


def test_the_registry_makes_each_variant():
    made = {name: MODELS[name].make_config(what=name) for name in ("sknn", "s-sknn", "sf-sknn")}
    assert made["sknn"].prompt_decay is None
    assert made["s-sknn"].sequential_weighting
    assert made["sf-sknn"].followers_only
    assert MODELS["v-sknn"].make_config(what="v-sknn").prompt_decay is not None


def test_only_followers_are_listed():
    rows = [[0, 1, 2], [0, 2], [3, 1, 4]]
    plain = fitted(PLAIN, rows).recommend(Sessions.from_lists([[0]]), 4)
    assert plain.items.tolist() == [[2, 1, -1, -1]]
    model = fitted(PLAIN.replace(followers_only=True), rows)
    assert model.recommend(Sessions.from_lists([[3, 0]]), 4).items.tolist() == [[2, 1, -1, -1]]
    assert model.recommend(Sessions.from_lists([[3, 2]]), 4).items.tolist() == [[-1] * 4]


def test_age_is_counted_in_days():
    rows = [[0, 1], [0, 2], [0, 3]]  # a day apart
    config = PLAIN.replace(similarity="dot", half_life_days=1.0, k=3)
    lists = fitted(config, rows).recommend(Sessions.from_lists([[0]]), 3)
    assert lists.items.tolist() == [[3, 2, 1]]
    assert lists.scores[0] == pytest.approx([1.0, 0.5, 0.25], rel=1e-6)


def test_newest_per_item_keeps_the_newest_sessions():
    rows = [[0, 1], [0, 2], [0, 3]]
    lists = fitted(PLAIN.replace(newest_per_item=2), rows).recommend(Sessions.from_lists([[0]]), 3)
    assert lists.items.tolist() == [[2, 3, -1]]


def test_a_second_model_fills_short_lists():
    rows = [[0, 1], [2, 3], [3, 4], [3]]
    model = fitted(PLAIN.replace(backfill="popularity"), rows)
    prompts = Sessions.from_lists([[0], [5], []])
    lists = model.recommend(prompts, 4)
    # 1 is the neighbours' only item; then 3 (three events), and of the once seen the lower index.
    assert lists.items.tolist() == [[1, 3, 2, 4], [3, 0, 1, 2], [3, 0, 1, 2]]
    assert lists.scores[0, 1:].tolist() == [-1.0, -2.0, -3.0]
    mask = np.arange(6) < 3
    assert model.recommend(prompts, 4, candidates=mask).items.tolist() == [
        [1, 2, -1, -1],
        [0, 1, 2, -1],
        [0, 1, 2, -1],
    ]
    assert fitted(PLAIN, rows).recommend(prompts, 1).items.tolist() == [[1], [-1], [-1]]


@pytest.mark.parametrize(("name", "says"), [("newest", "unknown model"), ("fusion", "hybrid")])
def test_what_cannot_fill_lists_is_refused(name, says):
    with pytest.raises(ConfigError, match=says):
        SessionKnnConfig.make({"backfill": name}, what="v-sknn")


def test_sknnemb_prefers_the_session_whose_text_is_like_the_prompt():
    # Both sessions share item 0; the text of 1 is that of the prompt, the text of 2 is not.
    vectors = np.array([[1, 0], [1, 0.2], [0, 1], [1, 0.1]], dtype=np.float32)
    config = SessionKnnTextConfig(k=1, reduction=ReductionConfig(), idf_weighting=False)
    train = log_of([[0, 2], [0, 1]], 4)
    model = SessionKnnTextRecommender(config).fit(
        train, embeddings={"text": ItemEmbeddings(vectors)}, rng=np.random.default_rng(0)
    )
    lists = model.recommend(Sessions.from_lists([[0, 3]]), 2)
    assert lists.items.tolist() == [[1, -1]]


def test_sknnemb_refuses_vectors_of_another_catalogue():
    with pytest.raises(ShapeError, match="3 rows, but the catalogue has 4 items"):
        SessionKnnTextRecommender().fit(
            log_of([[0, 1]], 4),
            embeddings={"text": ItemEmbeddings(np.ones((3, 2), np.float32))},
            rng=np.random.default_rng(0),
        )


def test_a_loaded_model_maps_its_index(tmp_path, monkeypatch):
    fitted(PLAIN.replace(backfill="popularity"), [[0, 1], [0, 2]]).save(tmp_path / "m")
    monkeypatch.setattr(SessionIndex, "__init__", None)  # nothing may be built again
    read = SessionKnnRecommender.load(tmp_path / "m")
    assert read.recommend(Sessions.from_lists([[0]]), 3).items.tolist() == [[1, 2, -1]]


def test_an_index_of_another_version_is_refused(tmp_path):
    model = fitted(PLAIN, [[0, 1], [0, 2]])
    later = dict(SessionIndex.metadata()) | {"version": "99"}
    monkey = {"arrays": model._index.arrays(), "metadata": later, "extra": {"seed": 0, "notes": []}}
    write_model(tmp_path / "m", kind="v-sknn", config=PLAIN, **monkey)
    with pytest.raises(ArtifactError, match=r"weights\.safetensors: .* of version 99"):
        SessionKnnRecommender.load(tmp_path / "m")


def test_what_came_before_counts_less():
    model = fitted(PLAIN.replace(backward=0.5, similarity="dot"), [[1, 0, 2]])
    lists = model.recommend(Sessions.from_lists([[0]]), 3)
    assert lists.items.tolist() == [[2, 1, -1]]
    assert lists.scores[0, :2].tolist() == [1.0, 0.5]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"prompt_decay": "cubic"}, r"prompt_decay.*'linear', 'log', 'harmonic' or 'quadratic'"),
        ({"sampling": "newest"}, r"sampling.*'random', 'recent', 'idf' or 'idf_greedy'"),
        ({"backward": -1.0}, "backward"),
        ({"backward": float("nan")}, "backward"),
        ({"last_n": 0}, "last_n"),
    ],
)
def test_wrong_settings_are_named(wrong, says):
    with pytest.raises(ConfigError, match=says):
        SessionKnnConfig.make(wrong, what="v-sknn")


def test_a_weights_file_cut_short_is_refused(tmp_path):
    fitted(PLAIN, [[0, 1], [0, 2]]).save(tmp_path / "m")
    weights = tmp_path / "m" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(ArtifactError, match=r"weights\.safetensors"):
        SessionKnnRecommender.load(tmp_path / "m")


def test_sknnemb_maps_its_index_and_fills_prompts_of_unknown_items(tmp_path, monkeypatch):
    vectors = {"text": ItemEmbeddings(VECTORS)}
    config = SessionKnnTextConfig(reduction=ReductionConfig(), backfill="popularity")
    model = SessionKnnTextRecommender(config).fit(
        log_of([[0, 1], [0, 2]], 6), embeddings=vectors, rng=np.random.default_rng(0)
    )
    model.save(tmp_path / "m")
    monkeypatch.setattr(SessionIndex, "__init__", None)  # nothing may be built again
    read = SessionKnnTextRecommender.load(tmp_path / "m")
    prompts = Sessions.from_lists([[0], [5], [5, 4, 5], []])
    lists = read.recommend(prompts, 3)
    assert lists.items[1:].tolist() == [[0, 1, 2]] * 3
    wanted = model.recommend(prompts, 3)
    np.testing.assert_array_equal(lists.items, wanted.items)
    np.testing.assert_array_equal(lists.scores, wanted.scores)


VECTORS = np.array(
    [[2, 0, 1], [4, 0, 0], [0, 3, 1], [3, 4, 0], [-1, 0, 2], [0, 1, 1]], dtype=np.float32
)


@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("name", ["sknn", "v-sknn", "s-sknn", "sf-sknn", "sknnemb"])
@given(
    rows=ragged(6, min_length=1, max_rows=20),
    prompts=ragged(6),
    sampling=st.sampled_from(["random", "recent", "idf", "idf_greedy"]),
    similarity=st.sampled_from(["cosine", "dot"]),
    half_life=st.sampled_from([None, 2.0]),
    newest=st.sampled_from([None, 2]),
    backward=st.sampled_from([0.0, 0.25, 1.0]),
    idf=st.booleans(),
    last_n=st.sampled_from([None, 1, 3]),
    seed=st.integers(0, 9),
)
def test_every_variant_lists_what_its_twin_lists(
    name,
    rows,
    prompts,
    sampling,
    similarity,
    half_life,
    newest,
    backward,
    idf,
    last_n,
    seed,
):
    """Settings of the registry's name and chosen ones, through the model and through the twin."""
    chosen = {
        "k": 3,
        "sample_size": 5,
        "sampling": sampling,
        "similarity": similarity,
        "half_life_days": half_life,
        "newest_per_item": newest,
        "backward": backward,
        "idf_weighting": idf,
        "last_n": last_n,
    }
    by_text = name == "sknnemb"
    extra = {"reduction": {}, "train_pooling": "log"} if by_text else {}
    config = MODELS[name].make_config({**chosen, **extra}, what=name)
    model = MODELS[name].recommender_class()(config)
    train = log_of([row.tolist() for row in rows], 6)
    model.fit(
        train,
        embeddings={"text": ItemEmbeddings(VECTORS)} if by_text else None,
        rng=np.random.default_rng(seed),
    )
    asked = Sessions.from_lists([row.tolist() for row in prompts])
    lists = model.recommend(asked, 4)
    preset = MODELS[name].preset
    given_vectors = reduce_embeddings(ItemEmbeddings(VECTORS), ReductionConfig()).vectors
    twin = reference.SessionIndex(
        rows.items,
        rows.offsets,
        6,
        order=train.sessions.times[rows.offsets[1:] - 1],
        newest=newest,
        followers=name == "sf-sknn",
        vectors=given_vectors if by_text else None,
        pooling="log",
    )
    items, scores = twin.search(
        prompts.items,
        prompts.offsets,
        4,
        k=3,
        sample_size=5,
        sampling=sampling,
        similarity=similarity,
        prompt_decay=preset.get("prompt_decay"),
        prompt_pooling=preset.get("prompt_pooling", "mean"),
        backward=backward,
        sequential_weighting=name in {"s-sknn", "sknnemb"},
        only_followers=name == "sf-sknn",
        half_life=None if half_life is None else half_life * 86_400e6,
        idf_weighting=idf,
        last_n=last_n,
        seed=int(np.random.default_rng(seed).integers(2**63)),
    )
    np.testing.assert_array_equal(lists.items, items)
    np.testing.assert_array_equal(lists.scores, scores)
