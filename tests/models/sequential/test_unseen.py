"""Items of no session take over what training added to their neighbours in text."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from llmseq.errors import ConfigError
from llmseq.models.sequential.config import SASRecConfig
from llmseq.models.sequential.item_table import InitialisedTable
from llmseq.models.sequential.unseen import UnseenItems

# Three trained items, then two new ones: one with the text of item 1, one between 0 and 2.
TEXT = np.array([[1, 0], [0, 1], [0, -1], [0, 2], [1, -1]], dtype=np.float32)
TRAINED = np.array([True, True, True, False, False])
MOVED = torch.tensor([[0.0, 8.0], [4.0, 0.0], [0.0, 0.0]])  # what training added


def placed(neighbours, scale=1.0, trained=TRAINED, text=TEXT):
    config = SASRecConfig(item_table="llm_init", unseen_neighbours=neighbours, unseen_scale=scale)
    table = InitialisedTable(torch.from_numpy(text[trained]), scale=1.0)
    moved = table().detach() + MOVED[: int(trained.sum())]
    return UnseenItems(text, trained, config).vectors(table, moved)


def test_without_neighbours_the_text_alone_counts():
    assert placed(0).tolist() == [[0, 2], [1, -1]]
    assert placed(0, scale=2.0).tolist() == [[0, 4], [2, -2]]


def test_the_nearest_text_lends_all_that_was_added_to_it():
    assert placed(1)[0].tolist() == [4, 2]  # its text and what item 1 got; lengths do not matter


def test_neighbours_equally_near_count_equally():
    near_two = placed(2)[1]  # items 0 and 2 have the same cosine: half of (0, 8)
    torch.testing.assert_close(near_two, torch.tensor([1.0, 3.0]))


def test_a_cosine_one_tenth_higher_counts_e_times_as_much():
    near = np.float32(np.cos(np.pi / 3))  # cosines to the two trained items: .5 and .4
    text = np.array([[1, 0], [0, 1], [near, 0.4]], dtype=np.float32)
    length = np.linalg.norm(text[2])
    weight = 1 / (1 + np.exp(-(near - 0.4) / length / 0.1))
    trained = np.array([True, True, False])
    expected = [near + 4 * (1 - weight), 0.4 + 8 * weight]
    torch.testing.assert_close(
        placed(2, trained=trained, text=text)[0], torch.tensor(expected, dtype=torch.float32)
    )


def test_more_neighbours_than_items_are_all_items():
    torch.testing.assert_close(placed(50), placed(3))


def test_no_text_and_no_unseen_items_are_no_trouble():
    text = TEXT.copy()
    text[3] = 0
    assert torch.isfinite(placed(2, text=text)).all()
    everything = np.ones(3, dtype=np.bool_)
    assert placed(2, trained=everything, text=TEXT[:3]).shape == (0, 2)


@pytest.mark.parametrize("wrong", [{"unseen_neighbours": -1}, {"unseen_scale": 0.0}])
def test_settings_out_of_range(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SASRecConfig.make({"item_table": "llm_init", **wrong}, what="model llm2sasrec")
