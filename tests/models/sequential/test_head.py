from __future__ import annotations

import torch
from torch.nn import functional

from llmseq.models.sequential.head import ProjectionHead, make_head


def head_with_biases(n_items=5):
    head = ProjectionHead(4, n_items, torch.Generator().manual_seed(0))
    with torch.no_grad():
        head.bias.copy_(torch.arange(1.0, n_items + 1))
        head.layer.bias.fill_(0.3)
        head.norm.weight.copy_(torch.tensor([1.0, 2.0, -1.0, 0.5]))
    return head


def test_the_dot_head_changes_nothing():
    head, values = make_head("dot", 4, 5, torch.Generator()), torch.randn(5, 4)
    assert head(values) is values
    assert head.outputs(values) is values
    assert head.unseen(values) is values
    assert not list(head.parameters())


def test_the_projection_is_linear_gelu_norm_against_rows_and_a_bias():
    head, hidden, vectors = head_with_biases(), torch.randn(3, 4), torch.randn(5, 4)
    read = functional.gelu(hidden @ head.layer.weight.t() + 0.3)
    centred = read - read.mean(dim=1, keepdim=True)
    normed = centred / (centred.square().mean(dim=1, keepdim=True) + 1e-5).sqrt()
    expected = (normed * head.norm.weight) @ vectors.t() + torch.arange(1.0, 6.0)
    torch.testing.assert_close(head(hidden) @ head.outputs(vectors).t(), expected)


def test_the_bias_is_one_more_dimension():
    head, vectors = head_with_biases(), torch.randn(5, 4)
    assert torch.equal(head.outputs(vectors)[:, :4], vectors)
    assert head.outputs(vectors)[:, 4].tolist() == [1, 2, 3, 4, 5]
    assert head(torch.randn(3, 4))[:, 4].tolist() == [1, 1, 1]


def test_unseen_items_get_the_mean_bias():
    unseen = torch.randn(2, 4)
    outputs = head_with_biases().unseen(unseen)
    assert torch.equal(outputs[:, :4], unseen)
    assert outputs[:, 4].tolist() == [3, 3]


def test_the_bias_starts_at_nothing_and_is_trained():
    head = make_head("projection", 4, 5, torch.Generator().manual_seed(0))
    assert head.bias.tolist() == [0] * 5
    # Of equal scores each item gets a fifth of each event: two of three events want item 0.
    scores = head(torch.zeros(3, 4)) @ head.outputs(torch.zeros(5, 4)).t()
    functional.cross_entropy(scores, torch.tensor([0, 0, 1])).backward()
    assert head.bias.grad[0] < 0 < head.bias.grad[4]


def test_the_seed_decides_the_first_weights():
    torch.manual_seed(1)  # torch's own state must not matter
    first = ProjectionHead(4, 5, torch.Generator().manual_seed(0)).layer.weight
    torch.manual_seed(2)
    same, other = (ProjectionHead(4, 5, torch.Generator().manual_seed(s)) for s in (0, 1))
    assert torch.equal(first, same.layer.weight)
    assert not torch.equal(first, other.layer.weight)
