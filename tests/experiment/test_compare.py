from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from llmseq.data.catalogue import Catalogue
from llmseq.data.dataset import SessionDataset
from llmseq.data.folder import read_dataset, write_dataset
from llmseq.data.folder import test_scorings as scorings
from llmseq.data.sessions import Sessions
from llmseq.data.split import split_dataset
from llmseq.errors import ArtifactError, ConfigError, InvalidDataError, MissingExtraError
from llmseq.experiment.run import Run, compare
from llmseq.models.catalog import MODELS

if TYPE_CHECKING:
    from pathlib import Path

    from llmseq.experiment.progress import Update

Compare = Callable[..., Run] if TYPE_CHECKING else object


class Heard:
    def __init__(self) -> None:
        self.updates: list[Update] = []
        self.warnings: list[str] = []

    def update(self, update: Update) -> None:
        self.updates.append(update)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


QUICK = {name for name in MODELS if MODELS[name].quick}


def events(run: Run, event: str) -> list[str]:
    lines = (run.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [line["name"] for line in map(json.loads, lines) if line["event"] == event]


@pytest.fixture(scope="module")
def whole(shop: SessionDataset, tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Every model of the quick preset on the small shop."""
    folder = tmp_path_factory.mktemp("whole")
    write_dataset(shop, folder / "shop")
    return compare(
        folder / "shop", folder / "run", encoder="tfidf", settings=tiny, n_threads=1, k=[5, 20]
    )


def test_the_run_folder_is_complete(whole: Run) -> None:
    names = {path.name for path in whole.folder.iterdir()}
    assert names == {
        *("spec.toml", "leaderboard.json", "leaderboard.csv", "leaderboard.md", "details.json"),
        *("report.html", "recommendations", "models", "stages", "log.jsonl", ".lock"),
    }
    models = QUICK
    assert {path.name for path in (whole.folder / "models").iterdir()} == models | {"winner"}
    assert {path.stem for path in (whole.folder / "recommendations").iterdir()} == models


def test_the_leaderboard_has_the_agreed_schema(whole: Run) -> None:
    board = json.loads((whole.folder / "leaderboard.json").read_text())
    assert board["schema"] == 1
    assert {"dataset", "protocol", "environment", "verdict", "models"} <= set(board)
    assert board["protocol"]["primary"] == "ndcg@20"
    assert not MODELS[board["protocol"]["baseline"]].uses_text
    assert {"winner", "with_text", "without_text", "absolute", "p_value"} <= set(board["verdict"])
    assert board["environment"]["n_threads"] == 1
    for model in board["models"]:
        assert {"name", "label", "uses_text", "config", "validation", "metrics"} <= set(model)
        for metric in ("ndcg", "hr", "mrr", "coverage", "serendipity", "novelty", "diversity"):
            assert f"{metric}@5" in model["metrics"]
        assert model["interval"]["ndcg@20"][0] <= model["metrics"]["ndcg@20"]
        assert model["cost"]["fit_s"] >= 0
        assert model["cost"]["peak_memory_mib"] > 10
        trained = model["cost"]["epochs"] is not None
        assert (model["cost"]["best_epoch_s"] is not None) == trained
        assert not trained or 0 < model["cost"]["best_epoch_s"] <= model["cost"]["fit_s"]
    values = [model["metrics"]["ndcg@20"] for model in board["models"]]
    assert values == sorted(values, reverse=True)
    with (whole.folder / "leaderboard.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(board["models"]) == len(QUICK)


def test_figures_can_be_recomputed_from_the_recommendations(whole: Run) -> None:
    dataset = read_dataset(whole.leaderboard.dataset["path"])
    ids = dataset.catalogue.ids
    test = split_dataset(dataset).test
    for name in QUICK:
        table = pl.read_parquet(whole.folder / "recommendations" / f"{name}.parquet")
        assert table.columns == ["session_id", "rank", "item_id", "score"]
        lists = {key[0]: rows["item_id"].to_list() for key, rows in table.group_by("session_id")}
        total = 0.0
        for session, prompt, target in zip(
            test.prompts.ids, test.prompts.events, test.targets, strict=True
        ):
            listed = lists.get(session, [])
            assert not set(ids[prompt]) & set(listed)
            if ids[target[0]] in listed:
                total += 1 / math.log2(listed.index(ids[target[0]]) + 2)
        expected = whole.leaderboard[name].metrics["ndcg@20"]
        assert total / len(test) == pytest.approx(expected, abs=1e-9)


def test_settings_and_winner_are_chosen_on_validation(whole: Run) -> None:
    details = json.loads((whole.folder / "details.json").read_text())
    trials = details["grids"]["v-sknn"]
    best = max(trials, key=lambda trial: trial["validation"])
    chosen = whole.leaderboard["v-sknn"]
    assert chosen.validation["ndcg@20"] == pytest.approx(best["validation"])
    assert {key: chosen.config[key] for key in best["settings"]} == best["settings"]
    by_validation = max(whole.leaderboard.models, key=lambda m: m.validation["ndcg@20"])
    winner = whole.leaderboard[whole.verdict.winner]
    assert winner.validation["ndcg@20"] == by_validation.validation["ndcg@20"]


def test_saved_models_give_the_lists_that_were_scored(whole: Run) -> None:
    dataset = read_dataset(whole.leaderboard.dataset["path"])
    test = split_dataset(dataset).test
    candidates = split_dataset(dataset).test_candidates
    for name in ("fusion", "v-sknn", "llm2sasrec"):
        lists = whole.model(name).recommender.recommend(test.prompts, 20, candidates=candidates)
        table = pl.read_parquet(whole.folder / "recommendations" / f"{name}.parquet")
        assert table["item_id"].to_list() == [
            dataset.catalogue.ids[item] for row in lists.items for item in row if item >= 0
        ]


def test_the_winner_is_fitted_on_all_sessions(whole: Run) -> None:
    winner = whole.winner()
    assert winner.provenance["fitted_on"] == "all sessions"
    ids = [str(item) for item in winner.catalogue.ids[:2]]
    [listed] = winner.recommend([ids], k=5)
    assert len(listed) == 5
    assert not set(ids) & {item for item, _ in listed}


def test_details_hold_what_the_report_shows(whole: Run) -> None:
    details = json.loads((whole.folder / "details.json").read_text())
    assert details["schema"] == 1
    assert set(details["fusion_members"]) == {"fusion", "fusion-no-text"}
    assert {"llmseqsim", "llm2sasrec"}.isdisjoint(details["fusion_members"]["fusion-no-text"])
    for name, members in details["fusion_members"].items():
        traced = details["attribution"][name]
        assert [member["name"] for member in traced["members"]] == members
        assert traced["value"] == pytest.approx(whole.leaderboard[name].metrics["ndcg@20"])
        hits = whole.leaderboard[name].metrics["hr@20"] * whole.leaderboard.protocol.n_sessions
        assert traced["n_hits"] == round(hits)
        for member in traced["members"]:
            low, high = member["interval"]
            assert low <= member["adds"] <= high
        choice = details["choices"][name]
        chosen = whole.leaderboard[name].validation["ndcg@20"]
        assert choice["cross_fitted"] == pytest.approx(chosen)
    assert len(details["history"]["sasrec"]) <= 2
    assert details["embeddings"]["tfidf"]["encoder"] == "tfidf"
    for groups in details["breakdown"].values():
        assert sum(row["n_sessions"] for row in groups) == whole.leaderboard.protocol.n_sessions
        overall = sum(row["n_sessions"] * row["models"]["fusion"] for row in groups)
        overall /= sum(row["n_sessions"] for row in groups)
        assert overall == pytest.approx(whole.leaderboard["fusion"].metrics["ndcg@20"])
    hits = [
        any(place["hit"] for listed in sample["lists"].values() for place in listed)
        for sample in details["samples"]
    ]
    assert len(hits) == 8
    assert True in hits
    assert False in hits
    assert any(stage["name"].startswith("fit sasrec") for stage in details["stages"])
    assert "1 items have no text vector" in " ".join(details["warnings"])


def test_a_finished_run_is_only_written_again(quick_compare: Compare) -> None:
    first = quick_compare()
    before = events(first, "stage_started")
    heard = Heard()
    again = quick_compare(observer=heard)
    assert events(again, "stage_started") == before
    assert events(again, "stage_reused")
    assert again.leaderboard.models == first.leaderboard.models
    assert heard.updates[-1].share == 1.0
    assert heard.updates[-1].seconds_left == 0.0
    assert heard.updates[-1].finished == heard.updates[-1].total


def test_a_changed_spec_repeats_only_what_it_changes(quick_compare: Compare) -> None:
    first = quick_compare()
    before = events(first, "stage_started")
    again = quick_compare(seen="keep", models=["v-sknn", "popularity"])
    fresh = events(again, "stage_started")[len(before) :]
    assert fresh
    assert not [name for name in fresh if name.startswith("fit") and "all sessions" not in name]
    models = {path.name for path in (again.folder / "models").iterdir()}
    assert models == {"popularity", "v-sknn", "winner"}


def test_scoring_validation_never_touches_test(quick_compare: Compare, shop_folder: Path) -> None:
    run = quick_compare(score="validation", refit_winner=False)
    started = events(run, "stage_started")
    assert not [name for name in started if "test" in name]
    assert scorings(shop_folder) == []
    board = run.leaderboard
    assert board.protocol.scored_on == "validation"
    assert all(model.metrics == model.validation for model in board.models)
    assert not run.has_winner
    with pytest.raises(ArtifactError, match=r"use model\("):
        run.winner()


def test_each_scoring_of_test_is_counted_once(quick_compare: Compare, shop_folder: Path) -> None:
    run = quick_compare()
    quick_compare()
    assert len(scorings(shop_folder)) == 1
    quick_compare(seed=1)
    assert len(scorings(shop_folder)) == 2
    assert json.loads((run.folder / "details.json").read_text())["test_scorings"] == 2


def test_seeds_refits_and_their_spread(quick_compare: Compare, tiny: Any) -> None:
    run = quick_compare(
        models=["popularity", "v-sknn", "sasrec", "fusion-no-text"],
        settings={"sasrec": tiny["sasrec"]},
        n_seeds=2,
        refit=True,
        refit_winner=False,
    )
    board = run.leaderboard
    assert board["sasrec"].seeds.n == 2
    assert board["sasrec"].seeds.sd is not None
    assert board["sasrec"].seeds.sd > 0
    assert board["popularity"].seeds.sd == 0
    for model in board.models:
        assert model.refit.keys() == model.metrics.keys()
    assert board["v-sknn"].refit["ndcg@20"] != board["v-sknn"].metrics["ndcg@20"]
    assert board.verdict is not None
    assert board.verdict.with_text is None
    assert board.refit_verdict is None


def test_the_verdict_is_given_again_for_models_fitted_on_all_of_train(
    quick_compare: Compare,
) -> None:
    run = quick_compare(models=["v-sknn", "llmseqsim"], refit=True, refit_winner=False)
    board = run.leaderboard
    assert board.refit_verdict is not None
    with_text, without = board["llmseqsim"].refit, board["v-sknn"].refit
    difference = with_text["ndcg@20"] - without["ndcg@20"]
    assert board.refit_verdict.absolute == pytest.approx(difference)
    assert board.verdict is not None
    assert board.refit_verdict.absolute != board.verdict.absolute
    for page in (board.to_markdown(), run.report_path.read_text()):
        assert f"again on all of train: {board.refit_verdict.sentence[:30]}" in page


def test_cut_offs_beyond_the_catalogue_give_short_lists(quick_compare: Compare) -> None:
    heard = Heard()
    run = quick_compare(k=[5, 1000], observer=heard)
    assert [text for text in heard.warnings if "k = 1000 is above the" in text]
    table = pl.read_parquet(run.folder / "recommendations" / "popularity.parquet")
    assert table["rank"].max() < 120


HYBRIDS = ["embedding-ensemble", "sim-sequential", "sim-popularity"]


def test_hybrids_share_the_fits_of_their_members(quick_compare: Compare, shop_folder: Path) -> None:
    run = quick_compare(
        models=["v-sknn", "llmseqsim", *HYBRIDS],
        settings={
            "llmseqsim": {"reduction": {"method": "pca", "dim": 8}},
            "sim-sequential": {"sequential": "v-sknn"},
            "sim-popularity": {"diversity_quantile": 0.99},
        },
        refit=True,
    )
    fits = [name for name in events(run, "stage_started") if name.startswith("fit ")]
    assert len(fits) == len(set(fits))
    own = [name for name in fits if "reduction.method none" in name]
    assert len(own) == 2 + (run.verdict.winner == "embedding-ensemble")  # and on all of train
    dataset = read_dataset(shop_folder)
    split = split_dataset(dataset)
    for name in HYBRIDS:
        made = run.model(name).recommender.recommend(
            split.test.prompts, 20, candidates=split.test_candidates
        )
        table = pl.read_parquet(run.folder / "recommendations" / f"{name}.parquet")
        assert table["item_id"].to_list() == [
            dataset.catalogue.ids[item] for row in made.items for item in row if item >= 0
        ]
        result = run.leaderboard[name]
        assert result.uses_text
        assert result.refit
        assert result.cost.fit_s is not None
    details = json.loads((run.folder / "details.json").read_text())
    grid = details["grids"]["sim-sequential"]
    chosen = run.leaderboard["sim-sequential"].validation["ndcg@20"]
    assert max(trial["validation"] for trial in grid) == pytest.approx(chosen)
    assert set(details["attribution"]) == {"embedding-ensemble", "sim-sequential"}
    assert "adds" not in details["attribution"]["sim-sequential"]["members"][0]


def test_a_hybrid_of_models_without_text_uses_none(quick_compare: Compare) -> None:
    run = quick_compare(
        models=["popularity", "v-sknn", "sim-popularity"],
        settings={"sim-popularity": {"member": "v-sknn"}},
        encoder="none",
        score="validation",
        refit_winner=False,
    )
    assert not run.leaderboard["sim-popularity"].uses_text


def repeating_shop(shop: SessionDataset) -> SessionDataset:
    """Every session ends with the item it began with."""
    rows = [[*row, row[0]] for row in (list(shop.sessions[i]) for i in range(len(shop.sessions)))]
    times = np.arange(sum(len(row) for row in rows), dtype=np.int64)
    sessions = Sessions.from_lists(rows)
    return SessionDataset(shop.catalogue, replace(sessions, times=times))


def test_hidden_repeats_are_warned_about(shop: SessionDataset, tmp_path: Path) -> None:
    write_dataset(repeating_shop(shop), tmp_path / "repeats")
    hits = {}
    for seen in ("exclude", "keep"):
        heard = Heard()
        run = compare(
            tmp_path / "repeats",
            tmp_path / seen,
            models=["v-sknn"],
            settings={"v-sknn": {"k": 50}},
            seen=seen,  # type: ignore[arg-type]
            refit_winner=False,
            n_threads=1,
            observer=heard,
        )
        hits[seen] = run.leaderboard["v-sknn"].metrics["hr@20"]
        assert bool([text for text in heard.warnings if "--seen keep" in text]) == (
            seen == "exclude"
        )
    assert hits["exclude"] == 0 < hits["keep"]


def without_texts(shop: SessionDataset) -> SessionDataset:
    nothing = pl.lit(None, dtype=pl.String)
    table = shop.catalogue.table.with_columns(title=nothing, text=nothing)
    return replace(shop, catalogue=Catalogue(table))


def test_text_models_need_texts(shop: SessionDataset, tmp_path: Path) -> None:
    write_dataset(without_texts(shop), tmp_path / "bare")
    with pytest.raises(InvalidDataError, match=r"120 items have no text.*--encoder none"):
        compare(tmp_path / "bare", tmp_path / "run", models=["llmseqsim"], encoder="tfidf")
    assert not (tmp_path / "run" / "leaderboard.json").exists()
    run = compare(
        tmp_path / "bare",
        tmp_path / "run",
        encoder="none",
        models=["popularity", "v-sknn"],
        n_threads=1,
    )
    samples = json.loads((run.folder / "details.json").read_text())["samples"]
    assert samples[0]["target"] in set(shop.catalogue.ids)


def test_nothing_is_written_for_wrong_input(quick_compare: Compare, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown model"):
        quick_compare(models=["nobody"])
    with pytest.raises(ArtifactError, match="no such dataset folder"):
        compare(tmp_path / "nowhere", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_neural_models_without_torch_are_refused_at_once(
    quick_compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"llmseq\[train\]"):
        quick_compare(models=["sasrec"], encoder="none")


def test_a_damaged_stage_stops_the_run_and_deleting_it_repairs(quick_compare: Compare) -> None:
    run = quick_compare()
    before = run.leaderboard.models
    damaged = next(
        path.parent
        for path in (run.folder / "stages").glob("*/manifest.json")
        if json.loads(path.read_text())["name"].startswith("test lists of v-sknn")
    )
    (damaged / "lists.safetensors").write_bytes(b"damaged")
    with pytest.raises(ArtifactError, match=r"lists\.safetensors: damaged"):
        quick_compare()
    shutil.rmtree(damaged)
    after = quick_compare().leaderboard.models
    assert [model.metrics for model in after] == [model.metrics for model in before]


def test_a_removed_encoder_is_not_missed_by_a_run_that_has_its_vectors(
    quick_compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = quick_compare()

    def refuse(*args: Any, **options: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr("llmseq.experiment.vectors.embed_catalogue", refuse)
    assert quick_compare().leaderboard.models == first.leaderboard.models
