"""How ensembles, switches and filters make one list: by hand, and against naive loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmseq.data.sessions import Sessions
from llmseq.embeddings.matrix import ItemEmbeddings
from llmseq.errors import ConfigError, ShapeError
from llmseq.models.hybrid.ensemble import EnsembleConfig
from llmseq.models.hybrid.facts import ItemFacts
from llmseq.models.hybrid.filter import FilterConfig
from llmseq.models.hybrid.places import in_places
from llmseq.models.hybrid.switch import SwitchConfig
from llmseq.testing.lists import facts_of, listed, lists_of
from llmseq.testing.strategies import ragged, ranked_lists
from llmseq.testing.worlds import log_of

NOBODY = Sessions.from_lists([[]])
FACTS = facts_of([1])
PLACES = st.integers(1, 9)


def ensemble(first, second, k=10, **head):
    config = EnsembleConfig.make({"head": head}, what="ensemble")
    lists = {"first": first, "second": second}
    return config.combine(lists, k, prompts=NOBODY, facts=FACTS)


def test_the_first_places_then_the_second_list_without_repeats():
    first, second = lists_of([[5, 1, 2]]), lists_of([[1, 7, 5, 8]])
    made = ensemble(first, second, method="rank", places=2)
    assert listed(made) == [[5, 1, 7, 8]]
    assert made.scores[0, :4] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    assert listed(ensemble(first, second, method="rank", places=0)) == [[1, 7, 5, 8]]
    assert listed(ensemble(first, second, 3, method="rank", places=9)) == [[5, 1, 2]]


def test_the_first_list_as_long_as_it_is_sure():
    first, second = lists_of([[5, 1, 2], [4]]), lists_of([[6], [6]])  # scores 3, 2, 1 and 1
    assert listed(ensemble(first, second, method="confidence", score=2)) == [[5, 1, 6], [6]]


@given(
    ranked_lists(n_sessions=3, n_items=8, k=5),
    ranked_lists(n_sessions=3, n_items=8, k=4),
    st.integers(0, 6),
    PLACES,
)
def test_ensembles_by_rank_as_a_loop_makes_them(first, second, places, k):
    made = ensemble(first, second, k, method="rank", places=places)
    for row in range(3):
        wanted = listed(first)[row][:places]
        wanted += [item for item in listed(second)[row] if item not in wanted]
        assert listed(made)[row] == wanted[:k]


@given(
    ranked_lists(n_sessions=3, n_items=8, k=5),
    ranked_lists(n_sessions=3, n_items=8, k=4),
    st.sampled_from([0.5, 1.0, 1.25, 2.0, 9.0]),
)
def test_ensembles_by_confidence_as_a_loop_makes_them(first, second, score):
    made = ensemble(first, second, method="confidence", score=score)
    for row in range(3):
        sure = zip(first.items[row].tolist(), first.scores[row].tolist(), strict=True)
        wanted = [item for item, value in sure if item >= 0 and value >= score]
        wanted += [item for item in listed(second)[row] if item not in wanted]
        assert listed(made)[row] == wanted


def switch(lists, prompts, facts, quantile, k=3):
    config = SwitchConfig(quantile=quantile)
    return config.combine(lists, k, prompts=Sessions.from_lists(prompts), facts=facts)


def test_the_last_items_popularity_decides_who_answers():
    lists = {
        "sequential": lists_of([[1, 2]] * 4),
        "similarity": lists_of([[8, 9, 7]] * 4),
    }
    facts = facts_of([4, 2, 0, 1])  # the median of those in any session is 2
    made = switch(lists, [[3, 0], [0, 1], [0, 2], []], facts, 0.5)
    assert listed(made) == [[1, 2], [1, 2], [8, 9, 7], [8, 9, 7]]
    assert made.scores[0].tolist() == [2, 1, -np.inf]
    assert made.scores[3].tolist() == [3, 2, 1]


@given(st.data(), st.floats(0, 1), PLACES)
def test_switches_as_a_loop_makes_them(data, quantile, k):
    counts = data.draw(st.lists(st.integers(0, 3), min_size=6, max_size=6))
    prompts = data.draw(ragged(6, min_rows=3, max_rows=3))
    lists = {
        name: data.draw(ranked_lists(n_sessions=3, n_items=6, k=4))
        for name in ("sequential", "similarity")
    }
    rows = [prompts[row].tolist() for row in range(3)]
    made = switch(lists, rows, facts_of(counts), quantile, k)
    known = [count for count in counts if count]
    for row, prompt in enumerate(rows):
        popular = bool(prompt and known) and counts[prompt[-1]] >= np.quantile(known, quantile)
        whose = "sequential" if popular else "similarity"
        assert listed(made)[row] == listed(lists[whose])[row][:k]


def filtered(lists, facts, k=10, **settings):
    config = FilterConfig(**settings)
    return config.combine({"member": lists}, k, prompts=NOBODY, facts=facts)


def test_rare_items_give_way_and_come_back_only_to_fill():
    facts = facts_of([9, 1, 8, 1, 7])  # the median is 7
    lists = lists_of([[1, 4, 3, 0]])
    assert listed(filtered(lists, facts, 2, popularity_quantile=0.5)) == [[4, 0]]
    assert listed(filtered(lists, facts, 4, popularity_quantile=0.5)) == [[4, 0, 1, 3]]
    assert listed(filtered(lists, facts, popularity_quantile=0.0)) == [[1, 4, 3, 0]]


ROOT = np.sqrt(0.5)
PLANE = [[1, 0], [0, 1], [ROOT, ROOT], [1, 0]]  # cosines: 0, .71, 1, .71, 0, .71


def test_an_item_like_one_before_it_is_skipped():
    facts = facts_of([1, 1, 1, 1], PLANE, [0, 0, ROOT, ROOT, ROOT, 1])
    lists = lists_of([[0, 3, 2, 1]])
    only = {"popularity_quantile": 0.0}
    assert listed(filtered(lists, facts, diversity_quantile=1.0, **only)) == [[0, 2, 1]]
    assert listed(filtered(lists, facts, diversity_quantile=0.5, **only)) == [[0, 1]]
    assert listed(filtered(lists_of([[2, 0, 3, 1]]), facts, diversity_quantile=0.5, **only)) == [
        [2]
    ]


def test_popularity_goes_before_diversity():
    facts = facts_of([1, 9, 9, 9], PLANE, [0, 0, ROOT, ROOT, ROOT, 1])
    made = filtered(lists_of([[0, 1, 3]]), facts, popularity_quantile=0.5, diversity_quantile=1.0)
    assert listed(made) == [[1, 3]]  # 0 went behind 3, which is just like it


@given(st.data(), st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.sampled_from([None, 0.2, 0.6, 1.0]))
def test_filters_as_a_loop_makes_them(data, popularity, diversity):
    counts = data.draw(st.lists(st.integers(0, 4), min_size=6, max_size=6))
    angles = data.draw(st.lists(st.sampled_from(range(8)), min_size=6, max_size=6))
    vectors = np.float32([[np.cos(a * np.pi / 4), np.sin(a * np.pi / 4)] for a in angles])
    pairs = [(a, b) for a in range(6) for b in range(a)]

    def cosine(a, b):
        return np.float32(vectors[a].astype(np.float64) @ vectors[b].astype(np.float64))

    facts = facts_of(counts, vectors, [cosine(a, b) for a, b in pairs])
    lists = data.draw(ranked_lists(n_sessions=2, n_items=6, k=6))
    made = filtered(lists, facts, popularity_quantile=popularity, diversity_quantile=diversity)
    known = [count for count in counts if count]
    least = np.quantile(known, popularity) if known else np.inf
    for row, items in enumerate(listed(lists)):
        kept = [item for item in items if counts[item] >= least]
        kept += [item for item in items if counts[item] < least]
        if diversity is not None:
            limit = np.quantile(facts.cosines, diversity, method="lower")
            walked: list[int] = []
            for item in kept:
                if all(cosine(item, other) < limit for other in walked):
                    walked.append(item)
            kept = walked
        assert listed(made)[row] == kept


def test_places_are_filled_from_the_front():
    made = in_places(np.array([[-1, 4, 4, -1, 2], [-1] * 5], dtype=np.int32), 7)
    assert listed(made) == [[4, 2], []]
    assert made.k == 7


def test_facts_count_sessions_not_events():
    facts = ItemFacts.count(log_of([[0, 0, 1], [0], [2, 2]], 4))
    assert facts.n_sessions.tolist() == [2, 1, 1, 0]
    assert facts.popular(np.array([0, 1, 3, -1], dtype=np.int32), 0.0).tolist() == [
        *(True, True),
        *(False, False),
    ]


def test_facts_know_all_pairs_of_few_items_and_a_sample_of_many(monkeypatch):
    train = log_of([[0]], 40)
    vectors = np.random.default_rng(3).normal(size=(40, 4)).astype(np.float32)
    given = ItemEmbeddings(vectors, {"encoder": "test"})
    facts = ItemFacts.count(train).with_vectors(given, rng=np.random.default_rng(0))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    wanted = np.sort((unit @ unit.T)[np.triu_indices(40, k=1)])
    np.testing.assert_allclose(facts.cosines, wanted, atol=1e-6)
    monkeypatch.setattr("llmseq.models.hybrid.facts.MAX_PAIRS", 500)
    drawn = ItemFacts.count(train).with_vectors(given, rng=np.random.default_rng(0))
    assert drawn.cosines.size == 500
    assert drawn.cosines.max() < 0.9999  # no item is paired with itself
    assert abs(drawn.cosine_at(0.9) - facts.cosine_at(0.9)) < 0.1


@pytest.mark.parametrize(
    ("config", "settings", "says"),
    [
        (SwitchConfig, {"quantile": 1.2}, "quantile = 1.2"),
        (FilterConfig, {"popularity_quantile": -0.1}, "popularity_quantile = -0.1"),
        (FilterConfig, {"diversity_quantile": 2}, "diversity_quantile = 2"),
        (EnsembleConfig, {"head": {"places": -1}}, r"head\.places = -1"),
        (EnsembleConfig, {"head": {"method": "luck"}}, r"head\.method = 'luck'"),
        (EnsembleConfig, {"first": "nobody"}, 'unknown model "nobody"'),
        (EnsembleConfig, {"first": "fusion"}, 'cannot be made of "fusion"'),
        (EnsembleConfig, {"first": {"model": "v-sknn", "settings": {"kk": 1}}}, '"kk"'),
        (FilterConfig, {"member": {"settings": {}}}, r"member\.model"),
    ],
)
def test_wrong_settings_are_refused(config, settings, says):
    with pytest.raises(ConfigError, match=says):
        config.make(settings, what="hybrid")


def test_members_are_written_as_short_as_they_can_be():
    config = EnsembleConfig.make({"first": "v-sknn", "second": {"model": "sknn"}}, what="e")
    assert config.to_dict()["first"] == "v-sknn"
    assert config.to_dict()["second"] == "sknn"
    usual = EnsembleConfig()
    assert usual.to_dict()["first"]["settings"]["reduction"] == {"method": "none"}
    for each in (config, usual):
        assert EnsembleConfig.from_toml(each.to_toml()) == each


def test_lists_must_be_those_of_the_members():
    with pytest.raises(ConfigError, match="made of member, but lists are given of first"):
        FilterConfig().combine({"first": lists_of([[1]])}, 3, prompts=NOBODY, facts=FACTS)
    lists = {"first": lists_of([[1]]), "second": lists_of([[1], [2]])}
    with pytest.raises(ShapeError, match="different numbers of sessions"):
        EnsembleConfig().combine(lists, 3, prompts=NOBODY, facts=FACTS)
