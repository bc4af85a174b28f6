from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmseq.models.sequential.batches import PackedBatch
from llmseq.models.sequential.blocks import BLOCKS
from llmseq.models.sequential.config import SASRecConfig
from llmseq.models.sequential.sasrec import SASRec
from llmseq.types import Ragged

N_ITEMS, DIM, MAX_LENGTH = 9, 8, 7


def network(config, seed=0):
    config = config.replace(embedding_dim=DIM, n_blocks=2, max_length=MAX_LENGTH)
    return SASRec(DIM, config, torch.Generator().manual_seed(seed)).eval()


def item_vectors():
    return torch.randn(N_ITEMS, DIM, generator=torch.Generator().manual_seed(5))


def read(net, rows, vectors=None):
    """Hidden states (M, D) of sessions, end to end."""
    with torch.no_grad():
        batch = PackedBatch.pack(Ragged.from_lists(rows))
        return net(item_vectors() if vectors is None else vectors, batch)


def reference(net, items):
    """Read one session by the formulas, head by head and event by event."""
    n = len(items)
    ages = torch.arange(n - 1, -1, -1)
    x = item_vectors()[torch.tensor(items)] * math.sqrt(DIM) + net.positions[ages]
    for block in net.blocks:
        normed = block.query_norm(x)
        query = block.query(normed)
        key, value = block.key_value(x)[:, :DIM], block.key_value(x)[:, DIM:]
        width = DIM // block.n_heads
        attended = torch.zeros_like(x)
        for start in range(0, DIM, width):
            head = slice(start, start + width)
            for i in range(n):
                logits = key[: i + 1, head] @ query[i, head] / math.sqrt(width)
                attended[i, head] = torch.softmax(logits, dim=0) @ value[: i + 1, head]
        x = block.feed_norm(normed + block.attended(attended))
        x = x + block.feed_out(torch.relu(block.feed_in(x)))
    return net.norm(x)


sessions = st.lists(st.integers(0, N_ITEMS - 1), min_size=1, max_size=MAX_LENGTH)


@settings(deadline=None, max_examples=30)
@given(rows=st.lists(sessions, min_size=1, max_size=6))
def test_a_packed_batch_equals_the_formulas(rows):
    net = network(SASRecConfig())
    with torch.no_grad():
        expected = torch.cat([reference(net, row) for row in rows])
    torch.testing.assert_close(read(net, rows), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("block", BLOCKS)
@settings(deadline=None, max_examples=15)
@given(rows=st.lists(st.one_of(sessions, st.just([])), min_size=1, max_size=6))
def test_a_packed_batch_equals_its_sessions_read_one_by_one(block, rows):
    net = network(SASRecConfig(block=block))
    expected = torch.cat([read(net, [row]) for row in rows])
    torch.testing.assert_close(read(net, rows), expected, rtol=1e-4, atol=1e-5)


def test_no_event_sees_a_later_one(tiny):
    net = network(tiny)
    before, after = read(net, [[1, 2, 3, 4]]), read(net, [[1, 2, 3, 8]])
    torch.testing.assert_close(before[:3], after[:3])
    assert not torch.allclose(before[3], after[3])


def test_no_session_sees_another(tiny):
    net = network(tiny)
    alone, beside = read(net, [[1, 2]]), read(net, [[7, 7, 7], [1, 2], [8]])
    torch.testing.assert_close(alone, beside[3:5])


def test_gradients_stay_inside_a_session(tiny):
    net, vectors = network(tiny), item_vectors().requires_grad_()
    batch = PackedBatch.pack(Ragged.from_lists([[1, 2], [3, 4], [5]]))
    (net(vectors, batch)[2] * torch.arange(DIM)).sum().backward()
    touched = torch.nonzero(vectors.grad.abs().sum(dim=1)).flatten().tolist()
    assert touched == [3]  # the first event of the second session sees itself alone


def test_positions_count_from_the_newest_event(tiny):
    net = network(tiny)
    with torch.no_grad():
        net.positions[2:] += 1.0  # ages that neither session has
    torch.testing.assert_close(read(net, [[4, 5]]), read(network(tiny), [[4, 5]]))


def test_the_input_scale_is_the_root_of_the_width_unless_set(tiny):
    rows, plain = [[1, 2, 3]], item_vectors()
    unscaled = network(tiny.replace(input_scale=1.0))
    torch.testing.assert_close(
        read(network(tiny), rows, plain), read(unscaled, rows, plain * math.sqrt(DIM))
    )
    assert not torch.allclose(read(network(tiny), rows), read(unscaled, rows))


def test_nothing_to_read_gives_nothing(tiny):
    assert read(network(tiny), [[]]).shape == (0, DIM)


def test_the_seed_decides_the_first_weights(tiny):
    first, same, other = (network(tiny, seed).positions for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_a_prompt_is_its_newest_events(tiny):
    net = network(tiny)
    batch = net.prompts(Ragged.from_lists([list(range(9)), [4], []]))
    assert batch.items.tolist() == [2, 3, 4, 5, 6, 7, 8, 4]  # seven of the nine
    assert batch.newest().tolist() == [6, 7]


def test_windows_ask_what_follows(tiny):
    (batch,) = (
        network(tiny).windows(Ragged.from_lists([list(range(9))])).batches(4, torch.Generator())
    )
    assert batch.items.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert batch.wanted.tolist() == [2, 3, 4, 5, 6, 7, 8]
