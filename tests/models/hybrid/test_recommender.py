from __future__ import annotations

import numpy as np
import pytest

from llmseq.data.sessions import Sessions
from llmseq.embeddings.matrix import ItemEmbeddings
from llmseq.errors import ArtifactError, ConfigError, NotFittedError, ShapeError
from llmseq.models.hybrid.ensemble import EnsembleConfig
from llmseq.models.hybrid.filter import FilterConfig
from llmseq.models.hybrid.fuse import FusionConfig
from llmseq.models.hybrid.recommender import HybridRecommender
from llmseq.models.hybrid.switch import SwitchConfig
from llmseq.models.persistence import load_recommender
from llmseq.models.popularity import PopularityRecommender
from llmseq.models.session_knn import SessionKnnRecommender
from llmseq.testing.worlds import log_of

PROMPTS = Sessions.from_lists([[0], [4], []])
SWITCH = SwitchConfig.make({"sequential": "v-sknn", "similarity": "popularity"}, what="switch")


def rng():
    return np.random.default_rng(0)


def vectors_of(n_items):
    rows = np.random.default_rng(1).normal(size=(n_items, 3)).astype(np.float32)
    return {"text": ItemEmbeddings(rows, {"encoder": "test"})}


def switched(members):
    return {"sequential": members["v-sknn"], "similarity": members["popularity"]}


def test_recommending_combines_the_members_lists(train, members):
    model = HybridRecommender(FusionConfig(), members).fit(train, rng=rng())
    lists = {name: member.recommend(PROMPTS, 100) for name, member in members.items()}
    wanted = FusionConfig().fused(lists, 3)
    assert model.recommend(PROMPTS, 3).items.tolist() == wanted.items.tolist()


def test_a_switch_asks_who_knows_the_last_item(train, members):
    model = HybridRecommender(SWITCH.replace(quantile=1.0), switched(members))
    made = model.fit(train, rng=rng()).recommend(PROMPTS, 3)
    assert made.items[0].tolist() == members["v-sknn"].recommend(PROMPTS, 3).items[0].tolist()
    for row in (1, 2):
        popular = members["popularity"].recommend(PROMPTS, 3).items[row]
        assert made.items[row].tolist() == popular.tolist()


def test_prompts_that_no_member_knows_get_empty_lists(train):
    neighbours = SessionKnnRecommender().fit(train, rng=rng())
    unknown = Sessions.from_lists([[6], [6, 6]])  # 6 is in no session
    for config, roles in (
        (FusionConfig(), ("v-sknn", "sknn")),
        (EnsembleConfig(), ("first", "second")),
        (SWITCH, ("sequential", "similarity")),
        (FilterConfig(diversity_quantile=0.9), ("member",)),
    ):
        model = HybridRecommender(config, dict.fromkeys(roles, neighbours))
        model.fit(train, embeddings=vectors_of(7), rng=rng())
        assert (model.recommend(unknown, 4).items == -1).all()


def test_what_is_not_fitted_says_so(train, members):
    new = HybridRecommender(SWITCH, switched(members))
    with pytest.raises(NotFittedError, match="sim-sequential is not fitted"):
        new.recommend(PROMPTS, 3)
    unfitted = HybridRecommender(FusionConfig(), {**members, "new": PopularityRecommender()})
    with pytest.raises(NotFittedError, match="not fitted"):
        unfitted.fit(train, rng=rng())


def test_members_must_fit_the_settings(train, members):
    with pytest.raises(ConfigError, match="at least one member"):
        HybridRecommender(FusionConfig(), {})
    with pytest.raises(ConfigError, match="made of sequential, similarity, got popularity, v-sknn"):
        HybridRecommender(SWITCH, members)
    inner = HybridRecommender(FusionConfig(), members).fit(train, rng=rng())
    with pytest.raises(ConfigError, match='the member "member" is a hybrid itself'):
        HybridRecommender(FilterConfig(), {"member": inner})


def test_members_and_vectors_of_another_catalogue_are_found_by_fit(train, members):
    with pytest.raises(ShapeError, match="candidates"):
        HybridRecommender(FusionConfig(), members).fit(log_of([[0, 1]], 9), rng=rng())
    diverse = HybridRecommender(
        FilterConfig(diversity_quantile=0.5), {"member": members["popularity"]}
    )
    with pytest.raises(ShapeError, match="9 rows, but the catalogue has 7 items"):
        diverse.fit(train, embeddings=vectors_of(9), rng=rng())
    with pytest.raises(ConfigError, match="diversity_quantile needs text vectors"):
        diverse.fit(train, rng=rng())


def test_members_are_saved_in_folders_of_their_own(train, members, tmp_path):
    config = FusionConfig(weights={"v-sknn": 2.0})
    HybridRecommender(config, members).fit(train, rng=rng()).save(tmp_path / "m")
    assert {p.name for p in (tmp_path / "m" / "members").iterdir()} == {"popularity", "v-sknn"}
    read = load_recommender(tmp_path / "m")
    assert isinstance(read, HybridRecommender)
    assert list(read.members) == ["popularity", "v-sknn"]
    assert read.config == config


def test_a_diverse_filter_is_the_same_after_loading(train, members, tmp_path):
    config = FilterConfig(popularity_quantile=0.3, diversity_quantile=0.6)
    model = HybridRecommender(config, {"member": members["popularity"]})
    model.fit(train, embeddings=vectors_of(7), rng=rng()).save(tmp_path / "m")
    read = load_recommender(tmp_path / "m").recommend(PROMPTS, 5)
    assert read.items.tolist() == model.recommend(PROMPTS, 5).items.tolist()
    assert (read.items[0] >= 0).sum() < 5  # something was skipped


def test_a_folder_of_another_kind_is_refused(members, tmp_path):
    members["popularity"].save(tmp_path / "m")
    with pytest.raises(ArtifactError, match='holds a "popularity", which is no hybrid'):
        HybridRecommender.load(tmp_path / "m")


def test_a_members_name_cannot_leave_the_folder(train, members, tmp_path):
    model = HybridRecommender(FusionConfig(), {"../../outside": members["popularity"]})
    with pytest.raises(ArtifactError, match="a member's name must"):
        model.fit(train, rng=rng()).save(tmp_path / "m")
    assert not any(tmp_path.iterdir())
