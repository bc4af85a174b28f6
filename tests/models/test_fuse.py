from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmseq.data.sessions import HeldOut, Sessions
from llmseq.errors import ArtifactError, ConfigError, NotFittedError, ShapeError
from llmseq.models.hybrid.fuse import FusionConfig, FusionRecommender, choose_members, fuse
from llmseq.models.persistence import load_recommender
from llmseq.models.popularity import PopularityRecommender
from llmseq.models.session_knn import SessionKnnRecommender
from llmseq.recommendations import Recommendations
from llmseq.testing import reference
from llmseq.testing.strategies import ranked_lists
from llmseq.testing.worlds import log_of
from llmseq.types import Ragged


def lists_of(rows, k=None):
    k = k or max(len(row) for row in rows)
    items = [[*row, *[-1] * (k - len(row))] for row in rows]
    scores = [[*range(len(row), 0, -1), *[-np.inf] * (k - len(row))] for row in rows]
    return Recommendations(np.array(items), np.array(scores))


def held_out(targets):
    return HeldOut(Sessions.from_lists([[0]] * len(targets)), Ragged.from_lists(targets))


def fitted_members():
    train = log_of([[0, 1, 2], [0, 2, 3], [4, 5]], 6)
    rng = np.random.default_rng(0)
    return train, {
        "popularity": PopularityRecommender().fit(train, rng=rng),
        "v-sknn": SessionKnnRecommender().fit(train, rng=rng),
    }


def test_reciprocal_ranks_add_up():
    fused = fuse({"a": lists_of([[4, 2]]), "b": lists_of([[2, 7]])}, 4, FusionConfig(c=1))
    assert fused.items.tolist() == [[2, 4, 7, -1]]
    assert fused.scores[0, :3] == pytest.approx([1 / 3 + 1 / 2, 1 / 2, 1 / 3])


def test_weights_go_by_name_and_default_to_one():
    config = FusionConfig(c=1, weights={"b": 3.0})
    fused = fuse({"a": lists_of([[4, 2]]), "b": lists_of([[2, 7]])}, 1, config)
    assert fused.scores[0, 0] == pytest.approx(1 / 3 + 3 / 2)


def test_places_beyond_the_list_length_do_not_count():
    lists = {"a": lists_of([[4, 2, 9]]), "b": lists_of([[9, 1, 2]])}
    fused = fuse(lists, 5, FusionConfig(list_length=2))
    assert fused.items.tolist() == [[4, 9, 1, 2, -1]]


def test_wrong_fusions_are_refused():
    one = lists_of([[1]])
    with pytest.raises(ConfigError, match="at least one member"):
        fuse({}, 5, FusionConfig())
    with pytest.raises(ConfigError, match="at least one member"):
        FusionRecommender(None, {})
    with pytest.raises(ConfigError, match='weights name "typo", but the members are a'):
        fuse({"a": one}, 5, FusionConfig(weights={"typo": 1.0}))
    with pytest.raises(ShapeError, match="different numbers of sessions"):
        fuse({"a": one, "b": lists_of([[1], [2]])}, 5, FusionConfig())
    with pytest.raises(ConfigError, match=r"weights\.a = -1"):
        FusionConfig.make({"weights": {"a": -1}}, what="fusion")


def test_choice_leaves_out_what_does_not_help():
    lists = {
        "noise": lists_of([[30, 31], [30, 31], [30, 31], [30, 31]]),
        "half": lists_of([[1], [2], [9], [9]], k=2),
        "most": lists_of([[8], [2], [3], [4]], k=2),
    }
    chosen = choose_members(lists, held_out([[1], [2], [3], [4]]), FusionConfig())
    assert chosen == ("half", "most")


def test_choice_of_one_when_nothing_helps():
    same = lists_of([[1], [2]])
    assert choose_members({"a": same, "b": same}, held_out([[1], [2]]), FusionConfig()) == ("a",)
    with pytest.raises(ConfigError, match="at least one model"):
        choose_members({}, held_out([[1]]), FusionConfig())


def test_choice_uses_the_weights_of_those_it_tries():
    lists = {"a": lists_of([[5, 1]]), "b": lists_of([[1, 5]])}
    config = FusionConfig(weights={"a": 1.0, "b": 2.0})
    assert choose_members(lists, held_out([[1]]), config) == ("b",)


@given(data=st.data())
def test_no_combination_is_better_than_the_chosen_one(data):
    names = ["a", "b", "c"]
    lists = {n: data.draw(ranked_lists(n_sessions=4, n_items=6, k=4)) for n in names}
    truth = held_out([[i] for i in range(4)])

    def figure(chosen):
        fused = fuse({name: lists[name] for name in chosen}, 20, FusionConfig())
        return reference.evaluate_lists(fused.items, truth.targets, ks=(20,)).means["ndcg@20"]

    chosen = choose_members(lists, truth, FusionConfig())
    assert len(set(chosen)) == len(chosen) > 0
    others = [part for size in (1, 2, 3) for part in combinations(names, size)]
    assert figure(chosen) >= max(figure(part) for part in others) - 1e-12
    assert chosen == choose_members(lists, truth, FusionConfig())


def test_recommending_fuses_the_members_lists():
    train, members = fitted_members()
    model = FusionRecommender(FusionConfig(), members).fit(train, rng=np.random.default_rng(0))
    prompts = Sessions.from_lists([[0], [4], []])
    lists = {name: member.recommend(prompts, 100) for name, member in members.items()}
    wanted = fuse(lists, 3, FusionConfig())
    assert model.recommend(prompts, 3).items.tolist() == wanted.items.tolist()


def test_an_unfitted_member_is_found_by_fit():
    train, members = fitted_members()
    model = FusionRecommender(None, {**members, "new": PopularityRecommender()})
    with pytest.raises(NotFittedError, match="not fitted"):
        model.fit(train, rng=np.random.default_rng(0))


def test_a_member_of_another_catalogue_is_found_by_fit():
    _, members = fitted_members()
    with pytest.raises(ShapeError, match="candidates"):
        FusionRecommender(None, members).fit(log_of([[0, 1]], 9), rng=np.random.default_rng(0))


def test_members_are_saved_in_folders_of_their_own(tmp_path):
    _, members = fitted_members()
    FusionRecommender(FusionConfig(weights={"v-sknn": 2.0}), members).save(tmp_path / "m")
    assert {p.name for p in (tmp_path / "m" / "members").iterdir()} == {"popularity", "v-sknn"}
    read = load_recommender(tmp_path / "m")
    assert isinstance(read, FusionRecommender)
    assert list(read.members) == ["popularity", "v-sknn"]
    assert read.config.weights == {"v-sknn": 2.0}


def test_a_members_name_cannot_leave_the_folder(tmp_path):
    _, members = fitted_members()
    model = FusionRecommender(None, {"../../outside": members["popularity"]})
    with pytest.raises(ArtifactError, match="a member's name must"):
        model.save(tmp_path / "m")
    assert not any(tmp_path.iterdir())
