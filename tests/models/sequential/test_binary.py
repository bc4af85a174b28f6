from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from llmseq.models.sequential.config import SASRecConfig
from llmseq.models.sequential.objectives import (
    BinaryCrossEntropy,
    FullSoftmax,
    SampledSoftmax,
    binary,
    gbce_weight,
    make_objective,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(n_items, n_events, n_negatives, seed):
    """The negatives that an objective with this seed draws first, for each event its own."""
    return torch.randint(n_items, (n_events, n_negatives), generator=seeded(seed))


def log_sigmoid(score):
    return -math.log(1 + math.exp(-score))


@pytest.mark.parametrize("positive_weight", [1.0, 0.25])
@pytest.mark.parametrize("seed", range(5))
def test_by_hand(seed, positive_weight):
    hidden, vectors, targets = [1.0, -2.0], [0.5, 1.0, -1.0], [2, 1]
    each = drawn(3, 2, 4, seed).tolist()
    total = 0.0
    for state, target, negatives in zip(hidden, targets, each, strict=True):
        total -= positive_weight * log_sigmoid(state * vectors[target])
        total -= sum(log_sigmoid(-state * vectors[item]) for item in negatives if item != target)
    objective = BinaryCrossEntropy(4, seeded(seed), positive_weight=positive_weight)
    loss = objective(
        torch.tensor(hidden)[:, None], torch.tensor(vectors)[:, None], torch.tensor(targets)
    )
    assert loss.item() == pytest.approx(total / (2 * 5), rel=1e-5)


def test_the_target_is_never_its_own_negative():
    vectors = torch.tensor([[3.0]])  # a catalogue of one item: every negative is the target
    loss = BinaryCrossEntropy(4, seeded())(torch.tensor([[1.0]]), vectors, torch.tensor([0]))
    assert loss.item() == pytest.approx(-log_sigmoid(3.0) / 5)


def test_chunks_change_neither_the_loss_nor_the_gradients(monkeypatch):
    hidden, vectors = torch.randn(20, 4, generator=seeded(1)), torch.randn(7, 4)
    targets = torch.arange(20) % 7

    def gradients(chunk_rows):
        monkeypatch.setattr(binary, "_CHUNK_ROWS", chunk_rows)
        given = hidden.clone().requires_grad_(), vectors.clone().requires_grad_()
        loss = BinaryCrossEntropy(3, seeded())(*given, targets)
        loss.backward()
        return loss.detach(), given[0].grad, given[1].grad

    def plain():
        given = hidden.clone().requires_grad_(), vectors.clone().requires_grad_()
        scores, negatives = given[0] @ given[1].t(), drawn(7, 20, 3, 0)
        right = functional.logsigmoid(scores.gather(1, targets[:, None]))[:, 0]
        wrong = functional.logsigmoid(-scores.gather(1, negatives)) * (
            negatives != targets[:, None]
        )
        loss = -(right + wrong.sum(dim=1)).mean() / 4
        loss.backward()
        return loss.detach(), given[0].grad, given[1].grad

    for chunk_rows in (1, 6, 20, 64):
        for mine, theirs in zip(gradients(chunk_rows), plain(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


def test_scores_far_out_stay_finite():
    vectors = torch.tensor([[300.0], [-300.0]], requires_grad=True)
    loss = BinaryCrossEntropy(8, seeded())(torch.tensor([[1.0]]), vectors, torch.tensor([1]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(vectors.grad).all()


@pytest.mark.parametrize(
    ("n_negatives", "n_items", "calibration", "weight"),
    [
        (10, 101, 0.0, 1.0),
        (10, 101, 1.0, 0.1),
        (10, 101, 0.5, 0.55),  # α = .1: .1 · (.5 · (1 − 10) + 10)
        (256, 13, 0.75, 1.0),  # more negatives than items: nothing to calibrate for
    ],
)
def test_weight_of_the_positive_term(n_negatives, n_items, calibration, weight):
    assert gbce_weight(n_negatives, n_items, calibration) == pytest.approx(weight)


def test_the_seed_decides_and_the_generator_moves_on():
    hidden, vectors, targets = torch.randn(5, 3), torch.randn(90, 3), torch.arange(5)
    objective, same = BinaryCrossEntropy(4, seeded(3)), BinaryCrossEntropy(4, seeded(3))
    first, second = (objective(hidden, vectors, targets) for _ in range(2))
    assert torch.equal(first, same(hidden, vectors, targets))
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("full_softmax", FullSoftmax),
        ("sampled_softmax", SampledSoftmax),
        ("bce", BinaryCrossEntropy),
        ("gbce", BinaryCrossEntropy),
    ],
)
def test_settings_name_the_objective(name, kind):
    config = SASRecConfig(objective=name)
    assert isinstance(make_objective(config, torch.ones(9), seeded()), kind)


@pytest.mark.parametrize(("calibration", "weight"), [(0.0, 1.0), (1.0, 0.25), (0.5, 0.625)])
def test_gbce_is_weighted_for_the_catalogue_and_the_negatives(calibration, weight):
    config = SASRecConfig(objective="gbce", n_negatives=2, calibration=calibration)
    objective = make_objective(config, torch.ones(9, dtype=torch.int64), seeded(1))
    expected = BinaryCrossEntropy(2, seeded(1), positive_weight=weight)  # α = 2 / 8
    parts = torch.randn(4, 3), torch.randn(9, 3), torch.arange(4)
    torch.testing.assert_close(objective(*parts), expected(*parts))
