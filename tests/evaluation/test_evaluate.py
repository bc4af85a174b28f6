import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmseq.data.sessions import HeldOut, Sessions
from llmseq.errors import ConfigError, ShapeError
from llmseq.evaluation.evaluate import evaluate, list_diversity, over_seeds
from llmseq.recommendations import Recommendations
from llmseq.types import Ragged


def lists(rows, k=None):
    width = k or max(len(row) for row in rows)
    items = np.array([list(row) + [-1] * (width - len(row)) for row in rows], dtype=np.int32)
    return Recommendations(items, np.where(items < 0, -np.inf, 1.0).astype(np.float32))


def straightforward(rows, targets, k, popularity, n_items):
    """Every metric in the plainest Python, of one definition each."""
    order = sorted(range(n_items), key=lambda item: (-popularity[item], item))
    favourites = set(order[:k])
    total = sum(popularity)
    sums = dict.fromkeys(("ndcg", "hr", "mrr", "recall", "precision", "map", "serendipity"), 0.0)
    novelty = []
    for row, wanted in zip(rows, targets, strict=True):
        ranks = [rank for rank, item in enumerate(row[:k], start=1) if item in wanted]
        ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(wanted)) + 1))
        sums["ndcg"] += sum(1 / math.log2(rank + 1) for rank in ranks) / ideal
        sums["hr"] += bool(ranks)
        sums["mrr"] += 1 / ranks[0] if ranks else 0
        sums["recall"] += len(ranks) / len(wanted)
        sums["precision"] += len(ranks) / k
        precisions = [number / rank for number, rank in enumerate(ranks, start=1)]
        sums["map"] += sum(precisions) / min(k, len(wanted))
        sums["serendipity"] += any(item in wanted and item not in favourites for item in row[:k])
        if row:
            bits = [-math.log2(max(popularity[item], 1) / total) for item in row[:k]]
            novelty.append(sum(bits) / len(bits))
    means = {f"{name}@{k}": value / len(rows) for name, value in sums.items()}
    means[f"novelty@{k}"] = sum(novelty) / len(novelty)
    means[f"coverage@{k}"] = len({item for row in rows for item in row[:k]}) / n_items
    return means


def test_metrics_equal_the_straightforward_ones():
    draw = np.random.default_rng(4)
    n_items = 30
    rows = [draw.permutation(n_items)[: draw.integers(0, 9)].tolist() for _ in range(60)]
    targets = [set(draw.permutation(n_items)[: draw.integers(1, 4)].tolist()) for _ in range(60)]
    popularity = draw.integers(0, 6, n_items)
    result = evaluate(
        lists(rows),
        Ragged.from_lists([sorted(each) for each in targets]),
        ks=(3, 10),
        popularity=popularity,
        n_items=n_items,
    )
    for k in (3, 10):
        expected = straightforward(rows, targets, k, popularity.tolist(), n_items)
        assert {name: result.means[name] for name in expected} == pytest.approx(expected)
    assert result.n_sessions == 60
    assert result.per_session["ndcg@3"].mean() == pytest.approx(result.means["ndcg@3"])


def test_held_out_and_its_targets_score_alike():
    held_out = HeldOut(Sessions.from_lists([[0], [2, 3]]), Ragged.from_lists([[1], [4]]))
    recommended = lists([[1, 2], [5, 4]])
    assert evaluate(recommended, held_out).means == evaluate(recommended, held_out.targets).means


def test_nothing_listed_leaves_novelty_out():
    result = evaluate(lists([[]], k=2), Ragged.from_lists([[1]]), popularity=np.array([3, 1]))
    assert result.means["hr@10"] == 0.0
    assert "novelty@10" not in result.means
    assert "novelty@10" not in result.per_session


def test_intervals_leave_out_sessions_without_a_value():
    popularity = np.array([4, 2, 2])
    result = evaluate(
        lists([[0], [], [1]]), Ragged.from_lists([[0], [0], [1]]), ks=(1,), popularity=popularity
    )
    found = result.intervals(np.array([7, 8, 9]), rng=np.random.default_rng(0))
    assert found["novelty@1"] == (1.0, 2.0)  # −log2(4/8) and −log2(2/8)
    assert found["hr@1"][0] < result.means["hr@1"] <= found["hr@1"][1]
    assert "coverage@1" not in found


def test_diversity_by_hand():
    # Cosines: 0 between x and y, 1/√2 between either and the diagonal, whose length is irrelevant.
    vectors = np.array([[1, 0], [0, 1], [5, 5], [0, 0]], dtype=np.float32)
    items = np.array([[0, 1, 2], [0, 2, -1], [0, -1, -1], [0, 0, 3]], dtype=np.int32)
    found = list_diversity(items, vectors, (1, 2, 3))
    assert set(found) == {"diversity@2", "diversity@3"}
    half = 1 / math.sqrt(2)
    assert found["diversity@2"] == pytest.approx([1, 1 - half, np.nan, 0], abs=1e-6, nan_ok=True)
    expected = [1 - 2 * half / 3, 1 - half, np.nan, 1 - 1 / 3]
    assert found["diversity@3"] == pytest.approx(expected, abs=1e-6, nan_ok=True)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_diversity_equals_all_pairs(seed):
    draw = np.random.default_rng(seed)
    vectors = draw.normal(size=(12, 5)).astype(np.float32)
    rows = [draw.permutation(12)[: draw.integers(2, 9)].tolist() for _ in range(6)]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    result = evaluate(lists(rows), Ragged.from_lists([[0]] * 6), ks=(4,), vectors=vectors)
    naive = [np.mean([1 - unit[a] @ unit[b] for a, b in combinations(row[:4], 2)]) for row in rows]
    assert result.per_session["diversity@4"] == pytest.approx(naive, abs=1e-5)
    assert result.means["diversity@4"] == pytest.approx(np.mean(naive), abs=1e-5)


def test_over_seeds_averages_sessions():
    targets = Ragged.from_lists([[0], [1]])
    runs = [evaluate(lists(rows), targets, ks=(1,)) for rows in ([[0], [1]], [[0], [2]])]
    averaged, spread = over_seeds(runs)
    assert averaged.per_session["hr@1"].tolist() == [1.0, 0.5]
    assert averaged.means["hr@1"] == 0.75
    assert spread["hr@1"] == pytest.approx(np.std([1.0, 0.5], ddof=1))
    assert over_seeds(runs[:1]) == (runs[0], {})


def test_wrong_input_is_named():
    targets = Ragged.from_lists([[0], [1]])
    with pytest.raises(ShapeError, match="1 lists but 2 sessions"):
        evaluate(lists([[0]]), targets)
    with pytest.raises(ConfigError, match="k must be at least 1, got 0, 5"):
        evaluate(lists([[0], [1]]), targets, ks=(5, 0))
    with pytest.raises(ConfigError, match="got none"):
        evaluate(lists([[0], [1]]), targets, ks=())
    with pytest.raises(ShapeError, match="same sessions"):
        over_seeds([])
