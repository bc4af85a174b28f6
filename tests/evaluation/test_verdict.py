import numpy as np
import pytest

from llmseq.errors import ConfigError
from llmseq.evaluation.leaderboard import Cost, ModelResult
from llmseq.evaluation.significance import Comparison, holm
from llmseq.evaluation.verdict import (
    _outcome,
    best_on_validation,
    compare_with_baseline,
    make_verdict,
)

PRIMARY = "ndcg@20"


def model(name, *, text, validation, fit_s=None):
    return ModelResult(
        name, name.upper(), text, validation={PRIMARY: validation}, cost=Cost(fit_s=fit_s)
    )


MODELS = (
    model("knn", text=False, validation=0.06, fit_s=1.0),
    model("pop", text=False, validation=0.01),
    model("sim", text=True, validation=0.05),
    model("llm", text=True, validation=0.07, fit_s=91.0),
)


def scores(**means):
    """Sessions that all models find equally hard, and a model's own mean on top."""
    base = np.random.default_rng(0).choice([0.0, 0.5, 1.0], size=600)
    noise = np.random.default_rng(1)
    return {
        name: np.clip(base + noise.normal(mean, 0.1, base.size), 0, 2)
        for name, mean in means.items()
    }


def test_choice_on_validation_not_on_test():
    assert best_on_validation(MODELS, PRIMARY).name == "llm"
    assert best_on_validation(MODELS, PRIMARY, uses_text=False).name == "knn"
    assert best_on_validation(MODELS[:2], PRIMARY, uses_text=True) is None
    # pop and sim are the best on test; the verdict must not notice.
    verdict = make_verdict(MODELS, scores(knn=0.1, pop=0.9, sim=0.9, llm=0.2))
    assert (verdict.winner, verdict.with_text, verdict.without_text) == ("llm", "llm", "knn")


def test_text_helps():
    verdict = make_verdict(MODELS, scores(knn=0.1, pop=0.0, sim=0.0, llm=0.2))
    assert verdict.outcome == "better"
    assert verdict.interval[0] > 0
    assert verdict.extra_cost == {"fit_s": 90.0}
    assert verdict.sentence.startswith("Text helps: LLM, the best model with text, reaches ndcg@20")
    assert "600 sessions" in verdict.sentence
    assert "Fitting takes 1.5 min more." in verdict.sentence


def test_no_clear_difference():
    verdict = make_verdict(MODELS, scores(knn=0.1, pop=0.0, sim=0.0, llm=0.1))
    assert verdict.outcome == "unclear"
    assert verdict.interval[0] <= 0 <= verdict.interval[1]
    assert verdict.sentence.startswith("No clear difference")
    assert "the interval includes zero" in verdict.sentence


def test_text_is_worse():
    verdict = make_verdict(MODELS, scores(knn=0.2, pop=0.0, sim=0.0, llm=0.1))
    assert verdict.outcome == "worse"
    assert verdict.relative < 0
    assert verdict.sentence.startswith("Text does not help here")


@pytest.mark.parametrize(
    ("interval", "p_value", "outcome"),
    [
        ((0.01, 0.03), 0.049, "better"),
        ((0.01, 0.03), 0.05, "unclear"),
        ((-0.001, 0.03), 0.01, "unclear"),
        ((0.0, 0.03), 0.01, "unclear"),
    ],
)
def test_both_interval_and_test_must_agree(interval, p_value, outcome):
    assert _outcome(Comparison(0.02, 0.2, interval, None, p_value)) == outcome


def test_validation_figures_say_so():
    values = scores(knn=0.1, pop=0.0, sim=0.0, llm=0.2)
    assert "expect less on test" in make_verdict(MODELS, values, scored_on="validation").sentence
    assert "expect less" not in make_verdict(MODELS, values).sentence


def test_one_kind_alone_is_untested():
    verdict = make_verdict(MODELS[:2], {})
    assert (verdict.winner, verdict.with_text, verdict.without_text) == ("knn", None, "knn")
    assert verdict.outcome == "untested"
    assert verdict.interval is None
    assert verdict.sentence.startswith("Only models without text took part")
    assert make_verdict(MODELS[2:], {}).sentence.startswith("Only models with text took part")


def test_a_baseline_of_zero_has_no_relative_difference():
    values = {"knn": np.zeros(50), "llm": np.full(50, 0.5)}
    verdict = make_verdict([MODELS[0], MODELS[3]], values)
    assert verdict.relative is None
    assert "+0.5000 (95 % interval +0.5000 to +0.5000" in verdict.sentence


def test_comparisons_with_the_baseline():
    values = scores(knn=0.1, pop=0.0, sim=0.1, llm=0.2)
    compared = compare_with_baseline(MODELS, values, baseline="knn", seed=3)
    by_name = {each.name: each.versus for each in compared}
    assert [each.name for each in compared] == ["knn", "pop", "sim", "llm"]
    assert by_name["knn"] is None
    tested = [by_name[name] for name in ("pop", "sim", "llm")]
    assert [each.p_holm for each in tested] == holm([each.p_value for each in tested])
    assert by_name["llm"].absolute == pytest.approx(values["llm"].mean() - values["knn"].mean())
    assert by_name["pop"].absolute < 0


def test_verdict_and_leaderboard_show_the_same_figures():
    values = scores(knn=0.1, pop=0.0, sim=0.1, llm=0.12)
    compared = compare_with_baseline(MODELS, values, baseline="knn", seed=3)
    verdict = make_verdict(MODELS, values, seed=3)
    versus = compared[-1].versus
    assert (verdict.absolute, verdict.interval) == (versus.absolute, versus.interval)
    assert verdict.p_value == versus.p_value


def test_wrong_input_is_named():
    with pytest.raises(ConfigError, match=r'"best" is not compared\. Choose from: knn, pop'):
        compare_with_baseline(MODELS, {}, baseline="best")
    with pytest.raises(ConfigError, match='"llm" has no values by session'):
        make_verdict(MODELS, {"knn": np.ones(3)})
    with pytest.raises(ConfigError, match="at least one model"):
        make_verdict([], {})
    with pytest.raises(ConfigError, match='"x" has no ndcg@20 on validation'):
        make_verdict([ModelResult("x", "X", True)], {})
