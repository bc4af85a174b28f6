"""From texts that a model wrote to items: the title's own, or the nearest that is not listed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from llmseq.data.catalogue import Catalogue
from llmseq.embeddings.embed import embed_catalogue
from llmseq.embeddings.encoders import ControlVectors, VectorFile, get_encoder
from llmseq.embeddings.matrix import unit_rows
from llmseq.errors import ConfigError
from llmseq.models.prompt.titles import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmseq.models.prompt.titles import Titles
    from llmseq.types import BoolArray, FloatMatrix


@dataclass(slots=True)
class Written:
    """What came out of free decoding.

    Parameters
    ----------
    n_titles
        Titles that were written.
    n_repeats
        That stood in the same list already.
    n_unknown
        That are no title of the catalogue.
    """

    n_titles: int = 0
    n_repeats: int = 0
    n_unknown: int = 0


class Matcher:
    """Finds the item that a text means.

    Parameters
    ----------
    titles : Titles
    encoder : str
        Whose vectors say what is near.
    device : str
    """

    def __init__(self, titles: Titles, encoder: str, *, device: str = "cpu") -> None:
        made = get_encoder(encoder, device=device)
        if isinstance(made, VectorFile | ControlVectors):
            raise ConfigError(
                f'decoding.matcher = "{encoder}": ready vectors cannot read new texts'
            )
        self._encoder = made
        self._titles = titles
        self._known: dict[str, list[int]] = {}
        order = np.lexsort((np.arange(titles.counts.size), -titles.counts))
        for item in order.tolist():
            text = titles.texts[item]
            if text is not None:
                self._known.setdefault(text.casefold(), []).append(item)
        self._new: dict[str, FloatMatrix] = {}

    def items_of(self, text: str) -> list[int]:
        """Items whose title this is, more popular first; none if there is no such title."""
        return self._known.get((clean(text) or "").casefold(), [])

    def fill(self, texts: Sequence[str], allowed: BoolArray, k: int, written: Written) -> list[int]:
        """Give items for texts, best first, each item once and only allowed ones.

        Titles that the catalogue has come first, in the order given; then, in that order too, each
        repeat and each unknown title is replaced by the nearest allowed item that is not listed. A
        list stays short where the texts run out.
        """
        listed: list[int | str] = []  # an item, or a text to be replaced
        taken: set[int] = set()
        for text in texts[:k]:
            written.n_titles += 1
            known = self.items_of(text)
            item = next((i for i in known if i not in taken and allowed[i]), None)
            if not known:
                written.n_unknown += 1
            elif any(i in taken for i in known):
                written.n_repeats += 1
            if item is None:
                listed.append(text)
            else:
                taken.add(item)
                listed.append(item)
        found = []
        for place in listed:
            if not isinstance(place, str):
                found.append(place)
                continue
            free = allowed.copy()
            free[list(taken)] = False
            nearest = self._nearest(place, free)
            if nearest is not None:
                taken.add(nearest)
                found.append(nearest)
        return found

    def prepare(self, texts: Sequence[str]) -> None:
        """Make the vectors of unknown texts together, once for each text."""
        new = sorted({t for text in texts if (t := clean(text)) and not self.items_of(t)})
        new = [text for text in new if text not in self._new]
        if not new:
            return
        if self._encoder.independent:
            made = unit_rows(np.asarray(self._encoder.encode(new), dtype=np.float32))
        else:  # vectors of one call only can be compared
            titled = [text for text in self._titles.texts if text is not None]
            both = unit_rows(np.asarray(self._encoder.encode([*titled, *new]), dtype=np.float32))
            self._vectors = self._spread(both[: len(titled)])
            made, self._new = both[len(titled) :], {}
        self._new.update(zip(new, made, strict=True))

    @cached_property
    def _vectors(self) -> FloatMatrix:
        """Vectors of the titles, of length one; zeros for items without a title."""
        titled = [text for text in self._titles.texts if text is not None]
        if not self._encoder.independent:
            return self._spread(unit_rows(self._encoder.encode(titled)))
        table = pl.DataFrame(
            {"item_id": [str(row) for row in range(len(titled))], "title": titled, "text": titled}
        )
        return self._spread(unit_rows(embed_catalogue(Catalogue(table), self._encoder).vectors))

    def _spread(self, vectors: FloatMatrix) -> FloatMatrix:
        whole = np.zeros((len(self._titles.texts), vectors.shape[1]), dtype=np.float32)
        whole[self._titles.titled] = vectors
        return whole

    def _nearest(self, text: str, free: BoolArray) -> int | None:
        places = np.flatnonzero(free)
        cleaned = clean(text)
        if not places.size or cleaned is None:
            return None
        known = self.items_of(cleaned)
        vector = self._vectors[known[0]] if known else self._new[cleaned]
        return int(places[np.argmax(self._vectors[places] @ vector)])
