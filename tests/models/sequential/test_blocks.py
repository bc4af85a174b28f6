from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from llmseq.models.sequential.attention import Band
from llmseq.models.sequential.batches import PackedBatch
from llmseq.models.sequential.blocks import BLOCKS
from llmseq.models.sequential.dropout import Dropout
from llmseq.types import Ragged

DIM, HEADS = 6, 2


def make_block(kind, dropout=0.5):
    """A block with every weight away from its first value."""
    generator = torch.Generator().manual_seed(3)
    block = BLOCKS[kind](DIM, HEADS, Dropout(dropout, generator))
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.normal_(0.0, 0.6, generator=generator)
    return block.eval()


def attend(query, key, value, *, causal):
    """Attention of one session, head by head and event by event."""
    width, n = DIM // HEADS, len(query)
    attended = torch.zeros_like(query)
    for start in range(0, DIM, width):
        head = slice(start, start + width)
        for i in range(n):
            end = i + 1 if causal else n
            logits = key[:end, head] @ query[i, head] / math.sqrt(width)
            attended[i, head] = torch.softmax(logits, dim=0) @ value[:end, head]
    return attended


def self_attention(attention, x, *, causal):
    weight, bias = attention.query_key_value.weight, attention.query_key_value.bias
    parts = [
        x @ weight[start : start + DIM].t() + bias[start : start + DIM]
        for start in (0, DIM, 2 * DIM)
    ]
    return attention.attended(attend(*parts, causal=causal))


def original(block, x, *, causal):
    normed = block.query_norm(x)
    key, value = block.key_value(x)[:, :DIM], block.key_value(x)[:, DIM:]
    x = normed + block.attended(attend(block.query(normed), key, value, causal=causal))
    x = block.feed_norm(x)
    return x + block.feed_out(torch.relu(block.feed_in(x)))


def pre_norm(block, x, *, causal):
    x = x + self_attention(block.attention, block.attention_norm(x), causal=causal)
    return x + block.feed_out(functional.gelu(block.feed_in(block.feed_norm(x))))


def ligr(block, x, *, causal):
    attended = self_attention(block.attention, block.attention_norm(x), causal=causal)
    x = x + attended / (1 + torch.exp(-block.attention_gate(x)))
    both = block.feed_in(block.feed_norm(x))
    up, gate = both[:, : 4 * DIM], both[:, 4 * DIM :]
    fed = block.feed_out(up * gate / (1 + torch.exp(-gate)))
    return x + fed / (1 + torch.exp(-block.feed_gate(x)))


REFERENCES = {"original": original, "pre_norm": pre_norm, "ligr": ligr}


def packed(lengths):
    return PackedBatch.pack(Ragged.from_lists([[0] * length for length in lengths]))


def test_every_block_has_a_reference():
    assert set(REFERENCES) == set(BLOCKS)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("kind", BLOCKS)
@settings(deadline=None, max_examples=15)
@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_a_packed_batch_equals_the_formula_session_by_session(kind, causal, lengths, seed):
    block, batch = make_block(kind), packed(lengths)
    x = torch.randn(sum(lengths), DIM, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        ours = block(x, Band.of(batch, dtype=x.dtype, causal=causal))
        theirs = [REFERENCES[kind](block, part, causal=causal) for part in x.split(lengths)]
    torch.testing.assert_close(ours, torch.cat(theirs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("kind", BLOCKS)
def test_gradients_reach_what_an_event_sees_and_nothing_else(kind, causal):
    block, batch = make_block(kind), packed([2, 3, 1])
    x = torch.randn(6, DIM, requires_grad=True)
    weights = torch.arange(1.0, DIM + 1)
    (block(x, Band.of(batch, dtype=x.dtype, causal=causal))[3] * weights).sum().backward()
    touched = torch.nonzero(x.grad.abs().sum(dim=1)).flatten().tolist()
    assert touched == ([2, 3] if causal else [2, 3, 4])  # event 3 is the second of its session


@pytest.mark.parametrize("kind", BLOCKS)
def test_dropout_acts_in_training_only(kind):
    block, batch = make_block(kind), packed([4, 3])
    x = torch.randn(7, DIM)
    band = Band.of(batch, dtype=x.dtype)
    calm = block(x, band)
    assert torch.equal(block(x, band), calm)
    block.train()
    assert not torch.allclose(block(x, band), calm)


@pytest.mark.parametrize("kind", BLOCKS)
def test_without_dropout_training_changes_nothing(kind):
    block, batch = make_block(kind, dropout=0.0), packed([4, 3])
    x = torch.randn(7, DIM)
    band = Band.of(batch, dtype=x.dtype)
    torch.testing.assert_close(block.eval()(x, band), block.train()(x, band))
