"""One comparison with the text vectors of several encoders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from llmseq.data.folder import read_dataset
from llmseq.errors import ConfigError, MissingExtraError
from llmseq.experiment.presets import make_spec
from llmseq.experiment.spec import CompareSpec, ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmseq.data.dataset import SessionDataset
    from llmseq.experiment.run import Run

    Compare = Callable[..., Run]


def names(spec: CompareSpec) -> list[str]:
    return [model.name for model in spec.models]


@pytest.mark.parametrize(
    ("given", "name", "encoder", "label"),
    [
        ({"name": "llmseqsim"}, "llmseqsim", None, "LLMSeqSim"),
        ({"name": "llmseqsim@tfidf"}, "llmseqsim@tfidf", "tfidf", "LLMSeqSim (tfidf)"),
        (
            {"name": "llm2sasrec", "encoder": "hf:org/some-model-v1.5"},
            "llm2sasrec@some-model-v1-5",
            "hf:org/some-model-v1.5",
            "LLM2SASRec (some-model-v1-5)",
        ),
        (
            {"name": "llmseqsim@file:../shop/mine.v2.parquet"},
            "llmseqsim@mine",
            "file:../shop/mine.v2.parquet",
            "LLMSeqSim (mine)",
        ),
        (
            {"name": "llmseqsim@large", "encoder": "remote:text-3-large"},
            "llmseqsim@large",
            "remote:text-3-large",
            "LLMSeqSim (large)",
        ),
    ],
)
def test_names_of_models_with_vectors_of_their_own(given, name, encoder, label) -> None:
    model = ModelSpec(**given)
    assert (model.name, model.encoder, model.label) == (name, encoder, label)
    assert ModelSpec.from_toml(model.to_toml()) == model
    assert model.entry.label in label


def test_each_further_encoder_adds_one_more_llmseqsim(shop: SessionDataset) -> None:
    made = make_spec(shop, Path("shop"), encoder=["minilm", "tfidf", "hf:org/other"])
    one = make_spec(shop, Path("shop"), encoder="minilm")
    added = ["llmseqsim@tfidf", "llmseqsim@other"]
    assert set(names(made)) - set(names(one)) == set(added)
    place = names(made).index("llmseqsim")
    assert names(made)[place + 1 : place + 3] == added
    assert {made.model(name).grid["popularity_weight"][0] for name in ("llmseqsim", *added)} == {0}
    assert made.encoder == "minilm"
    assert made.encoders == ("minilm", "tfidf", "hf:org/other")
    assert CompareSpec.from_toml(made.to_toml()) == made


def test_a_model_may_name_its_encoder(shop: SessionDataset) -> None:
    made = make_spec(
        shop,
        Path("shop"),
        models=["v-sknn", "llm2sasrec@tfidf", "llmseqsim", "fusion"],
        encoder=["minilm", "tfidf"],
    )
    assert names(made) == ["v-sknn", "llm2sasrec@tfidf", "llmseqsim", "fusion"]
    assert made.encoders == ("minilm", "tfidf")
    taken = [made.encoder_of(model) for model in made.models]
    assert taken == ["", "tfidf", "minilm", ""]
    alone = make_spec(shop, Path("shop"), models=["v-sknn", "llmseqsim@tfidf"], encoder="none")
    assert alone.encoders == ("tfidf",)


def test_settings_of_a_model_are_those_of_all_its_vectors(shop: SessionDataset) -> None:
    made = make_spec(
        shop,
        Path("shop"),
        models=["llmseqsim"],
        encoder=["tfidf", "minilm"],
        settings={
            "llmseqsim": {"pooling": "last", "popularity_weight": 0.5},
            "llmseqsim@minilm": {"popularity_weight": 0.25},
        },
    )
    plain, other = (model.settings for model in made.models)
    assert plain == {"pooling": "last", "popularity_weight": 0.5}
    assert other == {"pooling": "last", "popularity_weight": 0.25}


def test_a_spec_file_may_say_the_encoder_of_any_model(shop: SessionDataset, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(
        'encoder = "minilm"\n[[models]]\nname = "llmseqsim"\n'
        '[[models]]\nname = "llmseqsim"\nencoder = "tfidf"\n[models.settings]\npooling = "last"\n'
    )
    made = make_spec(shop, Path("shop"), preset=str(tmp_path / "own.toml"))
    assert names(made) == ["llmseqsim", "llmseqsim@tfidf"]
    assert made.encoders == ("minilm", "tfidf")
    assert made.model("llmseqsim@tfidf").settings == {"pooling": "last"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"models": ["v-sknn@tfidf"]}, "v-sknn@tfidf: v-sknn takes no text vectors of its own"),
        ({"models": ["v-sknn", "llmseqsim", "fusion@tfidf"]}, "fusion takes no text vectors"),
        ({"models": ["llmseqsim@"]}, "cannot follow the @ of a model"),
        ({"models": ["llmseqsim@tfidff"]}, 'unknown encoder "tfidff"; did you mean "tfidf"'),
        ({"models": ["llmseqsin@tfidf"]}, 'unknown model "llmseqsin"; did you mean "llmseqsim"'),
        ({"models": ["llmseqsim@tfidf"] * 2}, '"llmseqsim@tfidf" is named twice'),
        (
            {"models": ["v-sknn", "llm2sasrec"], "encoder": ["minilm", "tfidf"]},
            'nothing takes the vectors of the further encoder "tfidf"; compare llmseqsim too',
        ),
        (
            {"encoder": ["minilm", "none"]},
            'nothing takes the vectors of the further encoder "none"',
        ),
        ({"encoder": ["minilm", "hf:a/x", "hf:b/x"]}, '"llmseqsim@x" is named twice'),
        (
            {"encoder": ["minilm", "tfidf"], "encoder_ids": "ids.txt"},
            'ids.txt goes with just one encoder "file:", got minilm, tfidf',
        ),
    ],
)
def test_wrong_choices_are_refused(shop: SessionDataset, changes: Any, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        make_spec(shop, Path("shop"), **changes)
    assert says in str(error.value)


@pytest.fixture
def vectors_file(shop_folder: Path, tmp_path: Path) -> Path:
    ids = read_dataset(shop_folder).catalogue.ids.tolist()
    vectors = np.random.default_rng(0).normal(size=(len(ids), 12)).tolist()
    pl.DataFrame({"item_id": ids, "vector": vectors}).write_parquet(tmp_path / "mine.parquet")
    return tmp_path / "mine.parquet"


def test_one_run_with_two_encoders(quick_compare: Compare, vectors_file: Path) -> None:
    alone = quick_compare(models=["v-sknn", "llmseqsim"])
    encoders = ["tfidf", f"file:{vectors_file}"]
    run = quick_compare(models=["v-sknn", "llmseqsim", "fusion"], encoder=encoders)
    labels = {model.name: model.label for model in run.leaderboard.models}
    assert labels["llmseqsim"] == "LLMSeqSim"
    assert labels["llmseqsim@mine"] == "LLMSeqSim (mine)"
    figures = [run.leaderboard[name].metrics["ndcg@20"] for name in ("llmseqsim", "llmseqsim@mine")]
    assert figures[0] == alone.leaderboard["llmseqsim"].metrics["ndcg@20"]
    assert figures[0] > figures[1] + 0.02  # the file holds noise
    details = json.loads((run.folder / "details.json").read_text())
    assert list(details["embeddings"]) == encoders
    assert "LLMSeqSim (mine)" in run.report_path.read_text()
    for name, encoder in zip(("llmseqsim", "llmseqsim@mine"), encoders, strict=True):
        saved = run.model(name)
        assert saved.provenance["encoder"] == encoder
        assert saved.recommender.origin["encoder"] == encoder
        assert (run.folder / "recommendations" / f"{name}.parquet").exists()
    lines = (run.folder / "log.jsonl").read_text().splitlines()
    started = [line["name"] for line in map(json.loads, lines) if line["event"] == "stage_started"]
    plain = [name for name in started if name.startswith("fit llmseqsim") and "@" not in name]
    assert len(plain) == len(set(plain)) == 9  # the grid, fitted by the first run alone


def test_a_fusion_may_hold_both_and_is_saved_with_them(
    quick_compare: Compare, vectors_file: Path
) -> None:
    run = quick_compare(models=["llmseqsim", "fusion"], encoder=["tfidf", f"file:{vectors_file}"])
    members = json.loads((run.folder / "details.json").read_text())["fusion_members"]["fusion"]
    assert set(members) <= {"llmseqsim", "llmseqsim@mine"}
    saved = run.model("fusion").recommender
    assert list(saved.members) == members  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("settings", "extra"),
    [({"reduction": {"method": "autoencoder"}}, "train"), ({"search": {"method": "hnsw"}}, "ann")],
)
def test_a_missing_extra_is_named_before_anything_runs(
    quick_compare: Compare,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    settings: Any,
    extra: str,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=rf"llmseqsim with .*llmseq\[{extra}\]"):
        quick_compare(models=["llmseqsim"], settings={"llmseqsim": settings})
    assert not (tmp_path / "run").exists()
