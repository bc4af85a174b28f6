from __future__ import annotations

from typing import get_args

import pytest
import torch

from llmseq.errors import ConfigError
from llmseq.models.sequential.config import SASRecConfig, TableMode
from llmseq.models.sequential.item_table import (
    AdapterTable,
    BoundedDeltaTable,
    IdentityBesideTextTable,
    IdentityPlusTextTable,
    InitialisedTable,
    NullSpaceTable,
    RandomTable,
    make_table,
)

MODES = get_args(TableMode)
TEXT = torch.tensor([[3.0, 4.0], [0.0, 1.0], [-1.0, 0.5]])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def set_to(parameter, values):
    with torch.no_grad():
        parameter.copy_(torch.tensor(values))


def made(mode, text, dim, **settings):
    config = SASRecConfig(item_table=mode, **settings)
    with torch.no_grad():
        return make_table(config, text, n_items=len(text), dim=dim, generator=seeded())


def test_random_rows_are_xavier_normal_times_the_scale():
    table = RandomTable(400, 100, 3.0, seeded())
    assert table().shape == (400, 100)
    assert table().std().item() == pytest.approx(3 * (2 / 500) ** 0.5, rel=0.02)
    assert table().requires_grad


def test_initialised_rows_start_from_the_text_and_are_trained():
    table = InitialisedTable(TEXT, 2.0)
    assert table().tolist() == [[6, 8], [0, 2], [-2, 1]]
    set_to(table.rows, [[1.0, 1.0]] * 3)
    assert table().tolist() == [[1, 1]] * 3
    assert table.from_text(TEXT[:1]).tolist() == [[6, 8]]


def test_the_adapter_maps_the_text_through_two_layers():
    table = AdapterTable(TEXT, 2, 2.0, seeded())
    set_to(table.adapter[0].weight, [[1.0, 0.0], [0.0, -1.0]])
    set_to(table.adapter[0].bias, [94.0, 100.0])  # so far up, GELU changes nothing
    set_to(table.adapter[2].weight, [[1.0, 1.0], [0.0, 2.0]])
    set_to(table.adapter[2].bias, [0.0, -1.0])
    # [3, 4] · 2 = [6, 8] → [100, 92] → [192, 184 − 1]
    assert table()[0].tolist() == [192, 183]
    torch.testing.assert_close(table.from_text(TEXT), table())


def test_a_bounded_row_is_the_text_plus_its_difference():
    table = BoundedDeltaTable(TEXT, 2.0, 0.5)
    assert table().tolist() == [[6, 8], [0, 2], [-2, 1]]
    set_to(table.rows, [[0.5, 0.0], [0.0, 0.0], [0.0, -0.25]])
    assert table().tolist() == [[6.5, 8], [0, 2], [-2, 0.75]]
    assert table.from_text(TEXT[:1]).tolist() == [[6, 8]]


def test_long_differences_are_shortened_and_short_ones_left_alone():
    table = BoundedDeltaTable(TEXT, 2.0, 0.5)  # differences up to length 1
    set_to(table.rows, [[30.0, -40.0], [0.6, 0.7], [0.0, 0.0]])
    table.constrain()
    assert table.rows[0].tolist() == pytest.approx([0.6, -0.8])
    assert torch.equal(table.rows[1:], torch.tensor([[0.6, 0.7], [0.0, 0.0]]))


def test_a_bound_of_zero_keeps_the_text():
    table = BoundedDeltaTable(TEXT, 1.0, 0.0)
    set_to(table.rows, [[1.0, 1.0]] * 3)
    table.constrain()
    assert torch.equal(table(), TEXT)


def test_null_space_keeps_the_leading_directions_and_trains_the_last():
    table = NullSpaceTable(TEXT, 1, 2.0, seeded())
    assert [name for name, _ in table.named_parameters()] == ["rows"]
    set_to(table.rows, [[7.0], [8.0], [9.0]])
    assert table().tolist() == [[6, 7], [0, 8], [-2, 9]]
    assert table.from_text(TEXT).tolist() == [[6, 0], [0, 0], [-2, 0]]


def test_identity_plus_text_adds_the_two():
    table = IdentityPlusTextTable(TEXT, 3, 2.0, seeded())
    set_to(table.project.weight, [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    set_to(table.rows, [[0.0, 0.0, 1.0]] * 3)
    assert table().tolist() == [[6, 8, 15], [0, 2, 3], [-2, 1, 0]]
    assert table.from_text(TEXT[:1]).tolist() == [[6, 8, 14]]


def test_identity_beside_text_joins_the_two():
    table = IdentityBesideTextTable(TEXT, 3, 1, 2.0, seeded())
    set_to(table.project.weight, [[1.0, 0.0], [1.0, 1.0]])
    set_to(table.rows, [[7.0], [8.0], [9.0]])
    assert table().tolist() == [[7, 6, 14], [8, 0, 2], [9, -2, -1]]
    assert table.from_text(TEXT[:1]).tolist() == [[0, 6, 14]]


@pytest.mark.parametrize("mode", ["llm_init", "frozen_adapter", "bounded_delta"])
def test_an_unseen_item_starts_where_a_trained_one_starts(mode):
    text = torch.randn(20, 8, generator=seeded(3))
    table = made(mode, text, 8, table_scale=1.5)
    torch.testing.assert_close(table.from_text(text), table())


@pytest.mark.parametrize("mode", ["null_space", "identity_plus_text", "identity_beside_text"])
def test_an_unseen_item_differs_from_an_untrained_one_by_its_identity_alone(mode):
    text = torch.randn(20, 8, generator=seeded(3))
    table = made(mode, text, 8, table_scale=1.5)
    assert not torch.equal(table.from_text(text), table())
    with torch.no_grad():
        table.rows.zero_()
    torch.testing.assert_close(table.from_text(text), table())


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_makes_rows_as_wide_as_the_table(mode):
    mapped = mode in {"frozen_adapter", "identity_plus_text", "identity_beside_text"}
    text = torch.randn(20, 5 if mapped else 8, generator=seeded(3))
    table = made(mode, text, 8)
    assert table().shape == (20, 8)
    if mode != "random":
        assert table.from_text(text[:3]).shape == (3, 8)


@pytest.mark.parametrize("mode", MODES)
def test_the_seed_decides_the_first_rows(mode):
    text = torch.randn(20, 8, generator=seeded(3))
    torch.manual_seed(1)  # torch's own state must not matter
    first = made(mode, text, 8)()
    torch.manual_seed(2)
    assert torch.equal(made(mode, text, 8)(), first)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "random"])
def test_the_text_given_is_not_written_to(mode):
    text = torch.randn(20, 8, generator=seeded(3))
    before = text.clone()
    table = made(mode, text, 8)
    with torch.no_grad():
        for parameter in table.parameters():
            parameter.fill_(5.0)
    table.constrain()
    assert torch.equal(text, before)


@pytest.mark.parametrize("mode", ["null_space", "identity_beside_text"])
@pytest.mark.parametrize(("identity_dim", "identity"), [(None, 4), (1, 1), (7, 7)])
def test_identity_takes_half_unless_told(mode, identity_dim, identity):
    table = made(mode, torch.randn(20, 8), 8, identity_dim=identity_dim)
    assert table.rows.shape == (20, identity)


@pytest.mark.parametrize("mode", ["null_space", "identity_beside_text"])
@pytest.mark.parametrize(("dim", "identity_dim"), [(8, 8), (8, 9), (1, None)])
def test_identity_without_room_for_text_is_an_error(mode, dim, identity_dim):
    with pytest.raises(ConfigError, match=r"identity_dim = \d leaves no room for text"):
        made(mode, torch.randn(20, dim), dim, identity_dim=identity_dim)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "random"])
def test_without_text_only_a_random_table_is_possible(mode):
    config = SASRecConfig(item_table=mode)
    with pytest.raises(ConfigError, match="is made from text vectors"):
        make_table(config, None, n_items=3, dim=2, generator=seeded())
