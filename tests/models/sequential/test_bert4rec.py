from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmseq.errors import ConfigError
from llmseq.models.sequential.batches import MASK, PackedBatch
from llmseq.models.sequential.bert4rec import BERT4Rec
from llmseq.models.sequential.blocks import BLOCKS
from llmseq.models.sequential.config import BERT4RecConfig
from llmseq.types import Ragged

N_ITEMS, DIM, MAX_LENGTH = 9, 8, 7


def network(seed=0, **changes):
    config = BERT4RecConfig(embedding_dim=DIM, max_length=MAX_LENGTH, n_heads=2, **changes)
    return BERT4Rec(DIM, config, torch.Generator().manual_seed(seed)).eval()


def item_vectors():
    return torch.randn(N_ITEMS, DIM, generator=torch.Generator().manual_seed(5))


def read(net, rows, vectors=None):
    """Hidden states (M, D) of sessions, end to end."""
    with torch.no_grad():
        batch = PackedBatch.pack(Ragged.from_lists(rows))
        return net(item_vectors() if vectors is None else vectors, batch)


sessions = st.lists(st.integers(MASK, N_ITEMS - 1), max_size=MAX_LENGTH)


@pytest.mark.parametrize("block", BLOCKS)
@settings(deadline=None, max_examples=15)
@given(rows=st.lists(sessions, min_size=1, max_size=6))
def test_a_packed_batch_equals_its_sessions_read_one_by_one(block, rows):
    net = network(block=block)
    expected = torch.cat([read(net, [row]) for row in rows])
    torch.testing.assert_close(read(net, rows), expected, rtol=1e-4, atol=1e-5)


def test_an_event_enters_as_its_scaled_vector_or_the_hidden_one_plus_its_age():
    net, entered = network(), []
    net.blocks[0].register_forward_pre_hook(lambda _, given: entered.append(given[0]))
    read(net, [[4, MASK, 2]])
    vectors, positions = item_vectors() * math.sqrt(DIM), net.positions
    expected = [
        vectors[4] + positions[2],
        net.hidden_event[0] + positions[1],
        vectors[2] + positions[0],
    ]
    torch.testing.assert_close(entered[0], torch.stack(expected))


@pytest.mark.parametrize("block", BLOCKS)
def test_every_event_sees_both_ways_but_no_other_session(block):
    net = network(block=block)
    before = read(net, [[5, 6], [1, MASK, 3], [7]])
    for changed in ([[5, 6], [8, MASK, 3], [7]], [[5, 6], [1, MASK, 8], [7]]):
        after = read(net, changed)
        assert not torch.allclose(before[3], after[3])
        torch.testing.assert_close(before[[0, 1, 5]], after[[0, 1, 5]])


@pytest.mark.parametrize("block", BLOCKS)
def test_gradients_stay_inside_a_session(block):
    net, vectors = network(block=block), item_vectors().requires_grad_()
    batch = PackedBatch.pack(Ragged.from_lists([[1, 2], [3, MASK, 4], [5]]))
    (net(vectors, batch)[3] * torch.arange(DIM)).sum().backward()
    touched = torch.nonzero(vectors.grad.abs().sum(dim=1)).flatten().tolist()
    assert touched == [3, 4]


def test_the_item_of_a_hidden_event_does_not_leak():
    # Each item stands once in its session: only the hidden event could carry its vector in.
    net, vectors = network(mask_prob=0.5), item_vectors().requires_grad_()
    windows = net.windows(Ragged.from_lists([[0, 1, 2, 3], [4, 5, 6, 7]]))
    for _ in range(5):
        for batch in windows.batches(1, torch.Generator().manual_seed(3)):
            shown = set(batch.items.tolist()) - {MASK}
            states = batch.answers(net(vectors, batch))
            weight = torch.arange(float(DIM))
            (found,) = torch.autograd.grad((states * weight).sum(), vectors)
            touched = set(torch.nonzero(found.abs().sum(dim=1)).flatten().tolist())
            assert touched == shown
            assert not touched & set(batch.wanted.tolist())


def test_hidden_events_are_told_apart_by_their_place():
    states = read(network(), [[MASK, 3, MASK]])
    assert not torch.allclose(states[0], states[2])


def test_a_prompt_ends_with_a_hidden_event_and_keeps_the_length():
    net = network()
    batch = net.prompts(Ragged.from_lists([list(range(9)), [5], [], [2, 3]]))
    rows = [[3, 4, 5, 6, 7, 8, MASK], [5, MASK], [MASK], [2, 3, MASK]]
    assert batch.items.tolist() == [item for row in rows for item in row]
    assert batch.longest == MAX_LENGTH
    assert batch.items[batch.newest()].tolist() == [MASK] * 4
    assert batch.sessions.tolist() == [i for i, row in enumerate(rows) for _ in row]


def test_the_windows_are_as_long_as_the_network_reads():
    windows = network(mask_prob=1.0).windows(Ragged.from_lists([list(range(9))]))
    (batch,) = windows.batches(1, torch.Generator().manual_seed(0))
    assert batch.wanted.tolist() == [2, 3, 4, 5, 6, 7, 8]


def test_the_seed_decides_the_first_weights():
    torch.manual_seed(1)  # torch's own state must not matter
    first = network(1).state_dict()
    torch.manual_seed(2)
    same, other = network(1).state_dict(), network(2).state_dict()
    assert all(torch.equal(value, same[name]) for name, value in first.items())
    assert not torch.equal(first["hidden_event"], other["hidden_event"])


def test_there_must_be_room_for_the_mask():
    with pytest.raises(ConfigError, match=r"max_length = 1: .*one place is the mask's"):
        BERT4RecConfig.make({"max_length": 1}, what="bert4rec")
