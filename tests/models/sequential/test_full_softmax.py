from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from llmseq.models.sequential.objectives.full import FullSoftmax, find_precision


def gradients(loss, hidden, vectors, targets):
    hidden = hidden.clone().requires_grad_()
    vectors = vectors.clone().requires_grad_()
    value = loss(hidden, vectors, targets)
    value.backward()
    return value.detach(), hidden.grad, vectors.grad


def plain(hidden, vectors, targets):
    return functional.cross_entropy(hidden @ vectors.t(), targets)


def test_by_hand():
    # One event, two items: logits 2 and 0, the second is wanted: ln(e² + e⁰) − 0.
    hidden, vectors = torch.tensor([[2.0]]), torch.tensor([[1.0], [0.0]])
    loss, by_hidden, by_vectors = gradients(
        FullSoftmax(precision="float32"), hidden, vectors, torch.tensor([1])
    )
    first = math.exp(2) / (math.exp(2) + 1)  # probability of the first item
    assert loss.item() == pytest.approx(math.log(math.exp(2) + 1), rel=1e-6)
    assert by_hidden.tolist() == [[pytest.approx(first, rel=1e-6)]]
    assert by_vectors.flatten().tolist() == pytest.approx([2 * first, -2 * first], rel=1e-6)


@pytest.mark.parametrize("chunk_rows", [1, 7, 64, 256])
@pytest.mark.parametrize("n_items", [1, 31, 64, 257])
def test_equals_plain_cross_entropy(chunk_rows, n_items):
    generator = torch.Generator().manual_seed(n_items)
    hidden = torch.randn(64, 12, generator=generator)
    vectors = torch.randn(n_items, 12, generator=generator)
    targets = torch.randint(n_items, (64,), generator=generator)
    ours = gradients(
        FullSoftmax(precision="float32", chunk_rows=chunk_rows), hidden, vectors, targets
    )
    for mine, theirs in zip(ours, gradients(plain, hidden, vectors, targets), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


def test_stays_finite_and_exact_where_probabilities_vanish():
    # Logits of ±400: the target's probability is below the smallest float32.
    hidden = torch.tensor([[20.0], [20.0]])
    vectors = torch.tensor([[20.0], [-20.0], [0.0]])
    targets = torch.tensor([1, 0])
    ours = gradients(FullSoftmax(precision="float32"), hidden, vectors, targets)
    assert ours[0].item() == pytest.approx(400.0)  # (800 + 0) / 2
    for mine, theirs in zip(ours, gradients(plain, hidden, vectors, targets), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


def test_the_buffer_is_reused_and_holds_a_chunk_only():
    objective = FullSoftmax(precision="float32", chunk_rows=8)
    hidden, vectors = torch.randn(100, 4), torch.randn(50, 4)
    targets = torch.zeros(100, dtype=torch.int64)
    first = objective(hidden, vectors, targets)
    room = objective.buffer(hidden.device, 64)
    assert room.shape == (8, 64)  # 50 items, rounded up
    assert objective(hidden, vectors, targets) == first
    assert objective.buffer(hidden.device, 64) is room


def test_a_scaled_loss_scales_the_gradients():
    hidden, vectors, targets = torch.randn(5, 3), torch.randn(4, 3), torch.tensor([0, 1, 2, 3, 0])
    single = gradients(FullSoftmax(precision="float32"), hidden, vectors, targets)

    def thrice(*parts):
        return 3 * FullSoftmax(precision="float32")(*parts)

    for one, three in zip(single, gradients(thrice, hidden, vectors, targets), strict=True):
        torch.testing.assert_close(3 * one, three)


def test_bfloat16_stays_near_in_value_and_direction():
    # Products are rounded to 8 bits: the loss to 1 %, gradients to 1 % in length and 2° of angle.
    generator = torch.Generator().manual_seed(9)
    hidden = torch.randn(300, 16, generator=generator)
    vectors = torch.randn(257, 16, generator=generator)
    targets = torch.randint(257, (300,), generator=generator)
    ours = gradients(FullSoftmax(precision="bfloat16"), hidden, vectors, targets)
    exact = gradients(plain, hidden, vectors, targets)
    assert ours[0].item() == pytest.approx(exact[0].item(), rel=0.01)
    for mine, theirs in zip(ours[1:], exact[1:], strict=True):
        assert mine.dtype == torch.float32
        assert mine.norm().item() == pytest.approx(theirs.norm().item(), rel=0.01)
        cosine = functional.cosine_similarity(mine.flatten(), theirs.flatten(), dim=0)
        assert cosine.item() > math.cos(math.radians(2))


def test_bfloat16_does_not_touch_what_it_was_given():
    hidden, vectors = torch.randn(5, 3), torch.randn(4, 3)
    before = hidden.clone(), vectors.clone()
    FullSoftmax(precision="bfloat16")(hidden, vectors, torch.tensor([0, 1, 2, 3, 0]))
    assert torch.equal(hidden, before[0])
    assert torch.equal(vectors, before[1])


@pytest.mark.parametrize(("amx", "avx"), [(False, False), (True, False), (False, True)])
def test_auto_takes_bfloat16_where_the_processor_multiplies_it(monkeypatch, amx, avx):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)
    expected = torch.bfloat16 if amx or avx else torch.float32
    assert find_precision("auto", torch.device("cpu")) == expected
    assert find_precision("float32", torch.device("cpu")) == torch.float32
    assert find_precision("bfloat16", torch.device("cpu")) == torch.bfloat16
