"""The trie of titles: sorted rows of tokens, so that a node is a range of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from llmseq.types import BoolArray, ItemArray


@dataclass(frozen=True, slots=True)
class Node:
    """All titles that begin with the same tokens: rows ``low`` to ``high``, ``depth`` tokens."""

    low: int
    high: int
    depth: int

    @property
    def n_titles(self) -> int:
        """Titles below it."""
        return self.high - self.low


@dataclass(frozen=True, eq=False, slots=True)
class Trie:
    """Titles as token rows in lexicographic order, none the beginning of another.

    Parameters
    ----------
    tokens : int32 (n_all, width)
        Sorted, −1 after the end. Shared by every subset.
    rows : int32 (n_titles,)
        The rows that this trie has, rising.
    """

    tokens: ItemArray
    rows: ItemArray

    @classmethod
    def of(cls, titles: Sequence[Sequence[int]]) -> tuple[Trie, ItemArray]:
        """Make one of different token lists; also gives each list's row, int32."""
        width = max(len(title) for title in titles)
        tokens = np.full((len(titles), width), -1, dtype=np.int32)
        for row, title in enumerate(titles):
            tokens[row, : len(title)] = title
        order = np.lexsort(tokens.T[::-1])
        place = np.empty(len(titles), dtype=np.int32)
        place[order] = np.arange(len(titles), dtype=np.int32)
        return cls(tokens[order], np.arange(len(titles), dtype=np.int32)), place

    def subset(self, kept: BoolArray) -> Trie:
        """Leave out titles; ``kept`` is bool (n_all,)."""
        return Trie(self.tokens, self.rows[kept[self.rows]])

    @property
    def root(self) -> Node:
        """All titles, after the tokens that all begin with."""
        return self.skip(Node(0, self.rows.size, 0))

    def skip(self, node: Node) -> Node:
        """Go down as long as there is but one way: to a choice, or to the end of the last title.

        Rows are sorted, so what the first and the last have in common all have.
        """
        if node.n_titles == 0:
            return node
        first, last = self.tokens[self.rows[[node.low, node.high - 1]]]
        if node.n_titles == 1:
            return Node(node.low, node.high, int((first >= 0).sum()))
        differ = first[node.depth :] != last[node.depth :]
        return Node(node.low, node.high, node.depth + int(np.argmax(differ)))

    def path(self, node: Node, start: int) -> ItemArray:
        """Tokens of a node from the depth ``start``."""
        return self.tokens[self.rows[node.low], start : node.depth]

    def choices(self, node: Node) -> tuple[ItemArray, ItemArray, ItemArray]:
        """Tokens that may follow, rising, and for each the ``low`` and ``high`` of its node."""
        column = self.tokens[self.rows[node.low : node.high], node.depth]
        starts = np.flatnonzero(np.concatenate([[True], column[1:] != column[:-1]]))
        ends = np.append(starts[1:], column.size)
        return (
            column[starts],
            (starts + node.low).astype(np.int32),
            (ends + node.low).astype(np.int32),
        )

    def branches(self, row: int) -> list[tuple[int, ItemArray]]:
        """Where a title's tokens have a choice: depth, and the tokens to choose from.

        ``row`` is one of ``rows``. Behind the last depth the title is the only one left.
        """
        found = []
        node = self.root
        position = int(np.searchsorted(self.rows, row))
        while node.n_titles > 1:
            tokens, lows, highs = self.choices(node)
            found.append((node.depth, tokens))
            child = int(np.searchsorted(lows, position, side="right")) - 1
            node = self.skip(Node(int(lows[child]), int(highs[child]), node.depth + 1))
        return found

    def used_tokens(self) -> NDArray[np.int64]:
        """Every token of any title, rising."""
        values = np.unique(self.tokens)
        return values[values >= 0].astype(np.int64)
