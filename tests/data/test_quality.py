"""Statistics worked by hand, and that they are plain values."""

from __future__ import annotations

import json

import numpy as np
import polars as pl

from llmseq.data.catalogue import Catalogue
from llmseq.data.dataset import SessionDataset
from llmseq.data.quality import describe
from llmseq.data.sessions import Sessions
from llmseq.types import Ragged


def test_by_hand():
    table = pl.DataFrame(
        {
            "item_id": ["a", "b", "c", "d"],
            "title": ["A", "A", None, "D"],
            "text": ["AA", "AAAA", None, "D"],
        }
    )
    day = 86_400_000_000
    sessions = Sessions(
        np.array(["x", "y", "z"], dtype=object),
        Ragged.from_lists([[0, 1, 0, 0], [1, 2], [2]]),
        np.array([0, 5, 5, 6, 1, 1, 2 * day]),
        np.array([0, 0, 1], dtype=np.int32),
    )
    found = describe(SessionDataset(Catalogue(table), sessions))
    assert found["sessions"]["count"] == 3
    assert found["sessions"]["people"] == 2
    assert found["sessions"]["of_one_event"] == 1
    assert found["sessions"]["last_item_seen_before"] == 0.5
    assert found["sessions"]["lengths"]["median"] == 2
    assert found["events"] == {"count": 7, "repeats": 2, "immediate_repeats": 1, "ties": 2}
    assert found["items"]["without_events"] == 1
    assert found["items"]["under_5_events"] == 4
    assert found["items"]["share_of_top_percent"] == 3 / 7
    assert found["items"]["with_times"] is None
    assert found["texts"]["items_with_text"] == 3
    assert found["texts"]["items_sharing_a_title"] == 2
    assert found["texts"]["share_of_events"] == 5 / 7
    assert found["texts"]["characters"]["max"] == 4
    assert found["times"] == {"first": "1970-01-01 00:00", "last": "1970-01-03 00:00", "days": 2.0}
    assert not found["split"]["possible"]
    assert "sessions" in found["split"]["why"]


def test_of_the_shop(shop):
    found = json.loads(json.dumps(describe(shop), allow_nan=False))
    assert found["split"]["possible"]
    assert found["split"]["sizes"]["train"] == 240
    assert found["fingerprint"] == shop.fingerprint()
