from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from llmseq.models.sequential.objectives.sampled import SampledSoftmax


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(n_items, n_negatives, seed):
    """The negatives that an objective with this seed draws first."""
    return torch.randint(n_items, (n_negatives,), generator=seeded(seed)).tolist()


@pytest.mark.parametrize("seed", range(4))
def test_by_hand(seed):
    counts, hidden, vectors = [1, 3, 4, 2], [1.0, -2.0], [0.5, 1.0, -1.0, 2.0]
    targets = [2, 1]
    total = 0.0
    chosen = sorted({*targets, *drawn(4, 2, seed)})
    for state, target in zip(hidden, targets, strict=True):
        lowered = {}
        for item in chosen:
            missing = (1 - counts[item] / 10) ** 2 * (1 - 1 / 4) ** 2  # two targets, two negatives
            lowered[item] = state * vectors[item] - math.log(1 - missing)
        total += math.log(sum(map(math.exp, lowered.values()))) - lowered[target]
    objective = SampledSoftmax(2, torch.tensor(counts), seeded(seed))
    loss = objective(
        torch.tensor(hidden)[:, None], torch.tensor(vectors)[:, None], torch.tensor(targets)
    )
    assert loss.item() == pytest.approx(total / 2, rel=1e-5)


def test_the_correction_is_the_share_of_batches_that_hold_an_item():
    counts, n_targets, n_negatives = np.array([0, 1, 2, 5, 12]), 3, 2
    objective = SampledSoftmax(n_negatives, torch.from_numpy(counts), seeded())
    said = objective.log_inclusion(torch.arange(5), n_targets=n_targets, n_items=5).exp()
    rng, n = np.random.default_rng(0), 40_000
    targets = rng.choice(5, p=counts / counts.sum(), size=(n, n_targets))
    sets = np.concatenate([targets, rng.integers(5, size=(n, n_negatives))], axis=1)
    found = [(sets == item).any(axis=1).mean() for item in range(5)]
    np.testing.assert_allclose(said.numpy(), found, atol=0.01)


def test_an_item_that_is_every_target_is_always_there():
    objective = SampledSoftmax(1, torch.tensor([7, 0]), seeded())
    said = objective.log_inclusion(torch.tensor([0, 1]), n_targets=9, n_items=2).exp()
    assert said.tolist() == pytest.approx([1.0, 0.5])


@pytest.mark.parametrize("seed", range(6))
def test_a_negative_that_is_the_target_stands_in_the_set_once(seed):
    objective = SampledSoftmax(1, torch.tensor([1, 1]), seeded(seed))
    loss = objective(torch.tensor([[1.0]]), torch.tensor([[2.0], [2.0]]), torch.tensor([0]))
    # Alone it is certain; beside the other, equally likely one it is one of two.
    expected = 0.0 if drawn(2, 1, seed) == [0] else math.log(2)
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_both_of_those_happened():
    assert {drawn(2, 1, seed)[0] for seed in range(6)} == {0, 1}


def test_with_every_item_drawn_it_is_the_full_softmax():
    hidden, vectors = torch.randn(20, 4, generator=seeded(1)), torch.randn(7, 4)
    targets = torch.arange(20) % 7
    hidden.requires_grad_()
    ours = SampledSoftmax(500, torch.ones(7, dtype=torch.int64), seeded())
    full = functional.cross_entropy(hidden @ vectors.t(), targets)
    loss = ours(hidden, vectors, targets)
    torch.testing.assert_close(loss, full)
    gradients = [torch.autograd.grad(value, hidden)[0] for value in (loss, full)]
    torch.testing.assert_close(*gradients)


def test_only_rows_of_the_set_get_gradients():
    vectors = torch.randn(50, 3, requires_grad=True)
    targets = torch.tensor([4, 9])
    objective = SampledSoftmax(3, torch.ones(50, dtype=torch.int64), seeded(5))
    objective(torch.randn(2, 3), vectors, targets).backward()
    touched = torch.nonzero(vectors.grad.abs().sum(dim=1)).flatten().tolist()
    assert touched == sorted({4, 9, *drawn(50, 3, 5)})


def test_the_seed_decides_and_the_generator_moves_on():
    hidden, vectors, targets = torch.randn(5, 3), torch.randn(90, 3), torch.arange(5)
    counts = torch.ones(90, dtype=torch.int64)
    objective, same = SampledSoftmax(4, counts, seeded(3)), SampledSoftmax(4, counts, seeded(3))
    first, second = (objective(hidden, vectors, targets) for _ in range(2))
    assert torch.equal(first, same(hidden, vectors, targets))
    assert not torch.equal(first, second)
