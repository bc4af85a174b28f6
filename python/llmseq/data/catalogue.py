"""The catalogue: external ids, titles and texts; row number = item index everywhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from llmseq.errors import InvalidDataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmseq.types import FloatVector, IdArray, ItemArray


@dataclass(frozen=True, eq=False, slots=True)
class Catalogue:
    """Items in the order of the items file.

    Parameters
    ----------
    table : DataFrame
        Column ``item_id`` (string, unique), ``title`` and ``text`` (string, null where unknown),
        optionally ``item_time`` (number, larger is newer), and every other column of the
        items file as strings.

    Raises
    ------
    InvalidDataError
        If a column is missing or an id stands twice.
    """

    table: pl.DataFrame
    _index: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        missing = {"item_id", "title", "text"} - set(self.table.columns)
        if missing:
            raise InvalidDataError(f"a catalogue needs the columns {', '.join(sorted(missing))}")
        index = {item: row for row, item in enumerate(self.table["item_id"].to_list())}
        if len(index) < self.table.height:
            twice = self.table.filter(pl.col("item_id").is_duplicated())["item_id"][0]
            raise InvalidDataError(f'item_id "{twice}" stands more than once in the catalogue')
        object.__setattr__(self, "_index", index)

    @property
    def n_items(self) -> int:
        """Items in the catalogue."""
        return self.table.height

    @property
    def ids(self) -> IdArray:
        """External ids, object (n_items,)."""
        return np.array(self.table["item_id"].to_list(), dtype=object)

    @property
    def titles(self) -> list[str | None]:
        """Titles by item index; None where unknown."""
        return self.table["title"].to_list()

    @property
    def texts(self) -> list[str | None]:
        """Texts for the encoder by item index; None where an item has none."""
        return self.table["text"].to_list()

    @property
    def item_times(self) -> FloatVector | None:
        """Order in time of the items, float64 (n_items,), NaN where unknown; or None."""
        if "item_time" not in self.table.columns:
            return None
        return self.table["item_time"].cast(pl.Float64).fill_null(float("nan")).to_numpy()

    def index_of(self, ids: Iterable[str]) -> ItemArray:
        """Item indices of external ids, int32; −1 for ids that are not in the catalogue."""
        return np.fromiter((self._index.get(item, -1) for item in ids), dtype=np.int32)
