"""A made-up but lifelike shop: for the demo, tests and benches, at any size."""

from __future__ import annotations

import gzip
import html
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from pydantic import Field

from llmseq.config import Config
from llmseq.data.dataset import SessionDataset
from llmseq.data.sessions import Sessions
from llmseq.data.shop_items import DAY, make_items
from llmseq.data.shop_visits import make_visits
from llmseq.errors import ConfigError
from llmseq.types import Ragged

if TYPE_CHECKING:
    from pathlib import Path

_START = 1_672_531_200  # 2023-01-01 UTC


class ShopConfig(Config):
    """Size and nature of the shop; equal settings make equal shops.

    ``n_items`` and ``n_brands`` follow from ``n_sessions`` unless given.
    """

    n_sessions: int = Field(default=3000, ge=1)
    n_items: int | None = Field(default=None, ge=10)
    n_brands: int | None = Field(default=None, ge=2)
    mean_length: float = Field(default=6.0, ge=2)
    visits_per_person: float = Field(default=3.0, ge=1)
    n_days: int = Field(default=730, ge=30)
    new_share: float = Field(default=0.3, ge=0, le=0.9)
    untitled_share: float = Field(default=0.005, ge=0, le=0.1)
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True, slots=True)
class ShopFiles:
    """Where ``write_shop_files`` wrote."""

    interactions: Path
    items: Path


def make_shop(config: ShopConfig | None = None, **settings: object) -> SessionDataset:
    """Make a dataset of visits to a shop for cosmetics.

    Brands have product lines; titles name brand, line, ingredient, kind, need and size, so that
    texts tell what goes together. Visits follow routines (shampoo, then conditioner), so that order
    tells what comes next. There are seasons, launches while the log runs, people with habits, and
    a few items without a title. Millions of events take seconds.

    Parameters
    ----------
    config : ShopConfig, optional
        Or its settings by name, such as ``n_sessions=300, seed=1``.

    Returns
    -------
    SessionDataset
        Sessions in order of their start, with times and users.

    Raises
    ------
    ConfigError
        If a setting does not exist or is out of range.

    Examples
    --------
    >>> shop = make_shop(n_sessions=100, n_items=40, seed=1)
    >>> len(shop.sessions), shop.n_items
    (100, 40)
    """
    if config is not None and settings:
        raise ConfigError("give make_shop a config or settings by name, not both")
    config = config or ShopConfig.make(dict(settings), what="shop")
    n_items = config.n_items or max(60, round(22 * config.n_sessions**0.5))
    n_brands = config.n_brands or max(6, round(0.9 * n_items**0.5))
    rng = np.random.default_rng(config.seed)
    span = config.n_days * DAY
    items = make_items(
        n_items, n_brands, config.new_share, config.untitled_share, _START, span, rng
    )
    visits = make_visits(
        items, config.n_sessions, config.mean_length, config.visits_per_person, _START, span, rng
    )
    sessions = Sessions(
        np.array([f"v{number}" for number in range(1, config.n_sessions + 1)], dtype=object),
        Ragged.from_lengths(visits.items.astype(np.int32), visits.lengths),
        (_START + visits.times) * 1_000_000,
        visits.people.astype(np.int32),
    )
    return SessionDataset(
        items.catalogue, sessions, provenance={"source": "make_shop", "options": config.to_dict()}
    )


def write_shop_files(
    folder: Path, config: ShopConfig | None = None, **settings: object
) -> ShopFiles:
    """Write the shop as a shop keeps it: ``events.csv.gz`` and ``items.csv.gz``, a little messy.

    Rows of the log come in the order in which things happened, all sessions mixed; titles have
    HTML entities; a few events name items that are gone, a few rows are there twice.
    """
    shop = make_shop(config, **settings)
    rng = np.random.default_rng([shop.sessions.n_events, 1])
    sessions = shop.sessions
    ids = shop.catalogue.ids[sessions.items]
    gone = rng.random(ids.size) < 0.004
    ids[gone] = [f"X{number}" for number in rng.integers(100, 999, int(gone.sum()))]
    log = pl.DataFrame(
        {
            "session_id": pl.Series(sessions.ids[sessions.events.rows].tolist(), dtype=pl.String),
            "item_id": pl.Series(ids.tolist(), dtype=pl.String),
            "timestamp": pl.Series(sessions.times)
            .cast(pl.Datetime("us"))
            .dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    )
    twice = np.sort(
        np.append(np.arange(log.height), rng.integers(log.height, size=log.height // 2000))
    )
    log = log[twice].sort("timestamp", maintain_order=True)
    texts = [
        None if title is None else html.escape(title, quote=False)
        for title in shop.catalogue.titles
    ]
    items = shop.catalogue.table.drop("text", "item_time").with_columns(pl.Series("title", texts))
    folder.mkdir(parents=True, exist_ok=True)
    files = ShopFiles(folder / "events.csv.gz", folder / "items.csv.gz")
    for table, path in ((log, files.interactions), (items, files.items)):
        buffer = io.BytesIO()
        table.write_csv(buffer)
        path.write_bytes(gzip.compress(buffer.getvalue(), mtime=0))
    return files
