"""Options of an import; names of columns default to those llmseq itself writes."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from llmseq.config import Config
from llmseq.errors import ConfigError


class ImportOptions(Config):
    """How to read a log and its items.

    Columns that are not named here are looked for under their default names and, but for the ids,
    left out where absent; a column that is named must be there.

    Parameters
    ----------
    log_header, items_header
        Names of the first columns of a log, and of an items file, that has no header line.
    encoding
        Python's name of the encoding of both files, where they are text.
    session_col, item_col, time_col, order_col
        Columns of the log: ``session_id``, ``item_id``, ``timestamp``, ``position`` by default.
        Events are ordered by time, then position, then their place in the file. A time in several
        columns ("day,clock") is read as their values with a space between them.
    user_col, session_gap
        The person's column; with a gap such as "30m", a person's events are cut into sessions
        wherever more time than that passes between two of them.
    id_col, title_col, text
        Columns of the items file: ``item_id`` (or the name in ``item_col``) and ``title`` by
        default; ``text`` is a template over any columns, "{title}" by default.
    item_time_col
        Column with a number or date by which items are older or newer: of the item-times file
        where one is given (its only other column by default), else of the items file
        (``item_time`` by default).
    five_core
        Drop until every session and item has five events.
    min_length, max_length, min_item_count
        Drop shorter and longer sessions and rarer items.
    drop_unused
        Drop the items that are left without an event.
    drop_duplicates
        Of items with the same id keep the first, instead of refusing the file.
    max_unknown
        Largest share of events that may name items which are not in the items file.
    max_untexted
        Largest share of items that may have no text.
    """

    log_header: tuple[str, ...] | None = None
    items_header: tuple[str, ...] | None = None
    encoding: str = "utf-8"
    session_col: str | None = None
    item_col: str | None = None
    time_col: str | None = None
    order_col: str | None = None
    user_col: str | None = None
    session_gap: str | None = None
    id_col: str | None = None
    title_col: str | None = None
    text: str | None = None
    item_time_col: str | None = None
    five_core: bool = False
    min_length: int = Field(default=1, ge=1)
    max_length: int | None = Field(default=None, ge=1)
    min_item_count: int = Field(default=1, ge=1)
    drop_unused: bool = False
    drop_duplicates: bool = False
    max_unknown: float = Field(default=0.1, ge=0, le=1)
    max_untexted: float = Field(default=0.1, ge=0, le=1)

    @field_validator("log_header", "items_header")
    @classmethod
    def _names_each_column(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names is not None and (not all(names) or len(set(names)) < len(names)):
            raise ConfigError(
                f'a header must name each column once, and none "", got "{",".join(names)}"'
            )
        return names

    @field_validator("encoding")
    @classmethod
    def _can_decode(cls, encoding: str) -> str:
        try:
            "".encode(encoding)
        except LookupError:
            raise ConfigError(
                f'encoding "{encoding}" is unknown; such as utf-8, latin-1 or cp1252'
            ) from None
        return encoding.lower()

    @model_validator(mode="after")
    def _cuts_make_sense(self) -> Self:
        if self.session_gap is not None and self.user_col is None:
            raise ConfigError("session_gap needs user_col (--user-col): whose events are to be cut")
        if self.session_gap is not None and self.session_col is not None:
            raise ConfigError("give session_col or session_gap, not both")
        if self.max_length is not None and self.max_length < self.min_length:
            raise ConfigError("max_length is below min_length")
        return self
