from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llmseq.experiment.report import numbers
from llmseq.experiment.report.labels import Box, place_labels
from llmseq.experiment.report.verdict import cost_sentence, verdict_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmseq.evaluation.leaderboard import Leaderboard


@pytest.mark.parametrize(
    ("verdict", "headline", "said"),
    [
        (
            {"outcome": "worse", "absolute": -0.0131, "relative": -0.2, "interval": [-0.02, -0.01]},
            "Item texts make the recommendations worse here: NDCG@20 falls by 20 %.",
            "The difference is −.0131 (−20 %), 95 % interval −.0200 to −.0100",
        ),
        (
            {"outcome": "unclear", "absolute": 0.002, "interval": [-0.003, 0.007], "p_value": 0.31},
            "No clear difference: this run does not show that item texts help or harm.",
            "A true difference anywhere from −.0030 to +.0070 would fit what was seen",
        ),
        (
            {"outcome": "untested", "interval": None, "p_value": None},
            "NDCG@20 is 20 % higher with item texts; whether that is chance was not tested.",
            "The difference is +.0131 (+20 %).",
        ),
        (
            {"outcome": "untested", "with_text": None, "absolute": None, "p_value": None},
            "The best model is Fusion.",
            "To learn what item texts bring",
        ),
    ],
)
def test_the_wording_is_honest(
    board: Callable[..., Leaderboard], verdict: dict[str, Any], headline: str, said: str
) -> None:
    text = verdict_text(board(**verdict))
    assert f"{text.headline}.".replace("\xa0", " ") == headline
    assert said in " ".join(text.sentences).replace("\xa0", " ")


def test_what_costs_nothing_is_not_called_a_cost(board: Callable[..., Leaderboard]) -> None:
    models = board().models
    assert cost_sentence(models[0], models[0]) == "Both models take about the same time and memory."
    fast = next(model for model in models if model.name == "popularity")
    assert cost_sentence(fast, models[0]).startswith("What text costs: 6\xa0min 19\xa0s less")


def test_labels_cover_neither_each_other_nor_points() -> None:
    bounds = Box(0, 0, 480, 320)
    points = [(60.0 + 25 * (i % 5), 250.0 - 9 * i) for i in range(15)]
    places = place_labels(points, [(90.0, 14.0)] * len(points), bounds)
    for number, place in enumerate(places):
        assert place.box.outside(bounds) == 0
        assert all(place.box.overlap(other.box) == 0 for other in places[:number])
        assert all(place.box.overlap(Box(x - 4, y - 4, x + 4, y + 4)) == 0 for x, y in points)


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (numbers.metric, 0.07226, ".0723"),
        (numbers.metric, -0.00001, ".0000"),
        (numbers.signed, 0.0, ".0000"),
        (numbers.signed, 0.0131, "+.0131"),
        (numbers.signed, None, "–"),
        (numbers.percent, 0.0, "0 %"),
        (numbers.percent, 0.0996, "10 %"),
        (numbers.p_text, 0.0001, "< .001"),
        (numbers.p_text, 0.0312, ".031"),
        (numbers.p_text, 1.0, "1.000"),
        (numbers.seconds, 59.7, "1 min"),
        (numbers.seconds, 3599.9, "1 h"),
        (numbers.seconds, 0.42, ".4 s"),
        (numbers.parameters, 0, "–"),
        (numbers.parameters, 1_562_880, "1.56 M"),
        (numbers.memory, 1536.0, "1.5 GiB"),
        (numbers.count, 15.5, "15.5"),
    ],
)
def test_numbers(write: Callable[[Any], str], value: object, text: str) -> None:
    assert write(value).replace("\xa0", " ") == text
