"""Items of the made-up shop: brands, their product lines, and titles that tell what a thing is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from llmseq.data.catalogue import Catalogue
from llmseq.data.shop_words import DEPARTMENTS, INGREDIENTS, brand_names, line_names

if TYPE_CHECKING:
    from llmseq.types import FloatVector, OffsetArray

DAY = 86_400
_CATEGORIES = [category for department in DEPARTMENTS for category in department.categories]
DEPARTMENT_OF = np.repeat(
    np.arange(len(DEPARTMENTS)), [len(department.categories) for department in DEPARTMENTS]
)
FIRST_CATEGORY = np.searchsorted(DEPARTMENT_OF, np.arange(len(DEPARTMENTS)))
N_CATEGORIES_OF = np.bincount(DEPARTMENT_OF)
N_CATEGORIES = len(_CATEGORIES)
N_CONCERNS = max(len(department.concerns) for department in DEPARTMENTS)
_OLDEST = 3 * 365 * DAY


@dataclass(frozen=True, eq=False, slots=True)
class ShopItems:
    """What the generator of visits knows of each item; every array has one entry an item.

    ``launched`` is in seconds after the first day of the log, negative for older items;
    ``weight`` is how much an item is asked for among its like.
    """

    catalogue: Catalogue
    category: OffsetArray
    brand: OffsetArray
    line: OffsetArray
    concern: OffsetArray
    launched: OffsetArray
    weight: FloatVector
    n_brands: int
    brand_weight: FloatVector


def make_items(
    n_items: int,
    n_brands: int,
    new_share: float,
    untitled_share: float,
    start: int,
    span: int,
    rng: np.random.Generator,
) -> ShopItems:
    """Make the catalogue.

    Parameters
    ----------
    new_share : float
        Share of product lines that are launched while the log runs.
    untitled_share : float
        Share of items whose title is missing.
    start, span : int
        Seconds since 1970 at which the log starts, and how many it runs.
    """
    n_lines = max(1, -(-n_items // 4))
    brand_weight = rng.lognormal(0.0, 0.9, n_brands)
    homes = rng.integers(len(DEPARTMENTS), size=(n_brands, 2))
    line_brand = rng.choice(n_brands, n_lines, p=brand_weight / brand_weight.sum())
    line_department = homes[line_brand, (rng.random(n_lines) < 0.3).astype(np.int64)]
    n_concerns = np.array([len(department.concerns) for department in DEPARTMENTS])
    line_concern = (rng.random(n_lines) * n_concerns[line_department]).astype(np.int64)
    line_ingredient = rng.integers(len(INGREDIENTS), size=n_lines)
    is_new = rng.random(n_lines) < new_share
    line_launched = np.where(
        is_new, rng.integers(0, span, n_lines), -rng.integers(1, _OLDEST, n_lines)
    )
    line_weight = brand_weight[line_brand] ** 0.5 * rng.lognormal(0.0, 0.6, n_lines)
    # every line may have a product in every category of its department; take n_items of those,
    # again from the start (another size of the same thing) if there are too few
    slots_line = np.repeat(np.arange(n_lines), N_CATEGORIES_OF[line_department])
    first_slot = np.searchsorted(slots_line, np.arange(n_lines))
    slots_category = np.arange(slots_line.size) - first_slot[slots_line]
    slots_category += FIRST_CATEGORY[line_department[slots_line]]
    rounds = -(-n_items // slots_line.size)
    chosen = np.concatenate([rng.permutation(slots_line.size) for _ in range(rounds)])[:n_items]
    line, category = slots_line[chosen], slots_category[chosen]
    launched = line_launched[line] + rng.integers(0, 14 * DAY, n_items) * is_new[line]
    brands = brand_names(n_brands, rng)
    lines = line_names(n_lines, rng)
    titles = _titles(
        category, line, [brands[b] for b in line_brand], lines, line_ingredient, line_concern, rng
    )
    untitled = rng.choice(n_items, round(untitled_share * n_items), replace=False)
    tier = rng.lognormal(0.0, 0.35, n_brands)[line_brand[line]]
    base = np.array([entry.price for entry in _CATEGORIES])[category]
    price = np.maximum(1, np.round(base * tier * rng.lognormal(0.0, 0.15, n_items))) - 0.01
    kept_titles: list[str | None] = list(titles)
    for item in untitled:
        kept_titles[item] = None
    numbers = rng.permutation(n_items) + 10 * n_items
    table = pl.DataFrame(
        {
            "item_id": [f"A{number}" for number in numbers],
            "title": pl.Series(kept_titles, dtype=pl.String),
            "text": pl.Series(kept_titles, dtype=pl.String),
            "item_time": (start + launched).astype(np.float64),
            "brand": [brands[line_brand[row]] for row in line],
            "category": [_CATEGORIES[row].name for row in category],
            "department": [DEPARTMENTS[DEPARTMENT_OF[row]].name for row in category],
            "price": [f"{value:.2f}" for value in price],
            "launched": _dates(start + launched),
        }
    )
    return ShopItems(
        catalogue=Catalogue(table),
        category=category,
        brand=line_brand[line],
        line=line,
        concern=line_concern[line],
        launched=launched,
        weight=line_weight[line] * rng.lognormal(0.0, 0.6, n_items),
        n_brands=n_brands,
        brand_weight=brand_weight,
    )


def _titles(
    category: OffsetArray,
    line: OffsetArray,
    line_brands: list[str],
    lines: list[str],
    line_ingredient: OffsetArray,
    line_concern: OffsetArray,
    rng: np.random.Generator,
) -> list[str]:
    """Write titles such as "Velou Silk Ritual Argan Oil Shampoo for Dry Hair, 12 oz"."""
    words = rng.random((category.size, 3))
    titles = []
    for row, (kind, which) in enumerate(zip(category, line, strict=True)):
        entry = _CATEGORIES[kind]
        concern = DEPARTMENTS[DEPARTMENT_OF[kind]].concerns[line_concern[which]]
        noun = entry.nouns[int(words[row, 0] ** 2 * len(entry.nouns))]  # the first one most often
        size = entry.sizes[int(words[row, 1] * len(entry.sizes))]
        name = f"{line_brands[which]} {lines[which]} {INGREDIENTS[line_ingredient[which]]} {noun}"
        titles.append(f"{name} {concern}" + (f", {size}" if words[row, 2] < 0.8 else ""))
    return titles


def _dates(seconds: OffsetArray) -> pl.Series:
    return pl.Series(seconds * 1_000_000).cast(pl.Datetime("us")).dt.strftime("%Y-%m-%d")
