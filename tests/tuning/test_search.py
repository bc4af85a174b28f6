from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from llmseq.errors import ConfigError, MissingExtraError
from llmseq.tuning.budget import TuningConfig
from llmseq.tuning.points import Searched
from llmseq.tuning.search import Search, repair_store
from llmseq.tuning.space import Space

if TYPE_CHECKING:
    from pathlib import Path

    from llmseq.config import Config

SPACE = Space.make(
    {
        "parameters": {
            "k": {"type": "int", "low": 10, "high": 500, "step": 10},
            "sample_size": {"type": "int", "low": 500, "high": 2000, "step": 10},
            "idf_weighting": {"type": "categorical", "choices": [True, False]},
        }
    },
    what="space",
)


def hill(config: Config, fold: int) -> float:
    """Highest at k = 300 with idf weighting; later folds are easier."""
    values = config.to_dict()
    return float(1.0 - abs(values["k"] - 300) / 600 + 0.1 * values["idf_weighting"] + 0.05 * fold)


def search(
    path: Path, *, space: Space = SPACE, key: str = "a", seed: int = 0, **budget: Any
) -> Search:
    path = path / "store.jsonl"
    repair_store(path)
    config = TuningConfig(**{"n_folds": 3, "trials": 30, **budget})
    made = Search(path, Searched("v-sknn", space), config, key=key, seed=seed)
    made.prepare()
    return made


def points(made: Search) -> list[Any]:
    return [(trial.state, trial.value, dict(trial.point)) for trial in made.trials()]


def test_the_best_known_point_is_first_then_random_then_tpe(tmp_path: Path) -> None:
    made = search(tmp_path, trials=60)
    assert made.work(hill) == "60 trials were asked for"
    trials = made.trials()
    assert trials[0].point == {"k": 200, "sample_size": 1500, "idf_weighting": True}
    assert [trial.number for trial in trials] == list(range(60))
    distance = [abs(trial.point["k"] - 300) for trial in trials]
    assert sum(distance[30:]) < sum(distance[:30]) / 2  # TPE has found where it is worth looking
    assert made.importances()["k"] > 0.5


def test_a_mean_over_folds_is_the_value(tmp_path: Path) -> None:
    made = search(tmp_path, trials=1)
    made.work(hill)
    [trial] = made.trials()
    assert trial.folds == pytest.approx([hill_at(200, fold) for fold in range(3)])
    assert trial.value == pytest.approx(hill_at(200, 1))


def hill_at(k: int, fold: int) -> float:
    return 1.0 - abs(k - 300) / 600 + 0.1 + 0.05 * fold


def test_seeds_reproduce(tmp_path: Path) -> None:
    made = [search(tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    for one in made:
        one.work(hill)
    assert points(made[0]) == points(made[1]) != points(made[2])


def test_the_bottom_fifth_is_given_up_after_a_fold(tmp_path: Path) -> None:
    calls: list[int] = []

    def counted(config: Config, fold: int) -> float:
        calls.append(fold)
        return hill(config, fold)

    made = search(tmp_path, random_trials=30)
    made.work(counted)
    pruned = [trial for trial in made.trials() if trial.state == "pruned"]
    whole = [trial for trial in made.trials() if trial.state == "finished"]
    assert 3 <= len(pruned) <= 12
    assert all(len(trial.folds) < 3 for trial in pruned)
    assert len(calls) == sum(len(trial.folds) for trial in made.trials()) < 90
    assert len(whole) + len(pruned) == 30
    assert max(trial.folds[0] for trial in pruned) < max(trial.folds[0] for trial in whole)
    spared = search(tmp_path / "spared", random_trials=30, prune_share=0.0)
    spared.work(hill)
    assert {trial.state for trial in spared.trials()} == {"finished"}


class Killed(BaseException):
    """Stands for the end of the process: no handler of errors sees it."""


@pytest.mark.parametrize("moment", [1, 7, 40, 55])
def test_a_search_that_was_cut_off_goes_on_as_if_it_had_not_been(
    tmp_path: Path, moment: int
) -> None:
    whole = search(tmp_path / "whole")
    whole.work(hill)

    calls = 0

    def dying(config: Config, fold: int) -> float:
        nonlocal calls
        calls += 1
        if calls == moment:
            raise Killed
        return hill(config, fold)

    with pytest.raises(Killed):
        search(tmp_path / "cut").work(dying)
    store = tmp_path / "cut" / "store.jsonl"
    with store.open("ab") as file:
        file.write(b'{"op_code":4,"worker')  # a line cut short
    store.with_name("store.jsonl.lock").touch()  # of a writer that is dead
    again = search(tmp_path / "cut")
    again.work(hill)
    assert points(again) == points(whole)
    assert not [trial for trial in again.trials() if trial.state == "running"]


def test_a_larger_budget_goes_on(tmp_path: Path) -> None:
    search(tmp_path, trials=5).work(hill)
    more = search(tmp_path, trials=8)
    scored: list[int] = []

    def counted(config: Config, fold: int) -> float:
        scored.append(fold)
        return hill(config, fold)

    assert more.stopped() is None
    more.work(counted)
    assert len(more.trials()) == 8
    assert len(scored) <= 9  # three new trials
    assert more.stopped() == "8 trials were asked for"


def test_another_key_is_another_study_in_the_same_store(tmp_path: Path) -> None:
    search(tmp_path, trials=5).work(hill)
    other = search(tmp_path, key="b", trials=5)
    assert other.trials() == ()
    assert len(search(tmp_path, trials=5).trials()) == 5


def test_no_point_is_tried_twice_and_a_small_space_ends(tmp_path: Path) -> None:
    small = SPACE.replace(
        parameters={
            "k": {"type": "int", "low": 10, "high": 40, "step": 10},
            "idf_weighting": {"type": "categorical", "choices": [True, False]},
        }
    )
    made = search(tmp_path, space=small, trials=None, n_folds=1)
    scored: list[tuple[int, bool]] = []

    def counted(config: Config, fold: int) -> float:
        values = config.to_dict()
        scored.append((values["k"], values["idf_weighting"]))
        return hill(config, fold)

    assert made.work(counted) == "every point of the space was tried"
    assert len(scored) == len(set(scored)) == 8
    assert len(made.trials()) == 8


def test_settings_that_the_data_refuse_fail_and_the_search_goes_on(tmp_path: Path) -> None:
    def picky(config: Config, fold: int) -> float:
        if config.to_dict()["k"] > 250:
            raise ConfigError("training diverged")
        return hill(config, fold)

    made = search(tmp_path, trials=12)
    made.work(picky)
    failed = [trial for trial in made.trials() if trial.state == "failed"]
    assert failed
    assert {trial.error for trial in failed} == {"training diverged"}
    assert all(trial.point["k"] > 250 for trial in failed)
    assert len(made.trials()) == 12
    assert len(search(tmp_path, trials=12).trials()) == 12  # a failed trial is not begun again


def test_a_best_known_point_that_cannot_be_fitted_is_an_error(tmp_path: Path) -> None:
    def refusing(config: Config, fold: int) -> float:
        raise ConfigError("no text vectors")

    with pytest.raises(ConfigError, match="no text vectors"):
        search(tmp_path).work(refusing)


def test_without_optuna_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"llmseq\[tune\]"):
        search(tmp_path)


def test_two_workers_on_one_store_never_try_a_point_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eighteen points, so that both draw the same ones again and again, slowly."""
    suggest = Space.suggest

    def slowly(self: Space, trial: Any) -> dict[str, Any]:
        point = suggest(self, trial)
        time.sleep(0.02)  # between a draw and its being known to others
        return point

    monkeypatch.setattr(Space, "suggest", slowly)
    few = SPACE.replace(
        parameters={
            "k": {"type": "int", "low": 10, "high": 60, "step": 10},
            "sample_size": {"type": "int", "low": 500, "high": 700, "step": 100},
        }
    )
    search(tmp_path, space=few, trials=18, n_folds=1)
    together = threading.Barrier(2)
    scored: list[tuple[int, int]] = []

    def take_part() -> str:
        config = TuningConfig(trials=18, n_folds=1)
        made = Search(
            tmp_path / "store.jsonl", Searched("v-sknn", few), config, key="a", seed=0, n_workers=2
        )
        together.wait()

        def counted(config: Config, fold: int) -> float:
            values = config.to_dict()
            scored.append((values["k"], values["sample_size"]))
            time.sleep(0.01)  # so that the other one asks meanwhile
            return hill(config, fold)

        return made.work(counted)

    with ThreadPoolExecutor(2) as pool:
        workers = [pool.submit(take_part) for _ in range(2)]
        assert {worker.result() for worker in workers} == {"18 trials were asked for"}
    assert len(scored) == len(set(scored)) == 18
    again = search(tmp_path, space=few, trials=18, n_folds=1)
    assert [trial.state for trial in again.trials()] == ["finished"] * 18
