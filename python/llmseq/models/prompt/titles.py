"""The names that items go by: titles, cleaned, cut and tokenised; which items share one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llmseq.errors import ConfigError, InvalidDataError
from llmseq.models.prompt.trie import Trie

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmseq.models.prompt.language_model import LanguageModel
    from llmseq.types import BoolArray, CountArray, ItemArray


def clean(title: str | None) -> str | None:
    r"""Put a title on one line; None where nothing is left.

    Examples
    --------
    >>> clean("  Soap,\n rose "), clean(" ")
    ('Soap, rose', None)
    """
    return " ".join((title or "").split()) or None


@dataclass(frozen=True, eq=False, slots=True)
class Titles:
    """Titles by item index.

    Parameters
    ----------
    texts : sequence of str or None
        Cleaned.
    counts : int64 (n_items,)
        Events in train: of items that share a title the one with more comes first.
    """

    texts: tuple[str | None, ...]
    counts: CountArray

    @classmethod
    def of(cls, titles: Sequence[str | None], counts: CountArray) -> Titles:
        """Clean titles.

        Raises
        ------
        InvalidDataError
            If no item has one.
        """
        texts = tuple(clean(title) for title in titles)
        if not any(texts):
            raise InvalidDataError("no item has a title; LLMSeqPrompt names items by their titles")
        return cls(texts, counts)

    @property
    def titled(self) -> BoolArray:
        """Items that have a title, bool (n_items,)."""
        return np.array([text is not None for text in self.texts], dtype=np.bool_)


@dataclass(frozen=True, eq=False, slots=True)
class TokenTitles:
    """Titles as the model reads and writes them in one place of a template.

    Parameters
    ----------
    tokens : list of lists of int
        By item index, without an end; empty for items without a title.
    trie : Trie
        Every different title with its end.
    row : int32 (n_items,)
        Of the trie; −1 for items without a title.
    items : list of int32 arrays
        By row, the items that share the title: more popular first, then lower index.
    n_cut : int
        Titles that were longer than allowed.
    end : int
        The token that ends a title.
    """

    tokens: list[list[int]]
    trie: Trie
    row: ItemArray
    items: list[ItemArray]
    n_cut: int
    end: int

    def rows_of(self, allowed: BoolArray) -> BoolArray:
        """Rows with an item among the allowed, bool (n_rows,)."""
        kept = np.zeros(len(self.items), dtype=np.bool_)
        kept[self.row[allowed & (self.row >= 0)]] = True
        return kept


def tokenise(
    lm: LanguageModel, titles: Titles, *, lead: str, end: int, max_tokens: int
) -> TokenTitles:
    """Tokenise titles for a place where ``lead`` (a space or nothing) stands before them.

    Raises
    ------
    ConfigError
        If a title has no token for this model.
    """
    known = [item for item, text in enumerate(titles.texts) if text is not None]
    encoded = lm.encode([f"{lead}{titles.texts[item]}" for item in known])
    tokens: list[list[int]] = [[] for _ in titles.texts]
    n_cut = 0
    for item, ids in zip(known, encoded, strict=True):
        own = [token for token in ids if token != end]
        if not own:
            raise ConfigError(
                f'the title "{titles.texts[item]}" has no token that {lm.base.name} can write'
            )
        n_cut += len(own) > max_tokens
        tokens[item] = own[:max_tokens]
    different = sorted({(*tokens[item], end) for item in known})
    trie, place = Trie.of(different)
    row_of = {title: int(place[number]) for number, title in enumerate(different)}
    row = np.full(len(tokens), -1, dtype=np.int32)
    sharing: list[list[int]] = [[] for _ in different]
    for item in known:
        row[item] = row_of[(*tokens[item], end)]
        sharing[row[item]].append(item)
    counts = titles.counts
    items = [
        np.array(sorted(some, key=lambda item: (-counts[item], item)), dtype=np.int32)
        for some in sharing
    ]
    return TokenTitles(tokens, trie, row, items, n_cut, end)
