from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmseq.errors import ConfigError
from llmseq.models.catalog import MODELS
from llmseq.tuning.points import Searched
from llmseq.tuning.space import Space, read_space, shipped_space

SHIPPED = [name for name in MODELS if shipped_space(name) is not None]
NOTHING_TO_SEARCH = {"popularity", "session-popularity"}


def space(**parameters: dict[str, Any]) -> Space:
    return Space.make({"parameters": parameters}, what="space")


def test_every_model_with_settings_has_a_space() -> None:
    expected = {
        name
        for name in MODELS
        if MODELS[name].family not in {"prompt", "hybrid"} and name not in NOTHING_TO_SEARCH
    }
    assert set(SHIPPED) == expected
    assert shipped_space("popularity") is None


def test_no_file_without_a_model() -> None:
    import llmseq.tuning

    [home] = llmseq.tuning.__path__
    assert {file.stem for file in (Path(home) / "spaces").iterdir()} == set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_spaces_fit_their_models(name: str) -> None:
    found = shipped_space(name)
    assert found is not None
    assert Space.from_toml(found.to_toml()) == found
    Searched(name, found).check()


@pytest.mark.parametrize("name", SHIPPED)
def test_the_best_known_point_is_the_model_as_registered(name: str) -> None:
    """No shipped range leaves out what the registry has: the search starts from it, unchanged."""
    found = shipped_space(name)
    assert found is not None
    usual = MODELS[name].make_config(what=name)
    if "embedding_dim" in found.parameters:  # left out means 128
        usual = usual.replace(embedding_dim=128)
    searched = Searched(name, found)
    assert searched.config(searched.first()) == usual


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("sasrec", {"learning_rate": 0.0048, "weight_decay": 0.0962, "batch_size": 32}),
        ("sasrec", {"embedding_dim": 48, "dropout": 0.25, "n_blocks": 4, "clip_norm": 92.0}),
        ("bert4rec", {"mask_prob": 0.9, "n_heads": 4, "dropout": 0.45, "embedding_dim": 192}),
        ("llm2bert4rec", {"mask_prob": 0.05, "reduction.method": "random", "embedding_dim": 512}),
        ("gru4rec", {"hidden_dim": 496, "embedding_dim": 464, "clip_norm": None}),
        ("sknn", {"k": 500, "sample_size": 1410, "sampling": "recent", "similarity": "cosine"}),
        ("sf-sknn", {"k": 290, "sample_size": 560, "idf_weighting": False, "backward": 1.0}),
        ("sknnemb", {"k": 60, "sample_size": 1370, "reduction.dim": 512, "similarity": "dot"}),
        ("llmseqsim", {"reduction.dim": 512, "pooling": "harmonic", "reduction.method": "pca"}),
    ],
)
def test_published_settings_lie_in_the_space(name: str, values: dict[str, Any]) -> None:
    found = shipped_space(name)
    assert found is not None
    for key, value in values.items():
        assert found.parameters[key].nearest(value) == value


def test_parameters_have_types(tmp_path: Path) -> None:
    text = """
    [parameters]
    dropout = { type = "float", low = 0.1, high = 0.7, step = 0.25 }
    learning_rate = { type = "float", low = 1e-4, high = 1e-2, log = true }
    clip_norm = { type = "float", low = 1, high = 100, optional = true }
    n_heads = { type = "categorical", choices = [1, 2] }
    reduction.dim = { type = "int", low = 8, high = 31, step = 8 }
    window = { type = "int", low = 1, high = 50, log = true }
    """
    (tmp_path / "space.toml").write_text(text)
    found = read_space(tmp_path / "space.toml")
    assert Space.from_toml(found.to_toml()) == found
    rng = np.random.default_rng(0)
    drawn = [found.draw(rng) for _ in range(2000)]
    values = {name: {point[name] for point in drawn} for name in found.parameters}
    assert values["dropout"] == {0.1, 0.35, 0.6}  # .85 is beyond the end
    assert values["reduction.dim"] == {8, 16, 24}
    assert values["n_heads"] == {1, 2}
    assert values["window"] == set(range(1, 51))
    rates = np.array([point["learning_rate"] for point in drawn])
    assert 1e-4 <= rates.min() <= rates.max() <= 1e-2
    assert 0.45 < (rates < 1e-3).mean() < 0.55  # half of a logarithmic range
    left_out = [point["clip_norm"] is None for point in drawn]
    assert 0.45 < np.mean(left_out) < 0.55
    ends = {name: one.ends() for name, one in found.parameters.items()}
    assert ends["dropout"] == (0.1, 0.6)
    assert ends["clip_norm"] == (1.0, 100.0, None)


def test_points_survive_optuna() -> None:
    found = space(
        clip_norm={"type": "float", "low": 1, "high": 100, "optional": True},
        k={"type": "int", "low": 1, "high": 9},
        reduction={"type": "categorical", "choices": [{"method": "none"}, {"method": "pca"}]},
        dropout={"type": "float", "low": 0.0, "high": 0.9, "step": 0.05},
    )
    for clip_norm in (None, 5.0):
        point = {"clip_norm": clip_norm, "k": 3, "reduction": {"method": "pca"}, "dropout": 0.7}
        params = found.params(point)
        assert set(params) == {"clip_norm", "clip_norm: left out", "k", "reduction", "dropout"}
        assert found.point(params) == point
        assert found.point({**params, "dropout": 14 * 0.05}) == point  # as Optuna adds steps up


@pytest.mark.parametrize(
    ("parameter", "says"),
    [
        ({"type": "float", "low": 2, "high": 1}, "must not exceed high"),
        ({"type": "float", "low": 0, "high": 1, "log": True}, "log needs a low above 0"),
        ({"type": "int", "low": 1, "high": 9, "step": 0}, "step \\(0\\) must be above 0"),
        ({"type": "int", "low": 1, "high": 9, "step": 4, "first": 4}, "first \\(4\\) is none"),
        ({"type": "categorical", "choices": [1, 1]}, "a choice is named twice"),
        ({"type": "categorical", "choices": []}, "choices"),
        ({"type": "normal", "low": 1}, "parameters.k"),
        ({"type": "int", "low": 1, "hihg": 2}, "hihg"),
        (3, "parameters.k"),
    ],
)
def test_wrong_parameters(parameter: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        space(k=parameter)


def test_an_empty_space_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="space"):
        space()
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such file"):
        read_space(tmp_path / "nowhere.toml")
    (tmp_path / "space.toml").write_text("[parameters")
    with pytest.raises(ConfigError, match="not valid TOML"):
        read_space(tmp_path / "space.toml")


def test_what_is_set_is_not_searched() -> None:
    found = shipped_space("llmseqsim")
    assert found is not None
    less = found.without(["reduction", "pooling"])
    assert less is not None
    assert set(less.parameters) == {"similarity", "popularity_weight"}
    assert found.without(list(found.parameters)) is None


def test_every_point_of_a_small_space() -> None:
    found = space(
        dropout={"type": "float", "low": 0.0, "high": 0.5, "step": 0.25},
        k={"type": "int", "low": 1, "high": 2, "optional": True},
    )
    points = found.points()
    assert points is not None
    assert {(point["dropout"], point["k"]) for point in points} == {
        (dropout, k) for dropout in (0.0, 0.25, 0.5) for k in (1, 2, None)
    }
    assert len(points) == 9
    assert found.points(most=8) is None
    assert space(x={"type": "float", "low": 0, "high": 1}).points() is None


def test_values_up_to_a_number() -> None:
    found = space(
        d={"type": "int", "low": 16, "high": 512, "step": 16, "first": 128},
        w={"type": "categorical", "choices": [32, 64, 96]},
    )
    width, choice = found.parameters["d"], found.parameters["w"]
    narrowed = width.up_to(100)
    assert narrowed is not None
    assert (narrowed.ends(), narrowed.nearest(None)) == ((16, 96), 48)
    assert width.up_to(512) is width
    assert width.up_to(15) is None
    kept = choice.up_to(64)
    assert kept is not None
    assert kept.ends() == (32, 64)


class TestSearched:
    def test_a_point_becomes_settings(self) -> None:
        found = space(
            **{
                "reduction.dim": {"type": "int", "low": 64, "high": 128},
                "popularity_weight": {"type": "float", "low": 0, "high": 1},
            }
        )
        searched = Searched("llmseqsim", found, {"pooling": "log"})
        point = {"reduction.dim": 100, "popularity_weight": 0.5}
        made = searched.config(point).to_dict()
        assert made["reduction"] == {
            "method": "pca_whiten",
            "dim": 100,
            "unit_length": True,
            "seed": 0,
        }
        assert (made["pooling"], made["popularity_weight"]) == ("log", 0.5)
        again = MODELS["llmseqsim"].make_config(searched.settings_at(point), what="again")
        assert again.to_dict() == made
        assert searched.settings == {"pooling": "log"}  # nothing is changed in place

    def test_left_out_is_left_out(self) -> None:
        found = space(last_n={"type": "int", "low": 1, "high": 9, "optional": True})
        searched = Searched("sknn", found, {"last_n": 4})
        assert searched.first() == {"last_n": 4}
        assert "last_n" not in searched.settings_at({"last_n": None})

    def test_an_own_setting_outside_comes_into_the_space(self) -> None:
        found = space(
            k={"type": "int", "low": 100, "high": 150},
            sampling={"type": "categorical", "choices": ["random", "recent"]},
            half_life_days={"type": "float", "low": 1, "high": 100, "log": True},
        )
        first = Searched("v-sknn", found).first()
        assert first == {"k": 150, "sampling": "random", "half_life_days": pytest.approx(10)}

    @pytest.mark.parametrize(
        ("name", "parameters", "says"),
        [
            (
                "sasrec",
                {"dropuot": {"type": "float", "low": 0, "high": 0.5}},
                'space of sasrec: unknown setting "dropuot"',
            ),
            (
                "llmseqsim",
                {"reduction.dmi": {"type": "int", "low": 8, "high": 16}},
                "reduction.dmi",
            ),
            (
                "sasrec",
                {"dropout": {"type": "float", "low": 0, "high": 1}},
                r"dropout = 1.0: .*\(at dropout 1.0\)",
            ),
            (
                "sasrec",
                {"block": {"type": "categorical", "choices": ["pre_norm", "postnorm"]}},
                "at block postnorm",
            ),
            (
                "v-sknn",  # refused only where both ends meet
                {
                    "k": {"type": "int", "low": 10, "high": 500},
                    "sample_size": {"type": "int", "low": 100, "high": 2000},
                },
                r"k \(\d+\) must not exceed sample_size",
            ),
            (
                "sasrec",  # refused only between the ends: not every width splits into two heads
                {"embedding_dim": {"type": "int", "low": 16, "high": 64}},
                "the heads must divide embedding_dim",
            ),
            (
                "llmseqsim",  # a default that is not None comes back when it is left out
                {"popularity_weight": {"type": "float", "low": 0, "high": 1, "optional": True}},
                "left out it is 0.01",
            ),
        ],
    )
    def test_a_space_that_does_not_fit(
        self, name: str, parameters: dict[str, Any], says: str
    ) -> None:
        with pytest.raises(ConfigError, match=says):
            Searched(name, space(**parameters)).check()

    def test_what_needs_times_can_be_left_out(self) -> None:
        found = space(
            sampling={"type": "categorical", "choices": ["random", "recent"]},
            half_life_days={"type": "float", "low": 1, "high": 9, "optional": True},
            k={"type": "int", "low": 1, "high": 9},
        )
        searched = Searched("sknn", found)
        assert searched.needs_times() == {"sampling": ["recent"], "half_life_days": [1.0, 9.0]}
        less = searched.without_times()
        assert less is not None
        assert less.parameters["sampling"].ends() == ("random",)
        assert set(less.parameters) == {"sampling", "k"}
        assert Searched("sknn", less).needs_times() == {}
