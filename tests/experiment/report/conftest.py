"""A lifelike run without a run: its two files, and the page that is made of them."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from llmseq.evaluation.leaderboard import Leaderboard
from llmseq.experiment.report import write_report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAMES = {
    "popularity": ("Popularity", False, 0.0049, 0.011, 0.012, 0.004),
    "v-sknn": ("V-SKNN", False, 0.0461, 0.1012, 0.71, 0.4),
    "sasrec": ("SASRec", False, 0.0614, 0.1249, 0.445, 163.0),
    "llmseqsim": ("LLMSeqSim", True, 0.0588, 0.1302, 0.924, 2.1),
    "llm2sasrec": ("LLM2SASRec", True, 0.0723, 0.1488, 0.557, 213.4),
    "fusion-no-text": ("Fusion without text", False, 0.0655, 0.1344, 0.602, 163.4),
    "fusion": ("Fusion", True, 0.0786, 0.1597, 0.721, 379.2),
}
TITLES = [
    "Zirh International Zirh Clean By Zirh International For Men. Alpha-hydroxy Face Wash 250 Ml",
    "Conair Pro Style 1875 Watt Hard Hat Hair Dryer",
    "Biore Self Heating One Minute Mask, 4 Count",
    "Revlon Super Lustrous Creme Lipstick, Fire and Ice 720, 0.15 Ounce",
    "Pro-V Classic Clean 2in1 Shampoo + Conditioner 25.4 Fl Oz",
    "Tarte Amazonian Clay Finishing Powder",
    "Clairol Professional Soy4plex Liquicolor Permanent Hair Color, High Lift Golden Blonde",
    "Focus 21 Sea Plasma All Purpose Skin and Hair Moisturizing Spray 12 oz",
    "American Classic Gelous Nail Gel Base Coat Nail Polish",
    "Sigma Basic Eyes Kit",
    "Neutrogena Healthy Skin EnTancer, Medium to Olive 60, 1 Ounce",
    "Ladies Beauty Box 6 Wheels Combo Set Nail Art Nailart Manicure Rhinestones Glitter Tips Deco "
    "+ 2x Dotting Pen + Glue",
    "Blue Cross Cuticle Remover 16 oz",
    "Goody Ouchless Ponytailer, Tiny Terry, 42 Count (2 Packs)",
    "BH Cosmetics 120 Color Eyeshadow, 5th Edition",
]


def write_run(folder: Path, names: dict[str, Any] | None = None, **verdict: Any) -> Path:
    """Write the two files of a lifelike run; ``verdict`` changes fields of its verdict."""
    names = NAMES if names is None else names
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "leaderboard.json", leaderboard(names, **verdict))
    _write(folder / "details.json", details(names))
    return folder


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def leaderboard(names: dict[str, Any], **verdict: Any) -> dict[str, Any]:
    found = {
        "winner": "fusion",
        "with_text": "fusion",
        "without_text": "fusion-no-text",
        "absolute": 0.0131,
        "relative": 0.2,
        "interval": [0.0091, 0.0171],
        "p_value": 0.0001,
        "chosen_on": "validation",
        "outcome": "better",
    }
    return {
        "schema": 1,
        "dataset": {"name": "Beauty", "fingerprint": "1f0e4f2ab7c5d6e8"},
        "protocol": {
            "split": "file",
            "validation": "half of the newest fifth of train sessions by their newest item",
            "primary": "ndcg@20",
            "baseline": "fusion-no-text",
            "scored_on": "test",
            "n_sessions": 4469,
        },
        "environment": {
            "command": "llmseq compare beauty --out runs/beauty",
            "llmseq": "0.1.0",
            "python": "3.11.9",
            "torch": "2.15.0",
            "cpu": "AMD EPYC 7B13, 2 cores, AVX2",
            "seed": 0,
        },
        "verdict": {**found, **verdict},
        "models": [_model(name, *row) for name, row in names.items()],
    }


def _model(
    name: str, label: str, uses_text: bool, score: float, hits: float, cover: float, fit: float
) -> dict[str, Any]:
    neural = "sasrec" in name
    gain = score - 0.0655
    return {
        "name": name,
        "label": label,
        "uses_text": uses_text,
        "config": {"dim": 128, "dropout": 0.5, "n_blocks": 2} if neural else {"k": 200},
        "validation": {"ndcg@20": score + 0.004},
        "metrics": {
            "ndcg@10": score * 0.86,
            "ndcg@20": score,
            "hr@20": hits,
            "mrr@20": score * 0.71,
            "coverage@20": cover,
        },
        "interval": {"ndcg@20": [score * 0.92, score * 1.08]},
        "seeds": {"n": 1, "sd": None},
        "versus": None
        if name == "fusion-no-text"
        else {
            "baseline": "fusion-no-text",
            "absolute": gain,
            "relative": gain / 0.0655,
            "interval": [gain - 0.004, gain + 0.004],
            "p_value": 0.0001 if abs(gain) > 0.004 else 0.2,
            "p_holm": 0.0006 if abs(gain) > 0.004 else 0.2,
        },
        "cost": {
            "fit_s": fit,
            "recommend_s": 1.4,
            "peak_memory_mib": 812.0 if neural else 1320.5,
            "parameters": 1_562_880 if neural else None,
            "epochs": 15 if neural else None,
            "best_epoch_s": 96.0 if neural else None,
        },
    }


def details(names: dict[str, Any]) -> dict[str, Any]:
    def group(label: str, n_sessions: int, factor: float) -> dict[str, Any]:
        return {
            "group": label,
            "n_sessions": n_sessions,
            "models": {n: row[2] * factor * (1.1 if row[1] else 1) for n, row in names.items()},
        }

    def listed(start: int, hit: int | None) -> list[dict[str, Any]]:
        return [{"title": TITLES[(start + i) % len(TITLES)], "hit": i == hit} for i in range(10)]

    return {
        "schema": 1,
        "title": "Beauty",
        "dataset": {"n_sessions": 22363, "n_events": 198502, "n_items": 12101},
        "split": {
            "method": "file",
            "why": "the dataset has labels",
            "config": {"method": "auto", "test_share": 0.2},
            "validation": {
                "drawn": "newest-items",
                "why": "a seeded random half of the train sessions whose newest item is newest, "
                "twice as many as needed: sessions have no times, items have",
            },
            "sizes": {
                "sessions": 22363,
                "train": 17890,
                "fit": 15296,
                "test": 4469,
                "select": 1762,
                "stop": 798,
                "left_out": 0,
                "test_candidates": 11957,
                "select_candidates": 11801,
                "items": 12101,
            },
            "dropped": {
                "test": {"cold_events": 1702, "sessions": 4},
                "select": {"cold_events": 309, "sessions": 27},
                "stop": {"cold_events": 160, "sessions": 7},
            },
            "leakage": "no test session is in train",
            "comparison": {
                "select": {
                    "sessions": 1762,
                    "mean_prompt": 7.91,
                    "cold_last_items": 0.031,
                    "events_lost": 0.021,
                },
                "test": {
                    "sessions": 4469,
                    "mean_prompt": 7.64,
                    "cold_last_items": 0.062,
                    "events_lost": 0.043,
                },
            },
            "seen_targets": 0.0,
        },
        "embeddings": {"minilm": {"encoder": "minilm", "dim": 384, "template": "{title}"}},
        "warnings": ["7 of 12,101 items have no text and take the mean vector."],
        "test_scorings": 1,
        "breakdown": {
            "prompt_length": [
                group("1", 310, 0.8),
                group("2–3", 1402, 0.9),
                group("4–5", 1290, 1.02),
                group("6–10", 1011, 1.1),
                group("11+", 456, 1.2),
            ],
            "target_popularity": [
                group("head", 1510, 1.9),
                group("middle", 1499, 0.8),
                group("tail", 1460, 0.25),
            ],
        },
        "primary": "ndcg@20",
        "samples": [
            {
                "session_id": f"s{number}",
                "prompt": TITLES[: 3 + 6 * number],
                "target": TITLES[7 + number],
                "lists": {
                    name: listed(at, (7 + number - at) if row[2] > 0.06 else None)
                    for at, (name, row) in enumerate(names.items())
                },
            }
            for number in range(2)
        ],
        "fusion_members": {"fusion": ["llm2sasrec", "llmseqsim", "v-sknn"]},
        "attribution": {
            "fusion": {
                "k": 20,
                "value": 0.0786,
                "n_hits": 714,
                "nobody": 0.012,
                "members": [
                    member("llm2sasrec", "LLM2SASRec", 0.81, 0.2, [0.004, 0.011]),
                    member("llmseqsim", "LLMSeqSim", 0.6, 0.09, [-0.001, 0.003]),
                    member("v-sknn", "V-SKNN", 0.4, 0.02, [-0.005, -0.001]),
                ],
            }
        },
        "choices": {"fusion": {"in_sample": 0.0889, "cross_fitted": 0.0871, "n_folds": 5}},
        "history": {
            name: [
                {"epoch": e, "loss": 9 / e, "ndcg@20": 0.07 - 0.05 / e - 0.0002 * e, "seconds": 9}
                for e in range(1, 20)
            ]
            for name in names
            if "sasrec" in name
        },
        "grids": {
            "llm2sasrec": [
                {"settings": {"dropout": d, "dim": 128}, "validation": 0.07 + d / 100}
                for d in (0.2, 0.4, 0.5)
            ]
        },
        "stages": [{"name": "embed", "seconds": 71.2}, {"name": "fit llm2sasrec", "seconds": 213}],
    }


def member(name: str, label: str, had: float, only: float, interval: list[float]) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "uses_text": name.startswith("llm"),
        "had": had,
        "only": only,
        "mean_rank": 8.25,
        "adds": sum(interval) / 2,
        "interval": interval,
    }


class Page(HTMLParser):
    """Texts by section heading, tags, and everything that a browser would load."""

    VOID = frozenset({"meta", "br", "link", "img", "use", "path", "rect", "input", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.headings: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in {"h1", "h2"}:
            self.headings.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"style", "title"}:
            return
        if self.open and self.open[-1] in {"h1", "h2"}:
            self.headings[-1] += data
        self.text += data

    @property
    def flat(self) -> str:
        return " ".join(self.text.split())


@pytest.fixture(scope="session")
def names() -> dict[str, Any]:
    """What the run compared: label, uses text, NDCG@20, hit rate, coverage, seconds of its fit."""
    return NAMES


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Path]:
    """Write a run into a folder: ``make_run(folder, names, outcome="worse")``."""
    return write_run


@pytest.fixture(scope="session")
def page_of() -> Callable[[Path], Page]:
    """Read the report of a run's folder."""
    return lambda folder: Page(write_report(folder).read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def board() -> Callable[..., Leaderboard]:
    """Make the run's leaderboard, with changes to its verdict."""
    return lambda **verdict: Leaderboard.from_json(json.dumps(leaderboard(NAMES, **verdict)))


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the whole run."""
    return write_report(write_run(tmp_path_factory.mktemp("run"))).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    """The same, read."""
    return Page(html)
