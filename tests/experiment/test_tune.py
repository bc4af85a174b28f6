from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from llmseq.cli.main import cli
from llmseq.data.folder import read_dataset, write_dataset
from llmseq.data.folder import test_scorings as scorings_of_test
from llmseq.errors import ArtifactError, ConfigError, MissingExtraError
from llmseq.experiment import run as run_module
from llmseq.experiment.presets import make_spec
from llmseq.experiment.run import compare
from llmseq.experiment.tune import Tuned, tune
from llmseq.models.catalog import MODELS
from llmseq.tuning.space import Space, shipped_space

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmseq.data.dataset import SessionDataset
    from llmseq.experiment.artifacts import RunFolder


@pytest.fixture
def quick_tune(shop_folder: Path, tmp_path: Path) -> Callable[..., Tuned]:
    """Search a few settings of v-sknn on the small shop."""

    def run(model: str = "v-sknn", out: str = "tuned", **changes: Any) -> Tuned:
        options = {"trials": 8, "encoder": "tfidf", "n_threads": 1}
        return tune(shop_folder, model, tmp_path / out, **{**options, **changes})

    return run


def rows(folder: Path) -> list[dict[str, str]]:
    """What trials.csv holds, less the seconds."""
    with (folder / "trials.csv").open() as file:
        made = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k != "seconds"} for row in made]


def events(folder: Path, kind: str) -> list[str]:
    lines = (folder / "log.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return [line["key"] for line in found if line["event"] == kind]


def test_what_a_search_leaves(quick_tune: Callable[..., Tuned], shop_folder: Path) -> None:
    tuned = quick_tune()
    made = rows(tuned.folder)
    assert len(made) == 8
    assert (made[0]["k"], made[0]["prompt_decay"]) == ("200", "quadratic")
    finished = [row for row in made if row["state"] == "finished"]
    best = max(finished, key=lambda row: float(row["value"]))
    assert tuned.found.best.number == int(best["trial"])
    folds = [float(best[f"fold_{number}"]) for number in (1, 2, 3)]
    assert float(best["value"]) == pytest.approx(sum(folds) / 3)

    values = json.loads((tuned.folder / "tuning.json").read_text())
    assert values["dataset"]["fingerprint"] == read_dataset(shop_folder).fingerprint()
    assert values["environment"]["seed"] == 0
    assert values["environment"]["optuna"]
    assert values["stopped"] == "8 trials were asked for"
    spec = tomllib.loads((tuned.folder / "spec.toml").read_text())
    shipped = shipped_space("v-sknn")
    assert shipped is not None
    assert spec["models"][0]["space"] == shipped.to_dict()
    page = tuned.report_path.read_text()
    assert "<svg" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert scorings_of_test(shop_folder) == []


def test_the_best_settings_are_a_spec(
    quick_tune: Callable[..., Tuned], shop_folder: Path, tmp_path: Path
) -> None:
    tuned = quick_tune("llmseqsim", trials=4)
    values = tomllib.loads(tuned.best_path.read_text())
    assert values["encoder"] == "tfidf"
    [model] = values["models"]
    config = MODELS["llmseqsim"].make_config(model["settings"], what="best")
    assert config == tuned.found.config
    run = compare(
        shop_folder, tmp_path / "run", preset=str(tuned.best_path), score="validation", n_threads=1
    )
    assert run.leaderboard["llmseqsim"].config == config.to_dict()


def test_the_same_seed_finds_the_same(quick_tune: Callable[..., Tuned]) -> None:
    made = [quick_tune(out=name, seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4))]
    first, again, other = (rows(tuned.folder) for tuned in made)
    assert first == again
    assert first[1:] != other[1:]


def test_a_larger_budget_goes_on(quick_tune: Callable[..., Tuned]) -> None:
    first = rows(quick_tune(trials=4).folder)
    tuned = quick_tune(trials=7)
    assert rows(tuned.folder)[:4] == first
    assert len(rows(tuned.folder)) == 7
    n_done = len(events(tuned.folder, "stage_finished"))
    assert n_done == sum(len(trial.folds) for trial in tuned.found.trials)
    assert not events(tuned.folder, "stage_reused")


def test_used_up_minutes_stop_it(quick_tune: Callable[..., Tuned]) -> None:
    tuned = quick_tune(trials=None, minutes=1e-6)
    assert len(tuned.found.trials) == 1
    assert tuned.found.stopped == "1e-06 minutes are used up"


def test_a_value_is_the_metric_of_the_last_items(
    quick_tune: Callable[..., Tuned], shop: SessionDataset
) -> None:
    """The first fold by hand: fit on it, score it."""
    import numpy as np

    from llmseq.core import evaluate_lists
    from llmseq.data.folds import forward_folds
    from llmseq.data.split import SplitConfig, split_dataset

    tuned = quick_tune(trials=1)
    [fold, *_] = forward_folds(split_dataset(shop).train, SplitConfig(), 3)
    model = MODELS["v-sknn"].recommender_class()(tuned.found.config)  # type: ignore[call-arg]
    model.fit(fold.fit, rng=np.random.default_rng(0))
    lists = model.recommend(fold.validation.prompts, 20, candidates=fold.candidates)
    value = evaluate_lists(lists.items, fold.validation.targets, ks=(20,)).means["ndcg@20"]
    assert tuned.found.trials[0].folds[0] == pytest.approx(value)


SMALL = {"n_epochs": 1, "max_length": 5, "patience": 0}


@pytest.mark.slow
def test_a_neural_model_with_text(quick_tune: Callable[..., Tuned]) -> None:
    tuned = quick_tune("llm2sasrec", trials=2, n_folds=1, settings=SMALL)
    assert tuned.found.folds == ("select",)
    config = tuned.found.config.to_dict()
    assert (config["n_epochs"], config["max_length"]) == (1, 5)
    spec = tomllib.loads((tuned.folder / "spec.toml").read_text())
    assert "batch_size" not in spec["models"][0]["space"]["parameters"]
    warnings = json.loads((tuned.folder / "tuning.json").read_text())["warnings"]
    assert any("batch_size not searched" in text for text in warnings)
    assert any("embedding_dim is searched up to" in text for text in warnings)
    assert all(int(row["embedding_dim"]) <= 120 for row in rows(tuned.folder))


def own(**parameters: dict[str, Any]) -> Space:
    return Space.make({"parameters": parameters}, what="space")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"space": own(kk={"type": "int", "low": 1, "high": 2})},
            'space of v-sknn: unknown setting "kk"',
        ),
        (
            {"space": own(k={"type": "int", "low": 0, "high": 2})},
            "greater than or equal to 1",
        ),
        ({"model": "fusion"}, "fusion"),
        ({"model": "popularity"}, "no settings left to search"),
        ({"settings": {"k": 3, "kk": 2}}, 'unknown setting "kk"'),
        ({"trials": 0}, "trials = 0"),
        ({"n_workers": 0}, "workers must be at least 1"),
        ({"model": "v-skn"}, 'did you mean "v-sknn"'),
    ],
)
def test_wrong_input_is_an_error_before_anything_is_fitted(
    quick_tune: Callable[..., Tuned], tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        quick_tune(**changes)
    assert not (tmp_path / "tuned").exists()


def test_what_is_set_is_not_searched(quick_tune: Callable[..., Tuned]) -> None:
    tuned = quick_tune(trials=3, settings={"k": 70, "sampling": "random"})
    assert "k" not in rows(tuned.folder)[0]
    assert {trial.state for trial in tuned.found.trials} == {"finished"}
    assert tuned.found.config.to_dict()["k"] == 70


def test_a_log_without_times_is_searched_on_the_select_part(
    shop: SessionDataset, tmp_path: Path
) -> None:
    from dataclasses import replace

    import numpy as np

    labels = np.array(["train"] * 240 + ["test"] * 60, dtype=object)
    untimed = replace(shop, sessions=replace(shop.sessions, times=None), split_labels=labels)
    write_dataset(untimed, tmp_path / "untimed")
    tuned = tune(tmp_path / "untimed", "v-sknn", tmp_path / "tuned", trials=6, n_threads=1)
    assert tuned.found.folds == ("select",)
    spec = tomllib.loads((tuned.folder / "spec.toml").read_text())
    choices = spec["models"][0]["space"]["parameters"]["sampling"]["choices"]
    assert choices == ["random", "idf", "idf_greedy"]
    with pytest.raises(ConfigError, match="3 forward-chaining folds need session times"):
        tune(tmp_path / "untimed", "v-sknn", tmp_path / "other", trials=6, n_folds=3)
    asking = own(sampling={"type": "categorical", "choices": ["idf", "recent"]})
    with pytest.raises(ConfigError, match="sampling = recent needs session times"):
        tune(tmp_path / "untimed", "v-sknn", tmp_path / "other", trials=6, space=asking)


def test_folders_of_comparisons_and_searches_are_kept_apart(
    quick_tune: Callable[..., Tuned], shop_folder: Path, tmp_path: Path
) -> None:
    tuned = quick_tune(trials=2)
    with pytest.raises(ConfigError, match="holds a search for settings"):
        compare(shop_folder, tuned.folder, models=["popularity"], n_threads=1)
    assert tuned.best_path.exists()
    compare(shop_folder, tmp_path / "run", models=["popularity"], score="validation", n_threads=1)
    with pytest.raises(ConfigError, match="holds a comparison"):
        quick_tune(out="run")


def test_one_search_at_a_time_in_a_folder(
    quick_tune: Callable[..., Tuned], run_folder: RunFolder
) -> None:
    with run_folder.lock(), pytest.raises(ArtifactError, match="another process"):
        quick_tune(out="run")


def test_without_optuna_nothing_begins(
    quick_tune: Callable[..., Tuned], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = run_module.importlib.util.find_spec
    monkeypatch.setattr(
        run_module.importlib.util,
        "find_spec",
        lambda name: None if name == "optuna" else real(name),
    )
    with pytest.raises(MissingExtraError, match=r"llmseq\[tune\]"):
        quick_tune()
    assert not (tmp_path / "tuned").exists()


# Killed, and several at once ---------------------------------------------------------------------


SMALLEST = [
    f"--set={pair}" for pair in ("n_epochs=3", "max_length=5", "embedding_dim=8", "n_blocks=1")
]
NEURAL = ("--model=sasrec", "--trials=4", "--folds=2", *SMALLEST)
COUNTED = ("--model=v-sknn", "--trials=60", "--folds=2")


def command(dataset: Path, out: Path, *words: str) -> list[str]:
    return ["tune", str(dataset), "--out", str(out), "--threads=1", *words]


def run_here(dataset: Path, out: Path, *words: str) -> None:
    result = CliRunner().invoke(cli, command(dataset, out, *words))
    assert result.exit_code == 0, result.output


def start(dataset: Path, out: Path, *words: str) -> subprocess.Popen[bytes]:
    code = "from llmseq.cli.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *command(dataset, out, *words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "LLMSEQ_CACHE": str(out.parent / "cache")},
    )


def wait_for_stages(out: Path, process: subprocess.Popen[bytes], n_stages: int) -> None:
    while process.poll() is None:
        if (out / "log.jsonl").exists() and len(events(out, "stage_started")) >= n_stages:
            return
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("words", "moment"), [(NEURAL, 4), (COUNTED, 50)])
def test_killed_in_the_middle_it_goes_on(
    shop: SessionDataset, tmp_path: Path, words: tuple[str, ...], moment: int
) -> None:
    dataset, whole, killed = tmp_path / "shop", tmp_path / "whole", tmp_path / "killed"
    write_dataset(shop, dataset)
    run_here(dataset, whole, *words)
    process = start(dataset, killed, *words)
    wait_for_stages(killed, process, moment)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (killed / "best.toml").exists()
    run_here(dataset, killed, *words)
    assert rows(killed) == rows(whole)
    finished = events(killed, "stage_finished")
    assert sorted(finished) == sorted(events(whole, "stage_finished"))
    assert len(finished) == len(set(finished))


@pytest.mark.slow
def test_ctrl_c_leaves_what_was_found_and_goes_on(shop: SessionDataset, tmp_path: Path) -> None:
    dataset, out = tmp_path / "shop", tmp_path / "out"
    write_dataset(shop, dataset)
    process = start(dataset, out, *COUNTED)
    wait_for_stages(out, process, 10)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors.decode()
    assert "interrupted" in errors.decode()
    assert 1 <= len([row for row in rows(out) if row["state"] != "running"]) < 60
    assert json.loads((out / "tuning.json").read_text())["stopped"] is None
    run_here(dataset, out, *COUNTED)
    assert len([row for row in rows(out) if row["state"] in {"finished", "pruned"}]) == 60


@pytest.mark.slow
def test_workers_share_a_search_and_die_with_it(shop: SessionDataset, tmp_path: Path) -> None:
    dataset, out = tmp_path / "shop", tmp_path / "out"
    write_dataset(shop, dataset)
    process = start(dataset, out, *COUNTED, "--trials=1000", "--workers=2")
    wait_for_stages(out, process, 20)
    process.kill()
    process.communicate()
    time.sleep(0.5)
    size = (out / "log.jsonl").stat().st_size
    time.sleep(1.5)  # many trials' time
    assert (out / "log.jsonl").stat().st_size == size  # nobody works on without the parent
    run_here(dataset, out, *COUNTED, "--workers=2")
    made = rows(out)
    assert len(made) == 60
    assert {row["state"] for row in made} <= {"finished", "pruned"}
    finished = events(out, "stage_finished")
    assert len(finished) == len(set(finished))  # no worker did what another had done
    points = [tuple(v for k, v in row.items() if k in SEARCHED) for row in made]
    assert len(set(points)) == 60


SEARCHED = (
    "k",
    "sample_size",
    "sampling",
    "similarity",
    "idf_weighting",
    "prompt_decay",
    "backward",
)


# In comparisons ----------------------------------------------------------------------------------


def test_thorough_searches_every_model_with_the_same_budget(shop: SessionDataset) -> None:
    from pathlib import Path

    spec = make_spec(shop, Path("shop"), preset="thorough")
    assert spec.tuning is not None
    assert (spec.tuning.trials, spec.tuning.n_folds) == (20, 3)
    searched = {model.name for model in spec.models if model.space is not None}
    assert searched == {name for name in MODELS if shipped_space(name) is not None}
    assert not any(model.grid for model in spec.singles)


def test_a_comparison_with_trials(shop_folder: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "models": ["popularity", "v-sknn", "llmseqsim", "fusion"],
        "encoder": "tfidf",
        "trials": 6,
        "n_seeds": 2,
        "score": "validation",
        "n_threads": 1,
    }
    run = compare(shop_folder, tmp_path / "run", **options)
    details = json.loads((run.folder / "details.json").read_text())
    grids = details["grids"]
    grids = {name: grids[name] for name in ("v-sknn", "llmseqsim")}
    assert all(2 <= len(points) <= 6 for points in grids.values())
    for name, points in grids.items():
        best = max(points, key=lambda point: point["validation"])["settings"]
        config = run.leaderboard[name].config
        assert config.get("k") == best.get("k")
        assert config.get("pooling") == best.get("pooling")
        assert run.leaderboard[name].seeds.n == 2
    n_done = len(events(run.folder, "stage_finished"))
    again = compare(shop_folder, tmp_path / "run", **options)
    assert len(events(run.folder, "stage_finished")) == n_done
    assert again.leaderboard.models == run.leaderboard.models
    assert (
        compare(shop_folder, tmp_path / "other", preset=str(run.folder / "spec.toml"))
        .leaderboard["v-sknn"]
        .config
        == run.leaderboard["v-sknn"].config
    )


def test_a_space_needs_a_tuning_table(shop: SessionDataset) -> None:
    from pathlib import Path

    spec = make_spec(shop, Path("shop"), models=["v-sknn"], tuning={"trials": 3})
    with pytest.raises(ConfigError, match=r"only with a \[tuning\] table"):
        spec.replace(tuning=None)
    model = spec.models[0].to_dict()
    with pytest.raises(ConfigError, match="either a grid or a space"):
        spec.replace(models=[{**model, "grid": {"k": [1, 2]}}])


def test_models_with_vectors_of_their_own_are_searched_too(
    quick_tune: Callable[..., Tuned], shop_folder: Path, tmp_path: Path
) -> None:
    tuned = quick_tune("llmseqsim@tfidf", trials=3, encoder=None)
    values = tomllib.loads(tuned.best_path.read_text())
    assert values["encoder"] == values["models"][0]["encoder"] == "tfidf"
    run = compare(
        shop_folder, tmp_path / "run", preset=str(tuned.best_path), score="validation", n_threads=1
    )
    assert run.leaderboard["llmseqsim@tfidf"].config == tuned.found.config.to_dict()
