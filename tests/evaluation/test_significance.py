from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmseq.errors import ConfigError, InvalidDataError, ShapeError
from llmseq.evaluation.significance import (
    _distinct,
    bootstrap_interval,
    holm,
    paired_test,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def few_values(n, seed=0):
    return rng(seed).choice([0.0, 0.0, 0.0, 0.5, 1.0], size=n)


def many_values(n, seed=0):
    return rng(seed).random(n)


@pytest.mark.parametrize("make", [few_values, many_values])
def test_interval_is_that_of_the_normal_approximation(make):
    values = make(3000)
    low, high = bootstrap_interval(values, rng=rng(1), n_draws=4000)
    half = 1.96 * values.std() / np.sqrt(values.size)
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_interval_of_two_sessions_by_hand():
    # Draws of two out of (0, 1) have means 0, ½, ½, 1: each end has a quarter.
    values = np.array([0.0, 1.0])
    assert bootstrap_interval(values, rng=rng(), level=0.95) == (0.0, 1.0)
    assert bootstrap_interval(values, rng=rng(), level=0.4) == (0.5, 0.5)


def test_few_and_many_distinct_values_draw_the_same_distribution():
    values = few_values(400)
    spread = values + 1e-9 * np.arange(values.size)  # the same numbers, all of them distinct
    few = bootstrap_interval(values, rng=rng(1), n_draws=20_000)
    many = bootstrap_interval(spread, rng=rng(2), n_draws=20_000)
    assert few == pytest.approx(many, abs=0.003)


def test_people_are_drawn_whole():
    # Four people with 25 equal sessions each carry four numbers of information, not a hundred.
    people = np.repeat(np.arange(4), 25)
    values = np.repeat([0.0, 0.0, 1.0, 1.0], 25)
    low, high = bootstrap_interval(values, people, rng=rng())
    alone = bootstrap_interval(values, rng=rng())
    assert (low, high) == (0.0, 1.0)
    assert alone[0] > 0.35
    assert alone[1] < 0.65


def test_mean_over_people_weighs_sessions():
    # One person with three sessions at 1, one with a single session at 0: mean .75 or an extreme.
    people = np.array(["a", "a", "a", "b"], dtype=object)
    values = np.array([1.0, 1.0, 1.0, 0.0])
    assert bootstrap_interval(values, people, rng=rng(), level=0.4) == (0.75, 0.75)


def test_same_seed_same_interval():
    values = many_values(500)
    assert bootstrap_interval(values, rng=rng(7)) == bootstrap_interval(values, rng=rng(7))
    assert bootstrap_interval(values, rng=rng(7)) != bootstrap_interval(values, rng=rng(8))


def exact_p(differences):
    observed = abs(sum(differences))
    flips = [
        abs(sum(sign * each for sign, each in zip(signs, differences, strict=True)))
        for signs in product([1, -1], repeat=len(differences))
    ]
    return np.mean(np.array(flips) >= observed - 1e-12)


@pytest.mark.parametrize(
    "differences",
    [
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        [0.5, -0.25, 0.75, 0.1, 0.9, -0.3, 0.45],
        [1.0, 1.0, -1.0, 1.0, 0.0, 0.0, 1.0, 0.0],
        [1.0] * 16 + [-1.0] * 4 + [0.0] * 3,
    ],
)
def test_p_value_against_all_flips(differences):
    if len(differences) > 12:
        # 20 signs: P(|2 B − 20| ≥ 12) with B ~ Binomial(20, ½) = 2 Σ_{b ≤ 4} C(20, b) / 2^20
        exact = 2 * (1 + 20 + 190 + 1140 + 4845) / 2**20
    else:
        exact = exact_p(differences)
    baseline = rng(3).random(len(differences))
    result = paired_test(baseline + differences, baseline, rng=rng(), n_flips=40_000)
    assert result.p_value == pytest.approx(exact, abs=5 * np.sqrt(exact / 40_000) + 2e-4)


def test_p_value_is_never_zero():
    result = paired_test(np.ones(100), np.zeros(100), rng=rng(), n_flips=999)
    assert result.p_value == 1 / 1000


def test_p_values_are_uniform_where_nothing_differs():
    p_values = []
    draw = rng(5)
    for _ in range(400):
        a, b = draw.random((2, 30))
        p_values.append(paired_test(a, b, rng=draw, n_draws=1, n_flips=400).p_value)
    for share in (0.05, 0.25, 0.5, 0.75):
        expected = np.sqrt(share * (1 - share) / 400)
        assert np.mean(np.array(p_values) <= share) == pytest.approx(share, abs=4 * expected)


def test_flips_take_people_whole():
    # Two people: the signs are (±, ±), and both agree with the largest sum half of the time.
    people = np.repeat([0, 1], 50)
    result = paired_test(np.ones(100), np.zeros(100), people, rng=rng())
    assert result.p_value == pytest.approx(0.5, abs=0.03)


def test_comparison_by_hand():
    values, baseline = np.array([1.0, 0.5, 0.0, 1.0]), np.array([0.5, 0.5, 0.0, 0.5])
    result = paired_test(values, baseline, rng=rng())
    assert result.absolute == pytest.approx(0.25)
    assert result.relative == pytest.approx(0.25 / 0.375)
    low, high = result.interval
    assert 0.0 <= low < 0.25 < high <= 0.5


def test_paired_interval_is_of_the_difference():
    # The two models move together: the difference is always .1, however sessions are drawn.
    baseline = 0.2 + many_values(300)
    result = paired_test(baseline + 0.1, baseline, rng=rng())
    assert result.interval == pytest.approx((0.1, 0.1))
    low, high = result.relative_interval
    assert 0.1 / 0.8 < low < 0.1 / baseline.mean() < high < 0.1 / 0.6


def test_relative_difference_to_nothing_is_none():
    result = paired_test(np.ones(5), np.zeros(5), rng=rng())
    assert result.relative is None
    assert result.relative_interval is None
    assert result.interval == (1.0, 1.0)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_order_and_never_helps(p_values):
    adjusted = holm(p_values)
    order = np.argsort(p_values, kind="stable")
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
    assert np.all(np.diff(np.array(adjusted)[order]) >= 0)
    assert max(adjusted) <= 1
    assert min(adjusted) == pytest.approx(min(1.0, min(p_values) * len(p_values)))


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 0.25])),
        min_size=1,
        max_size=30,
    )
)
def test_distinct_rows_give_the_rows_back(rows):
    found, counts = _distinct(np.array(rows))
    again = sorted(map(tuple, np.repeat(found, counts, axis=0)))
    assert again == sorted(rows)
    assert len({tuple(row) for row in found}) == len(found)


def test_wrong_input_is_named():
    good = np.ones(3)
    with pytest.raises(ShapeError, match="at least one"):
        bootstrap_interval(np.empty(0), rng=rng())
    with pytest.raises(ShapeError, match=r"\(3,\) and \(2,\)"):
        paired_test(good, np.ones(2), rng=rng())
    with pytest.raises(ShapeError, match="3 sessions but groups"):
        bootstrap_interval(good, np.zeros(2), rng=rng())
    with pytest.raises(InvalidDataError, match="session 1 has no number"):
        bootstrap_interval(np.array([1.0, np.nan, 2.0]), rng=rng())
    with pytest.raises(ConfigError, match="n_draws must be at least 1, got 0"):
        bootstrap_interval(good, rng=rng(), n_draws=0)
    with pytest.raises(ConfigError, match="level"):
        bootstrap_interval(good, rng=rng(), level=1.0)
    with pytest.raises(InvalidDataError, match="between 0 and 1"):
        holm([0.5, 1.5])
