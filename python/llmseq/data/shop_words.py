"""Words of the made-up shop: departments with their routines and concerns, names of brands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Category:
    """Products of one kind: the words that titles use for it, its sizes, what it costs."""

    name: str
    nouns: tuple[str, ...]
    sizes: tuple[str, ...]
    price: float


@dataclass(frozen=True, slots=True)
class Department:
    """Categories in the order in which people use them, and what their products are made for.

    ``seasons`` is the demand of each month, January first, 1 on average.
    """

    name: str
    categories: tuple[Category, ...]
    concerns: tuple[str, ...]
    seasons: tuple[float, ...]


_EVEN = (1.0,) * 12
_SUMMER = (0.3, 0.4, 0.6, 1.0, 1.6, 2.1, 2.2, 1.7, 0.9, 0.5, 0.4, 0.3)
_WINTER = (1.4, 1.2, 1.0, 0.8, 0.7, 0.6, 0.6, 0.6, 0.8, 1.1, 1.5, 1.7)
_GIFTS = (0.7, 1.3, 0.8, 0.8, 1.2, 0.8, 0.7, 0.7, 0.8, 0.9, 1.3, 2.0)

_BOTTLES = ("8 oz", "12 oz", "16.9 fl oz", "Travel Size 3 oz", "Pack of 2")
_JARS = ("1.7 oz", "2 oz", "4 oz", "50 ml", "100 ml")
_SMALL = ("0.5 oz", "15 ml", "1 fl oz", "30 ml", "Pack of 3")


def _category(nouns: str, sizes: tuple[str, ...], price: float) -> Category:
    words = tuple(nouns.split("/"))
    return Category(words[0], words, sizes, price)


DEPARTMENTS = (
    Department(
        "Hair",
        (
            _category("Shampoo/Cleansing Shampoo/Hair Wash", _BOTTLES, 9),
            _category("Conditioner/Hair Conditioner/Cream Rinse", _BOTTLES, 9),
            _category("Hair Mask/Deep Treatment Masque/Hair Treatment", _JARS, 14),
            _category("Leave-In Spray/Detangling Spray/Leave-In Milk", _BOTTLES, 12),
            _category("Hair Oil/Hair Serum/Shine Elixir", _SMALL, 15),
            _category("Styling Cream/Hair Gel/Styling Mousse", _JARS, 11),
        ),
        (
            "for Dry Hair",
            "for Curly Hair",
            "for Fine Hair",
            "Color Protect",
            "Anti-Dandruff",
            "Repair & Shine",
        ),
        _EVEN,
    ),
    Department(
        "Face",
        (
            _category("Face Wash/Facial Cleanser/Cleansing Foam", _BOTTLES, 10),
            _category("Toner/Facial Toner/Balancing Lotion", _BOTTLES, 12),
            _category("Serum/Face Serum/Concentrate", _SMALL, 24),
            _category("Eye Cream/Eye Gel/Eye Contour Balm", _SMALL, 19),
            _category("Moisturizer/Day Cream/Face Cream", _JARS, 18),
            _category("Night Cream/Sleeping Mask/Overnight Balm", _JARS, 21),
        ),
        (
            "for Sensitive Skin",
            "for Oily Skin",
            "Anti-Aging",
            "Brightening",
            "Hydrating",
            "Acne Control",
        ),
        _EVEN,
    ),
    Department(
        "Body",
        (
            _category("Body Wash/Shower Gel/Bar Soap", _BOTTLES, 7),
            _category("Body Scrub/Sugar Scrub/Exfoliating Polish", _JARS, 13),
            _category("Body Lotion/Body Butter/Body Milk", _BOTTLES, 11),
            _category("Hand Cream/Hand Balm/Hand Salve", _SMALL, 6),
            _category("Foot Cream/Foot Balm/Heel Repair", _JARS, 8),
        ),
        ("for Dry Skin", "Unscented", "Firming", "Soothing", "for Sensitive Skin"),
        _WINTER,
    ),
    Department(
        "Make-up",
        (
            _category("Primer/Face Primer/Smoothing Base", _SMALL, 16),
            _category("Foundation/BB Cream/Liquid Foundation", _SMALL, 20),
            _category("Concealer/Corrector Stick/Cover Cream", _SMALL, 12),
            _category("Powder/Setting Powder/Pressed Powder", _JARS, 15),
            _category("Blush/Cheek Tint/Bronzer", _SMALL, 13),
            _category("Mascara/Volume Mascara/Lash Tint", _SMALL, 11),
            _category("Lipstick/Lip Gloss/Lip Stain", _SMALL, 10),
        ),
        ("Matte", "Dewy Finish", "Long Wear", "Vegan", "Fair", "Deep"),
        _GIFTS,
    ),
    Department(
        "Nails",
        (
            _category("Base Coat/Ridge Filler/Nail Primer", _SMALL, 8),
            _category("Nail Polish/Nail Lacquer/Gel Polish", _SMALL, 7),
            _category("Top Coat/Quick-Dry Top Coat/Gloss Coat", _SMALL, 8),
            _category("Polish Remover/Remover Pads/Nail Cleanser", _BOTTLES, 6),
            _category("Cuticle Oil/Cuticle Cream/Nail Balm", _SMALL, 9),
        ),
        ("Glitter", "Pastel", "Deep Red", "Nude", "Strengthening"),
        _SUMMER,
    ),
    Department(
        "Shaving",
        (
            _category("Pre-Shave Oil/Shaving Oil/Beard Softener", _SMALL, 12),
            _category("Shaving Cream/Shave Foam/Shaving Soap", _JARS, 9),
            _category("Razor/Safety Razor/Cartridge Razor", ("1 Count", "Set of 4"), 17),
            _category("After Shave/After Shave Balm/Cooling Splash", _BOTTLES, 13),
            _category("Beard Oil/Beard Balm/Moustache Wax", _SMALL, 14),
        ),
        ("for Sensitive Skin", "for Coarse Beards", "Cooling", "Unscented"),
        _GIFTS,
    ),
    Department(
        "Sun",
        (
            _category("Sunscreen/Sun Lotion SPF 50/Sun Milk SPF 30", _BOTTLES, 14),
            _category("Lip Balm SPF 15/Sun Stick/Lip Shield", _SMALL, 5),
            _category("After Sun Gel/Cooling Gel/After Sun Lotion", _BOTTLES, 11),
            _category("Self Tanner/Tanning Mousse/Gradual Tan", _BOTTLES, 18),
        ),
        ("for Kids", "Water Resistant", "Sport", "for Sensitive Skin"),
        _SUMMER,
    ),
    Department(
        "Fragrance",
        (
            _category("Eau de Parfum/Perfume Spray/Parfum", _SMALL, 48),
            _category("Eau de Toilette/Cologne/Eau Fraiche", _JARS, 34),
            _category("Body Mist/Hair Mist/Scented Spray", _BOTTLES, 12),
            _category("Scented Candle/Bath Salt/Bath Bombs", _JARS, 15),
        ),
        ("Floral", "Woody", "Citrus", "Oriental", "Fresh"),
        _GIFTS,
    ),
)

INGREDIENTS = (
    "Argan Oil",
    "Tea Tree",
    "Aloe Vera",
    "Coconut",
    "Shea Butter",
    "Green Tea",
    "Vitamin C",
    "Hyaluronic Acid",
    "Rose Hip",
    "Lavender",
    "Charcoal",
    "Honey & Oat",
    "Keratin",
    "Collagen",
    "Jojoba",
    "Chamomile",
    "Ginger & Mint",
    "Sea Salt",
    "Olive",
    "Almond Milk",
    "Bamboo",
    "Peach",
    "Cedar",
    "Vanilla",
)

_LINE_FIRST = [
    "Pure",
    "Velvet",
    "Daily",
    "Silk",
    "Bright",
    "Deep",
    "Royal",
    "Calm",
    "Wild",
    "Clear",
    "Soft",
    "Golden",
    "Urban",
    "Nordic",
    "Secret",
    "Ever",
    "True",
    "Moon",
    "First",
    "Simply",
]
_LINE_SECOND = [
    "Radiance",
    "Ritual",
    "Therapy",
    "Garden",
    "Essentials",
    "Bloom",
    "Balance",
    "Touch",
    "Infusion",
    "Glow",
    "Comfort",
    "Origins",
    "Care",
    "Science",
    "Harvest",
    "Veil",
]
_STARTS = (
    "Al Bel Cor Del El Fen Gla Hal Is Jun Ka Lu Mar Nev Or Per Quin Ros Sol Tal Ver Wil Yl Zen"
)
_MIDDLES = ["a", "e", "i", "o", "u", "ai", "ea", "ia", "io", "ou"]
_ENDS = [
    "bel",
    "dra",
    "lis",
    "mont",
    "na",
    "ra",
    "ris",
    "sa",
    "ta",
    "thea",
    "va",
    "vine",
    "wyn",
    "xa",
    "zia",
    "quet",
    "rell",
]
_SUFFIXES = ("", "", "", " Paris", " Botanicals", " & Co.", " Labs", " Naturals", " Professional")


def brand_names(n: int, rng: np.random.Generator) -> list[str]:
    """Make different names that sound like brands."""
    starts = _STARTS.split()
    names: dict[str, None] = {}
    while len(names) < n:
        middle = _MIDDLES[rng.integers(len(_MIDDLES))]
        stem = starts[rng.integers(len(starts))] + middle + _ENDS[rng.integers(len(_ENDS))]
        if len(names) > 3000:  # the short names run out
            stem += _ENDS[rng.integers(len(_ENDS))] + _MIDDLES[rng.integers(len(_MIDDLES))]
        names[stem + _SUFFIXES[rng.integers(len(_SUFFIXES))]] = None
    return list(names)


def line_names(n: int, rng: np.random.Generator) -> list[str]:
    """Make names of product lines; several brands may use the same."""
    first = rng.integers(len(_LINE_FIRST), size=n)
    second = rng.integers(len(_LINE_SECOND), size=n)
    return [f"{_LINE_FIRST[a]} {_LINE_SECOND[b]}" for a, b in zip(first, second, strict=True)]
