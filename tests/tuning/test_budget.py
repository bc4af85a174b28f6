from __future__ import annotations

from typing import Any

import pytest

from llmseq.errors import ConfigError
from llmseq.tuning.budget import TuningConfig, best_trial
from llmseq.tuning.trials import Trial, to_csv


def trials(*values: float | None, seconds: float = 1.0) -> list[Trial]:
    return [
        Trial(number, {"k": number}, "pruned" if value is None else "finished", (), value, seconds)
        for number, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("budget", "values", "says"),
    [
        ({"trials": 3}, [1.0, 0.5], None),
        ({"trials": 3}, [1.0, 0.5, None], "3 trials were asked for"),
        ({"minutes": 1.0}, [0.5] * 5, None),
        ({"minutes": 1.0}, [0.5] * 6, "1 minutes are used up"),
        ({"patience": 2}, [0.1, 0.2, 0.2], None),  # an equal value is no gain
        ({"patience": 2}, [0.1, 0.2, 0.2, None], "2 trials brought no gain"),
        ({"patience": 2}, [None, None, None], None),
        ({}, [0.5] * 100, None),
        ({}, [0.5] * 101, "100 trials brought no gain"),
    ],
)
def test_reasons_to_stop(budget: dict[str, Any], values: list[Any], says: str | None) -> None:
    assert TuningConfig(**budget).reason_to_stop(trials(*values, seconds=10.0)) == says


def test_the_random_start_is_the_studys_but_leaves_half_to_tpe() -> None:
    assert TuningConfig().n_random == 40
    assert TuningConfig(trials=200).n_random == 40
    assert TuningConfig(trials=20).n_random == 10
    assert TuningConfig(trials=1).n_random == 1
    assert TuningConfig(trials=20, random_trials=15).n_random == 15


def test_the_bottom_fifth_is_hopeless_once_there_are_others() -> None:
    config = TuningConfig()
    there = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]  # its lowest fifth ends at .2
    assert config.is_hopeless(0.1, there)
    assert not config.is_hopeless(0.2, there)
    assert not config.is_hopeless(0.1, there[:5])
    assert not TuningConfig(prune_share=0).is_hopeless(0.05, there)


def test_the_best_is_finished_and_the_first_of_equals() -> None:
    found = best_trial(trials(0.1, None, 0.3, 0.3))
    assert found is not None
    assert found.number == 2
    assert best_trial(trials(None)) is None


@pytest.mark.parametrize("wrong", [{"trials": 0}, {"minutes": 0}, {"n_folds": 0}, {"trails": 3}])
def test_wrong_budgets(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        TuningConfig.make(wrong, what="tuning")


def test_trials_as_csv() -> None:
    made = [
        Trial(0, {"k": 5, "clip_norm": None}, "finished", (0.25, 0.75), 0.5, 2.0),
        Trial(1, {"k": 6, "clip_norm": 1.5}, "pruned", (0.125,), 0.125, 1.0),
        Trial(2, {"k": 7, "clip_norm": 2.0}, "failed", seconds=0.5, error="it, diverged"),
    ]
    assert to_csv(made).splitlines() == [
        "trial,state,value,fold_1,fold_2,seconds,k,clip_norm,error",
        "0,finished,0.5,0.25,0.75,2.0,5,,",
        "1,pruned,0.125,0.125,,1.0,6,1.5,",
        '2,failed,,,,0.5,7,2.0,"it, diverged"',
    ]
