from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmseq.errors import ConfigError
from llmseq.experiment.notes import about_times
from llmseq.experiment.presets import PRESETS, make_spec
from llmseq.experiment.run import check_extras
from llmseq.experiment.spec import CompareSpec, ModelSpec
from llmseq.models.catalog import MODELS

if TYPE_CHECKING:
    from llmseq.data.dataset import SessionDataset

EVERY = {name for name in MODELS if MODELS[name].family != "prompt"}
"""What a preset can name: a prompt model has to be told its base model."""


def spec(*names: str, **changes: Any) -> CompareSpec:
    models = tuple(ModelSpec(name=name) for name in names or ("popularity", "v-sknn"))
    return CompareSpec(dataset="shop", fingerprint="0", models=models, **changes)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_survive_toml(shop: SessionDataset, preset: str) -> None:
    made = make_spec(shop, Path("shop"), preset=preset)
    assert CompareSpec.from_toml(made.to_toml()) == made


def test_thorough_has_every_model_and_quick_leaves_slow_ones_out(shop: SessionDataset) -> None:
    thorough, quick = (
        {model.name for model in make_spec(shop, Path("shop"), preset=preset).models}
        for preset in ("thorough", "quick")
    )
    assert thorough == EVERY
    slow = {name for name in EVERY if not MODELS[name].quick}
    assert {"bert4rec", "gru4rec", "llm2bert4rec", "llm2gru4rec"} < slow
    assert quick == thorough - slow


def test_strong_has_the_neural_models_with_our_settings(shop: SessionDataset) -> None:
    strong = {model.name: model for model in make_spec(shop, Path("s"), preset="strong").models}
    assert {MODELS[name].family for name in strong} == {"sequential"}
    [own] = strong["bert4rec"].configs()
    assert own.to_dict()["head"] == "dot"


@pytest.fixture
def untimed(shop: SessionDataset) -> SessionDataset:
    return replace(shop, sessions=replace(shop.sessions, times=None))


def test_without_times_a_preset_goes_on_and_says_so(untimed: SessionDataset) -> None:
    thorough = {model.name for model in make_spec(untimed, Path("shop"), preset="thorough").models}
    assert thorough == EVERY - {"recent-popularity"}
    assert list(about_times(untimed, "thorough")) == [
        "recent-popularity is left out: it needs session times, and this log has none"
    ]


def test_a_file_that_asks_a_log_without_times_for_them_is_an_error(
    untimed: SessionDataset, tmp_path: Path
) -> None:
    asked = spec("sknn").replace(models=[{"name": "sknn", "settings": {"sampling": "recent"}}])
    (tmp_path / "own.toml").write_text(asked.to_toml())
    with pytest.raises(ConfigError, match="needs session times"):
        make_spec(untimed, Path("shop"), preset=str(tmp_path / "own.toml"))


def test_with_times_nothing_is_said(shop: SessionDataset) -> None:
    assert list(about_times(shop, "thorough")) == []


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("recent-popularity", {}, "recent-popularity: window_days needs session times"),
        ("sknn", {"sampling": "recent"}, 'sampling = "recent" needs session times'),
        ("v-sknn", {"half_life_days": 3.0}, "half_life_days needs session times"),
        ("sknnemb", {"newest_per_item": 9}, "newest_per_item needs session times"),
    ],
)
def test_asking_a_log_without_times_for_them_is_an_error(
    untimed: SessionDataset, name: str, settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        make_spec(untimed, Path("shop"), models=[name], settings={name: settings})


def test_thorough_tunes_neural_models_alike(shop: SessionDataset) -> None:
    made = make_spec(shop, Path("shop"), preset="thorough")
    spaces = {model.name: model.space for model in made.models}
    plain, with_text = spaces["sasrec"], spaces["llm2sasrec"]
    assert plain is not None
    assert with_text is not None
    assert plain.parameters.items() < with_text.parameters.items()
    assert made.n_seeds == 3


def test_a_preset_file_gives_the_spec_of_an_earlier_run(
    shop: SessionDataset, tmp_path: Path
) -> None:
    earlier = make_spec(shop, Path("other"), models=["v-sknn"], seed=5, ks=[3], encoder="tfidf")
    (tmp_path / "spec.toml").write_text(earlier.to_toml())
    again = make_spec(shop, Path("shop"), preset=str(tmp_path / "spec.toml"), n_seeds=2)
    assert again == earlier.replace(dataset="shop", n_seeds=2)


def test_settings_leave_the_grid_and_keep_their_neighbours(shop: SessionDataset) -> None:
    made = make_spec(
        shop,
        Path("shop"),
        models=["llmseqsim"],
        encoder="tfidf",
        settings={"llmseqsim": {"reduction": {"dim": 16}}},
    )
    [model] = made.models
    assert "reduction" not in model.grid
    assert all(config.to_dict()["reduction"]["dim"] == 16 for config in model.configs())
    assert {config.to_dict()["reduction"]["method"] for config in model.configs()} == {"pca_whiten"}


def test_points_of_a_grid() -> None:
    model = ModelSpec(name="v-sknn", settings={"k": 7}, grid={"sample_size": [1, 2], "seed": [3]})
    assert list(model.points()) == [
        {"k": 7, "sample_size": 1, "seed": 3},
        {"k": 7, "sample_size": 2, "seed": 3},
    ]


def test_without_an_encoder_only_models_without_text_take_part(shop: SessionDataset) -> None:
    made = make_spec(shop, Path("shop"), encoder="none")
    assert not any(model.entry.uses_text for model in made.models)
    assert "fusion-no-text" in [model.name for model in made.models]


def test_small_logs_get_more_steps_and_the_user_has_the_last_word(shop: SessionDataset) -> None:
    names = ["sasrec", "llm2sasrec"]
    made = make_spec(shop, Path("shop"), models=names, settings={"sasrec": {"batch_size": 100}})
    first, second = (model.settings for model in made.models)
    assert (first["batch_size"], second["batch_size"]) == (100, 16)
    assert first["patience"] == second["patience"] > 4
    assert first["n_epochs"] == second["n_epochs"] > 30
    assert first["dropout"] == second["dropout"] == 0.3


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"models": ["sasrek"]}, 'unknown model "sasrek"; did you mean "sasrec"?'),
        ({"models": ["v-sknn", "v-sknn"]}, '"v-sknn" is named twice'),
        ({"preset": "slow"}, 'unknown preset "slow". Choose from: quick, thorough'),
        ({"preset": "none.toml"}, "none.toml: no such file"),
        ({"encoder": "minilmm"}, 'unknown encoder "minilmm"'),
        ({"encoder": "none", "models": ["llmseqsim"]}, "llmseqsim need text vectors"),
        ({"models": ["popularity", "fusion"]}, "fusion is made of at least two"),
        ({"models": ["popularity", "sim-popularity"]}, "takes llmseqsim as its member"),
        (
            {"models": ["llmseqsim", "v-sknn", "sim-sequential"]},
            "sim-sequential takes llm2sasrec as its sequential",
        ),
        (
            {
                "models": ["popularity", "v-sknn", "llmseqsim", "fusion-no-text"],
                "settings": {"fusion-no-text": {"members": ["v-sknn", "llmseqsim"]}},
            },
            "fusion-no-text takes llmseqsim as its llmseqsim",
        ),
        (
            {
                "models": ["popularity", "v-sknn", "fusion"],
                "settings": {"fusion": {"members": ["v-sknn"]}},
            },
            "fusion is made of at least two",
        ),
        (
            {
                "models": ["llmseqsim", "sim-popularity"],
                "settings": {"sim-popularity": {"popularity_quantile": 1.5}},
            },
            "popularity_quantile = 1.5",
        ),
        ({"ks": [0]}, "k must be at least 1, got 0"),
        ({"ks": [5, 5]}, "named twice"),
        ({"primary": "ndgc@20"}, 'unknown primary metric "ndgc@20"; choose from ndcg@20'),
        ({"primary": "ndcg@7"}, "not among k = 10, 20"),
        ({"baseline": "popularity", "models": ["v-sknn"]}, 'baseline "popularity" is not among'),
        ({"settings": {"v-sknn": {"kk": 3}}}, 'model v-sknn: unknown setting "kk"'),
        ({"settings": {"v-sknn": 3}}, '"v-sknn" is a model: say which of its settings'),
        ({"settings": {"nobody": {}}}, 'a setting for "nobody", which is not compared'),
        ({"n_seeds": 0}, "n_seeds = 0"),
        ({"refit": True, "score": "validation"}, "refit"),
        ({"split": {"test_share": 2}}, "split.test_share = 2"),
    ],
)
def test_wrong_choices_are_refused_before_anything_runs(
    shop: SessionDataset, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError) as error:
        make_spec(shop, Path("shop"), **changes)
    assert says in str(error.value)


def test_lists_are_long_enough_for_cut_offs_and_fusion() -> None:
    assert spec().list_length == 100
    assert spec(ks=(20, 300)).list_length == 300
    long = ModelSpec(name="fusion", settings={"list_length": 150})
    singles = (ModelSpec(name="popularity"), ModelSpec(name="v-sknn"))
    made = CompareSpec(dataset="shop", fingerprint="0", models=(*singles, long))
    assert made.list_length == 150


def test_members_without_text_for_fusion_without_text() -> None:
    made = spec("popularity", "v-sknn", "llmseqsim", "fusion-no-text", "fusion")
    without, everything = made.hybrids
    assert [model.name for model in made.members_of(without)] == ["popularity", "v-sknn"]
    assert len(made.members_of(everything)) == 3


def test_grids_of_hybrids_keep_to_the_compared_models(shop: SessionDataset) -> None:
    models = ["llmseqsim", "llm2bert4rec", "sim-sequential"]
    *_, hybrid = make_spec(shop, Path("shop"), models=models).models
    assert hybrid.grid["sequential"] == ["llm2bert4rec"]
    assert hybrid.grid["quantile"] == [0.25, 0.5, 0.75]
    whole = make_spec(shop, Path("shop"), preset="thorough").models
    [hybrid] = [model for model in whole if model.name == "sim-sequential"]
    assert hybrid.grid["sequential"] == ["llm2sasrec", "llm2bert4rec"]


def test_presets_have_the_published_hybrids(shop: SessionDataset) -> None:
    names = {"embedding-ensemble", "sim-sequential", "sim-popularity"}
    quick, thorough = (
        {m.name for m in make_spec(shop, Path("shop"), preset=preset).models}
        for preset in ("quick", "thorough")
    )
    assert names < thorough
    assert not names & quick


def test_another_member_does_not_take_over_settings(shop: SessionDataset) -> None:
    made = make_spec(
        shop,
        Path("shop"),
        models=["llmseqsim", "v-sknn", "embedding-ensemble"],
        settings={"embedding-ensemble": {"first": {"model": "v-sknn"}, "head": {"places": 7}}},
    )
    [config] = made.models[-1].configs()
    assert config.to_dict()["first"] == "v-sknn"
    assert config.to_dict()["head"] == {"method": "rank", "places": 7, "score": 0.8}


def test_members_that_need_times_are_found_before_anything_runs(untimed: SessionDataset) -> None:
    member = {"model": "sknn", "settings": {"sampling": "recent"}}
    with pytest.raises(ConfigError, match="needs session times"):
        make_spec(
            untimed,
            Path("shop"),
            models=["llmseqsim", "sim-popularity"],
            settings={"sim-popularity": {"member": member}},
        )


def test_a_variant_sets_a_model_apart(shop: SessionDataset, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        "[[models]]\nname = 'sasrec'\n"
        "[[models]]\nname = 'sasrec'\nvariant = '5 % of sessions'\n"
        "share = 0.05\nagainst = 'sasrec'\n"
    )
    made = make_spec(shop, Path("shop"), preset=str(path))
    assert [model.name for model in made.models] == ["sasrec", "sasrec@5-of-sessions"]
    assert [model.label for model in made.models] == ["SASRec", "SASRec (5 % of sessions)"]
    assert made.models[1].encoder is None
    path.write_text(made.to_toml())
    assert make_spec(shop, Path("shop"), preset=str(path)) == made
    only = make_spec(shop, Path("shop"), preset=str(path), models=["sasrec"])
    assert [model.name for model in only.models] == ["sasrec"]
    share = make_spec(shop, Path("shop"), preset=str(path), models=["sasrec@5-of-sessions"])
    assert (share.models[0].share, share.models[0].against) == (0.05, None)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ({"name": "sasrec@b", "variant": "a"}, 'the variant "a" names it sasrec@a'),
        ({"name": "sasrec", "variant": "%"}, "cannot follow the @ of a model"),
        ({"name": "sasrec", "against": "popular"}, 'tested against "popular", which is not among'),
        ({"name": "sasrec", "against": "sasrec"}, 'tested against "sasrec"'),
        ({"name": "sasrec", "share": 0}, "share = 0"),
        ({"name": "sasrec", "prompts": "sorted"}, "prompts = 'sorted'"),
        ({"name": "fusion", "share": 0.5}, "give share, prompts and newest to its members"),
        ({"name": "sasrec", "share": 0.5, "refit": True}, "leave out refit"),
    ],
)
def test_wrong_variants_are_refused(model: dict[str, Any], says: str) -> None:
    others = [{"name": "popularity"}, {"name": "v-sknn"}]
    refit = model.pop("refit", False)
    values = {"dataset": "shop", "fingerprint": "0", "models": [*others, model], "refit": refit}
    with pytest.raises(ConfigError) as error:
        CompareSpec.make(values, what="comparison")
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('models = ["v-sknn"]', "models must be tables"),
        ('models = "v-sknn"', "models must be tables"),
        ('models = [{ name = "v-sknn", settings = 3 }]', "a model's settings must be a table"),
        ('models = [{ name = "v-sknn", grid = [1] }]', "a model's grid must be a table"),
        ('split = "temporal"', "split must be a table, got 'temporal'"),
        ("tuning = 5", "tuning must be a table, got 5"),
    ],
)
def test_a_file_whose_tables_are_none(
    shop: SessionDataset, tmp_path: Path, text: str, says: str
) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"own.toml: {says}"):
        make_spec(shop, Path("shop"), preset=str(path))


def test_a_device_that_is_not_there_is_refused_before_anything_runs(shop: SessionDataset) -> None:
    with pytest.raises(ConfigError, match='torch cannot use the device "gpu7"'):
        check_extras(make_spec(shop, Path("shop"), models=["sasrec"], device="gpu7"))
    check_extras(make_spec(shop, Path("shop"), models=["popularity"], device="gpu7"))
