from __future__ import annotations

import numpy as np
import pytest

from llmseq.errors import ConfigError, ShapeError
from llmseq.models.hybrid.fuse import FusionConfig
from llmseq.testing.lists import held_out_of, lists_of

ALL = np.arange(4)


def choose(lists, targets, *, rows=None, metric="ndcg@20", **settings):
    truth = held_out_of(targets)
    chooser = FusionConfig(**settings).chooser(lists, truth, metric=metric)
    return chooser(np.arange(len(targets)) if rows is None else rows)


def test_reciprocal_ranks_add_up():
    lists = {"a": lists_of([[4, 2]]), "b": lists_of([[2, 7]])}
    fused = FusionConfig(c=1).fused(lists, 4)
    assert fused.items.tolist() == [[2, 4, 7, -1]]
    assert fused.scores[0, :3] == pytest.approx([1 / 3 + 1 / 2, 1 / 2, 1 / 3])


def test_z_scores_add_up():
    lists = {"a": lists_of([[4, 2]]), "b": lists_of([[2, 7]])}
    fused = FusionConfig(method="zscore", weights={"b": 2.0}).fused(lists, 4)
    assert fused.items.tolist() == [[2, 4, 7, -1]]  # 2: −1 + 2; 4: 1 − 2; 7: −1 − 2
    assert fused.scores[0, :3].tolist() == [1, -1, -3]


def test_weights_go_by_name_and_default_to_one():
    config = FusionConfig(c=1, weights={"b": 3.0})
    fused = config.fused({"a": lists_of([[4, 2]]), "b": lists_of([[2, 7]])}, 1)
    assert fused.scores[0, 0] == pytest.approx(1 / 3 + 3 / 2)


def test_places_beyond_the_list_length_do_not_count():
    lists = {"a": lists_of([[4, 2, 9]]), "b": lists_of([[9, 1, 2]])}
    assert FusionConfig(list_length=2).fused(lists, 5).items.tolist() == [[4, 9, 1, 2, -1]]


def test_wrong_fusions_are_refused():
    one = lists_of([[1]])
    with pytest.raises(ConfigError, match="at least one member"):
        FusionConfig().fused({}, 5)
    with pytest.raises(ConfigError, match='weights name "typo", but the members are a'):
        FusionConfig(weights={"typo": 1.0}).fused({"a": one}, 5)
    with pytest.raises(ConfigError, match="fusion is made of v-sknn, but lists are given of a"):
        FusionConfig(members=("v-sknn",)).fused({"a": one}, 5)
    with pytest.raises(ShapeError, match="different numbers of sessions"):
        FusionConfig().fused({"a": one, "b": lists_of([[1], [2]])}, 5)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"weights": {"a": -1}}, r"weights\.a = -1"),
        ({"n_members": 0}, "n_members = 0"),
        ({"method": "borda"}, "method = 'borda'"),
        ({"members": []}, "members = "),
        ({"members": ["v-sknn", "v-sknn"]}, "a member is named twice"),
        ({"members": ["nobody"]}, 'unknown model "nobody"'),
        ({"members": ["fusion"]}, "which is a hybrid itself"),
        ({"members": ["v-sknn"], "weights": {"sknn": 1}}, 'weights name "sknn"'),
    ],
)
def test_wrong_settings_are_refused(settings, says):
    with pytest.raises(ConfigError, match=says):
        FusionConfig.make(settings, what="fusion")


LISTS = {
    "popularity": lists_of([[30, 31]] * 4),
    "v-sknn": lists_of([[1], [2], [9], [9]], k=2),
    "sasrec": lists_of([[8], [2], [3], [4]], k=2),
}
TARGETS = [[1], [2], [3], [4]]


def test_the_best_combination_of_the_asked_size_is_chosen():
    assert choose(LISTS, TARGETS, n_members=1).members == ("sasrec",)
    assert choose(LISTS, TARGETS, n_members=2).members == ("v-sknn", "sasrec")
    assert choose(LISTS, TARGETS, n_members=9).members == tuple(LISTS)


def test_only_the_given_sessions_are_looked_at():
    assert choose(LISTS, TARGETS, n_members=1, rows=np.array([0])).members == ("v-sknn",)


def test_named_members_are_no_choice():
    config = FusionConfig(members=("popularity", "v-sknn", "sasrec"))
    assert config.chooser(LISTS, held_out_of(TARGETS), metric="ndcg@20")(ALL) == config


def test_fitted_weights_favour_who_is_right():
    lists = {"v-sknn": lists_of([[1, 5]] * 4), "sasrec": lists_of([[5, 1]] * 4)}
    fitted = choose(lists, [[5]] * 4, n_members=2, weighting="fitted")
    assert fitted.weights is not None
    assert fitted.weights["sasrec"] > fitted.weights["v-sknn"] > 0
    equal = choose(lists, [[5]] * 4, n_members=2)
    assert equal.weights is None


def test_weights_stay_equal_where_nothing_is_gained():
    same = lists_of([[1], [2]])
    fitted = choose({"v-sknn": same, "sasrec": same}, [[1], [2]], n_members=2, weighting="fitted")
    assert fitted.weights == {"v-sknn": 1.0, "sasrec": 1.0}


def test_a_chosen_fusion_survives_toml():
    chosen = choose(LISTS, TARGETS, n_members=2, weighting="fitted")
    assert FusionConfig.from_toml(chosen.to_toml()) == chosen


def test_without_one_member():
    config = FusionConfig(members=("v-sknn", "sasrec"), weights={"sasrec": 2.0})
    assert config.without("v-sknn") == FusionConfig(members=("sasrec",), weights={"sasrec": 2.0})
    left = config.without("sasrec")
    assert left == FusionConfig(members=("v-sknn",))
    assert left.without("v-sknn") is None
