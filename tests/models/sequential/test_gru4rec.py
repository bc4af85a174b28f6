from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmseq.models.sequential.batches import PackedBatch
from llmseq.models.sequential.config import GRU4RecConfig
from llmseq.models.sequential.gru4rec import GRU4Rec
from llmseq.types import Ragged

N_ITEMS, DIM, HIDDEN, MAX_LENGTH = 9, 6, 5, 7


def network(seed=0, **changes):
    config = GRU4RecConfig(hidden_dim=HIDDEN, max_length=MAX_LENGTH, **changes)
    return GRU4Rec(DIM, config, torch.Generator().manual_seed(seed)).eval()


def item_vectors():
    return torch.randn(N_ITEMS, DIM, generator=torch.Generator().manual_seed(5))


def read(net, rows, vectors=None):
    """Hidden states (M, D) of sessions, end to end."""
    with torch.no_grad():
        batch = PackedBatch.pack(Ragged.from_lists(rows))
        return net(item_vectors() if vectors is None else vectors, batch)


def by_formula(net, items):
    """Read one session with the cell's formulas, event by event (Cho et al. 2014)."""
    gru = net.gru
    state, found = torch.zeros(HIDDEN), []
    for item in items:
        x = item_vectors()[item] * math.sqrt(DIM)
        from_input = gru.weight_ih_l0 @ x + gru.bias_ih_l0
        from_state = gru.weight_hh_l0 @ state + gru.bias_hh_l0
        reset, update = torch.sigmoid((from_input + from_state)[: 2 * HIDDEN]).split(HIDDEN)
        new = torch.tanh(from_input[2 * HIDDEN :] + reset * from_state[2 * HIDDEN :])
        state = (1 - update) * new + update * state
        found.append(net.out.weight @ state + net.out.bias)
    return torch.stack(found)


sessions = st.lists(st.integers(0, N_ITEMS - 1), max_size=MAX_LENGTH)


@settings(deadline=None, max_examples=40)
@given(rows=st.lists(sessions, min_size=1, max_size=7))
def test_a_packed_batch_equals_a_loop_over_its_sessions(rows):
    net, vectors = network(), item_vectors()
    with torch.no_grad():
        parts = [
            net.out(net.gru(vectors[row][:, None] * math.sqrt(DIM))[0][:, 0]) for row in rows if row
        ]
    expected = torch.cat(parts) if parts else torch.empty(0, DIM)
    torch.testing.assert_close(read(net, rows), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "rows",
    [
        [[1], [2, 3], [4, 5, 6]],
        [[4, 5, 6], [2, 3], [1]],
        [[2, 3], [4, 5, 6], [1], [7, 8, 0]],
        [[], [2, 3], [], [4, 5, 6], []],
    ],
    ids=["rising", "falling", "mixed", "empty between"],
)
def test_lengths_may_come_in_any_order(rows):
    net = network()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "bias" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(1))
        expected = torch.cat([by_formula(net, row) for row in rows if row])
    torch.testing.assert_close(read(net, rows), expected)


def test_no_event_sees_a_later_one():
    net = network()
    before, after = read(net, [[1, 2, 3, 4]]), read(net, [[1, 2, 3, 8]])
    torch.testing.assert_close(before[:3], after[:3])
    assert not torch.allclose(before[3], after[3])


def test_gradients_stay_inside_a_session():
    net, vectors = network(), item_vectors().requires_grad_()
    batch = PackedBatch.pack(Ragged.from_lists([[1, 2], [3, 4, 6], [5]]))
    net(vectors, batch)[3].sum().backward()
    touched = torch.nonzero(vectors.grad.abs().sum(dim=1)).flatten().tolist()
    assert touched == [3, 4]  # the second event of the second session


@pytest.mark.parametrize("rows", [[[]], [[], []]])
def test_nothing_to_read_gives_nothing(rows):
    assert read(network(), rows).shape == (0, DIM)


def test_the_input_scale_is_the_root_of_the_width_unless_set():
    rows, plain = [[1, 2, 3]], item_vectors()
    unscaled = network(input_scale=1.0)
    torch.testing.assert_close(
        read(network(), rows, plain), read(unscaled, rows, plain * math.sqrt(DIM))
    )
    assert not torch.allclose(read(network(), rows), read(unscaled, rows))


def test_a_prompt_is_its_newest_events():
    batch = network().prompts(Ragged.from_lists([list(range(9)), [4], []]))
    assert batch.items.tolist() == [2, 3, 4, 5, 6, 7, 8, 4]  # seven of the nine
    assert batch.newest().tolist() == [6, 7]


def test_dropout_acts_in_training_only():
    net = network(dropout=0.5)
    assert torch.equal(read(net, [[1, 2]]), read(net, [[1, 2]]))
    assert not torch.equal(read(net.train(), [[1, 2]]), read(net.eval(), [[1, 2]]))


def test_the_seed_decides_the_first_weights():
    torch.manual_seed(1)  # torch's own state must not matter
    first = network(1).state_dict()
    torch.manual_seed(2)
    same, other = network(1).state_dict(), network(2).state_dict()
    assert all(torch.equal(value, same[name]) for name, value in first.items())
    assert not torch.equal(first["gru.weight_hh_l0"], other["gru.weight_hh_l0"])
