from __future__ import annotations

import pytest
import torch

from llmseq.models.sequential.dropout import Dropout


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(share):
    dropout = Dropout(share, torch.Generator().manual_seed(0))
    dropped = dropout(torch.ones(999, 101))
    assert (dropped == 0).float().mean().item() == pytest.approx(share, abs=0.01)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.03)
    assert torch.equal(dropout.eval()(torch.ones(3)), torch.ones(3))


def test_dropout_passes_gradients_where_it_passed_values():
    x = torch.ones(50, requires_grad=True)
    y = Dropout(0.5, torch.Generator().manual_seed(0))(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
