"""Length limits and the k-core, against a naive loop."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llmseq.data.filters import core, drop_long
from llmseq.data.sessions import Sessions

ROWS = st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=12)


def naive_core(rows, min_length, min_item_count):
    while True:
        flat = [item for row in rows for item in row]
        after = [[i for i in row if flat.count(i) >= min_item_count] for row in rows]
        after = [row for row in after if len(row) >= max(1, min_length)]
        if after == rows:
            return rows
        rows = after


@given(ROWS, st.integers(1, 3), st.integers(1, 4))
def test_core_is_what_the_loop_finds(rows, min_length, min_item_count):
    kept = core(Sessions.from_lists(rows), 6, min_length, min_item_count)
    assert [row.tolist() for row in (kept[i] for i in range(len(kept)))] == naive_core(
        rows, min_length, min_item_count
    )


def test_ids_follow_the_rows_that_stay():
    sessions = Sessions.from_lists([[0], [1, 2], [0, 1, 2]], ids=["a", "b", "c"])
    assert core(sessions, 3, 2, 1).ids.tolist() == ["b", "c"]
    assert drop_long(sessions, 2).ids.tolist() == ["a", "b"]
