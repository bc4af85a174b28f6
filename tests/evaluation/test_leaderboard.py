import csv
import io
import json
from dataclasses import replace

import pytest

from llmseq.errors import ArtifactError, InvalidDataError
from llmseq.evaluation.leaderboard import (
    Cost,
    Leaderboard,
    ModelResult,
    Protocol,
    Seeds,
    Verdict,
    Versus,
    figure,
    mark,
)


def versus(absolute, p_holm):
    return Versus("v-sknn", absolute, absolute / 0.06, (-0.001, 0.03), 0.01, p_holm, (-0.1, 0.2))


def board():
    models = (
        ModelResult(
            "popularity",
            "Popularity",
            False,
            metrics={"ndcg@20": 0.005, "hr@20": 0.01, "ndcg@10": 0.004},
            versus=versus(-0.055, 0.001),
        ),
        ModelResult("v-sknn", "V-SKNN", False, metrics={"ndcg@20": 0.06, "hr@20": 0.1}),
        ModelResult(
            "llm2sasrec",
            "LLM2SASRec",
            True,
            config={"dim": 64, "blocks": [1, 2], "reduction": {"method": "pca"}},
            validation={"ndcg@20": 0.08},
            metrics={"ndcg@20": 0.0712345678, "hr@20": 0.12, "novelty@20": 11.5},
            interval={"ndcg@20": (0.06, 0.08)},
            seeds=Seeds(3, 0.001, {"ndcg@20": 0.001, "coverage@20": 0.01}),
            versus=versus(0.011, 0.04),
            cost=Cost(1261.5, 0.5, 700.25, 1_000_000, 12),
        ),
    )
    verdict = Verdict("llm2sasrec", "llm2sasrec", "v-sknn", sentence="Text helps.")
    protocol = Protocol({"method": "file"}, "newest tenth", baseline="v-sknn", n_sessions=4469)
    return Leaderboard({"name": "beauty"}, protocol, {"llmseq": "0.1"}, verdict, models)


def test_models_are_ranked():
    assert [model.name for model in board().models] == ["llm2sasrec", "v-sknn", "popularity"]
    assert board()["v-sknn"].label == "V-SKNN"


def test_json_round_trip():
    before = board()
    assert Leaderboard.from_json(before.to_json()) == before
    alone = replace(before, verdict=None)
    assert Leaderboard.from_json(alone.to_json()) == alone


def test_json_has_the_names_of_the_schema():
    values = json.loads(board().to_json())
    assert values["schema"] == 1
    assert set(values) == {
        "schema",
        "dataset",
        "protocol",
        "environment",
        "verdict",
        "models",
        "refit_verdict",
    }
    assert {"split", "validation", "primary", "baseline", "scored_on"} <= set(values["protocol"])
    assert {
        "winner", "with_text", "without_text", "absolute", "relative", "interval", "p_value",
        "chosen_on",
    } <= set(values["verdict"])  # fmt: skip
    assert values["verdict"]["chosen_on"] == "validation"
    model = values["models"][0]
    assert {
        "name", "label", "uses_text", "config", "validation", "metrics", "interval", "seeds",
        "versus", "cost",
    } <= set(model)  # fmt: skip
    assert model["metrics"]["ndcg@20"] == 0.0712345678
    assert model["interval"]["ndcg@20"] == [0.06, 0.08]
    assert {"n", "sd"} <= set(model["seeds"])
    assert {"baseline", "absolute", "relative", "interval", "p_value", "p_holm"} <= set(
        model["versus"]
    )
    fields = {"fit_s", "recommend_s", "peak_memory_mib", "parameters", "epochs", "best_epoch_s"}
    assert fields == set(model["cost"])
    assert values["models"][1]["versus"] is None


def test_names_of_a_later_version_are_ignored():
    values = json.loads(board().to_json())
    values["later"] = 1
    values["models"][0]["later"] = 1
    assert Leaderboard.from_json(json.dumps(values)) == board()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"runs/x: damaged, not valid JSON"),
        ("[]", r"runs/x: schema None instead of 1"),
        ('{"schema": 2}', r"runs/x: schema 2 instead of 1"),
        ('{"schema": 1, "dataset": {}}', r"runs/x: damaged: protocol"),
    ],
)
def test_damaged_json_is_named(text, message):
    with pytest.raises(ArtifactError, match=message):
        Leaderboard.from_json(text, what="runs/x")


def test_a_figure_that_is_no_number_is_not_written():
    wrong = ModelResult("a", "A", False, metrics={"ndcg@20": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        Leaderboard({}, Protocol("", ""), {}, None, (wrong,)).to_json()


def test_csv_is_not_rounded():
    rows = list(csv.DictReader(io.StringIO(board().to_csv())))
    assert [row["place"] for row in rows] == ["1", "2", "3"]
    first = rows[0]
    assert first["ndcg@20"] == "0.0712345678"
    assert (first["ndcg@20_low"], first["ndcg@20_high"]) == ("0.06", "0.08")
    assert first["validation_ndcg@20"] == "0.08"
    assert first["versus_interval_low"] == "-0.001"
    assert first["fit_s"] == "1261.5"
    assert rows[2]["ndcg@10"] == "0.004"
    assert rows[1]["versus_p_holm"] == ""


def test_markdown():
    text = board().to_markdown()
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert text.startswith("Text helps.\n\n| # |")
    assert {line.count("|") for line in table} == {table[0].count("|")}
    assert table[2] == (
        "| 1 | LLM2SASRec | yes | 0.0712 [0.0600, 0.0800] | 0.1200 | 11.50 | +18.3% ▲ | 0.0400 | "
        "1,261.5 |"
    )
    assert "baseline" in table[3]
    assert "-91.7% ▼" in table[4]
    assert "ndcg@10" not in text
    assert "Scored on test, 4,469 sessions." in text


def test_marks():
    assert mark(None) == ""
    assert mark(versus(0.01, 0.049)) == "▲"
    assert mark(versus(-0.01, 0.049)) == "▼"
    assert mark(versus(0.01, 0.05)) == "="
    assert figure(-0.5) == "-0.5000"


def test_impossible_leaderboards_are_refused():
    one = ModelResult("a", "A", False, metrics={"ndcg@20": 0.1})
    with pytest.raises(InvalidDataError, match='"a" has no value for hr@20'):
        Leaderboard({}, Protocol("", "", primary="hr@20"), {}, None, (one,))
    with pytest.raises(InvalidDataError, match="same name"):
        Leaderboard({}, Protocol("", ""), {}, None, (one, one))
