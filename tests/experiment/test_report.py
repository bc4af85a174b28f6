from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from llmseq.errors import ArtifactError
from llmseq.evaluation.leaderboard import Leaderboard
from llmseq.experiment.report import numbers, write_report
from llmseq.experiment.report.labels import Box, place_labels
from llmseq.experiment.report.verdict import cost_sentence, verdict_text

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
PAIR = {name: NAMES[name] for name in ("fusion-no-text", "fusion")}
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


def make_run(folder: Path, names: dict[str, Any] | None = None, **verdict: Any) -> Path:
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


def page_of(folder: Path) -> Page:
    return Page(write_report(folder).read_text(encoding="utf-8"))


def board(**verdict: Any) -> Leaderboard:
    return Leaderboard.from_json(json.dumps(leaderboard(NAMES, **verdict)))


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    edit(values)
    _write(path, values)


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(make_run(tmp_path_factory.mktemp("run"))).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_verdict_comes_first_then_every_section(page: Page) -> None:
    assert page.headings == [
        "Item texts make the recommendations better: NDCG@20 rises by 20\xa0%.",
        "Read with care",
        "Ranking",
        "Accuracy, coverage and cost",
        "Where each model is strong",
        "What each member adds",
        "Sample sessions",
        "Cost",
        "How it was measured",
        "Settings",
        "Training",
        "To get these numbers again",
    ]
    assert page.open == ["html"] or page.open == []


def test_the_verdict_gives_difference_interval_p_value_and_cost(page: Page) -> None:
    assert (
        "The difference is +.0131 (+20 %), 95 % interval +.0091 to +.0171, p < .001 in a paired "
        "test over 4,469 sessions. What text costs: 3 min 36 s more to train (6 min 19 s against "
        "2 min 43 s)."
    ) in page.flat


def test_nothing_is_loaded_from_anywhere(html: str, page: Page) -> None:
    assert not re.search(r"https?://|@import|url\(", html)
    loading = {"script", "link", "img", "iframe", "object", "embed", "video", "audio"}
    assert loading.isdisjoint(tag for tag, _ in page.tags)
    references = [a[k] for _, a in page.tags for k in ("href", "src", "xlink:href") if k in a]
    assert references
    assert all(reference and reference.startswith("#") for reference in references)


def test_ids_are_unique_and_every_reference_has_its_target(page: Page) -> None:
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(set(ids)) == len(ids)
    wanted = {attrs["href"] for tag, attrs in page.tags if tag == "use"}
    wanted |= {f"#{a['aria-labelledby']}" for _, a in page.tags if "aria-labelledby" in a}
    assert wanted <= {f"#{name}" for name in ids}


def test_charts_take_the_colours_of_the_page_and_are_described(html: str, page: Page) -> None:
    assert "prefers-color-scheme: dark" in html
    charts = re.findall(r'<svg class="chart".*?</svg>', html, re.DOTALL)
    assert len(charts) == 8  # two in two sizes, two breakdowns, two curves
    for chart in charts:
        assert not re.search(r"#[0-9a-f]{6}[;\"]", chart)
        assert "var(--muted)" in chart
    described = [a["aria-label"] for tag, a in page.tags if tag == "svg"]
    assert all(described)
    assert "Fusion .0786" in str(described[0])


def test_every_table_header_has_a_scope(page: Page) -> None:
    headers = [attrs for tag, attrs in page.tags if tag == "th"]
    assert headers
    assert all(attrs.get("scope") in {"col", "row"} for attrs in headers)


def test_the_ranking_is_by_the_primary_metric_with_marks(html: str) -> None:
    best_first = sorted(NAMES.values(), key=lambda row: -row[2])
    assert re.findall(r'class="model">([^<]+)<', html) == [row[0] for row in best_first]
    ranking = html.split("What each member adds")[0]
    assert re.findall(r'class="mark (\w+)"', ranking) == ["better"] * 2 + ["worse"] * 4


def test_what_members_add_is_shown_with_marks_and_the_price_of_choosing(html: str) -> None:
    page = Page(html)
    for said in (
        "714 hits in the first 20 places; 1.2 % of them stand in no member's own first 20",
        "There it has NDCG@20 .0889; chosen 5 times without a part of them",
        "scored on that part, .0871",
        "LLM2SASRec 81 %20 %8.2 +.0075 ▲clearly better +.0040 to +.0110",
        "LLMSeqSim 60 %9.0 %8.2 +.0010 ≈no clear difference",
        "V-SKNN 40 %2.0 %8.2 −.0030 ▼clearly worse",
    ):
        assert said in page.flat
    assert '<i style="width:20.0%"></i><i class="shared" style="width:61.0%"></i>' in html


def test_titles_and_labels_are_text_never_markup(tmp_path: Path) -> None:
    evil = '<script>alert("x")</script><img src=x onerror=alert(1)>'
    folder = make_run(tmp_path)

    def spoil(values: dict[str, Any]) -> None:
        values["title"] = evil
        values["warnings"] = [evil]
        for sample in values["samples"]:
            sample["prompt"][0] = sample["target"] = evil
            sample["lists"]["fusion"][0]["title"] = evil
        values["stages"][0]["name"] = evil

    change(folder / "details.json", spoil)
    change(folder / "leaderboard.json", lambda v: v["models"][0].update(label=evil))
    change(folder / "leaderboard.json", lambda v: v["environment"].update(command=evil))
    page = page_of(folder)
    assert {"script", "img"}.isdisjoint(tag for tag, _ in page.tags)
    assert page.text.count("<script>alert") >= 8


@pytest.mark.parametrize(
    ("verdict", "headline", "said"),
    [
        (
            {"outcome": "worse", "absolute": -0.0131, "relative": -0.2, "interval": [-0.02, -0.01]},
            "Item texts make the recommendations worse here: NDCG@20 falls by 20 %.",
            "The difference is −.0131 (−20 %), 95 % interval −.0200 to −.0100",
        ),
        (
            {"outcome": "unclear", "absolute": 0.002, "interval": [-0.003, 0.007], "p_value": 0.31},
            "No clear difference: this run does not show that item texts help or harm.",
            "A true difference anywhere from −.0030 to +.0070 would fit what was seen",
        ),
        (
            {"outcome": "untested", "interval": None, "p_value": None},
            "NDCG@20 is 20 % higher with item texts; whether that is chance was not tested.",
            "The difference is +.0131 (+20 %).",
        ),
        (
            {"outcome": "untested", "with_text": None, "absolute": None, "p_value": None},
            "The best model is Fusion.",
            "To learn what item texts bring",
        ),
    ],
)
def test_the_wording_is_honest(verdict: dict[str, Any], headline: str, said: str) -> None:
    text = verdict_text(board(**verdict))
    assert f"{text.headline}.".replace("\xa0", " ") == headline
    assert said in " ".join(text.sentences).replace("\xa0", " ")


def test_validation_figures_are_called_that(tmp_path: Path) -> None:
    folder = make_run(tmp_path, PAIR)
    change(folder / "leaderboard.json", lambda v: v["protocol"].update(scored_on="validation"))
    page = page_of(folder)
    assert "NDCG@20 on validation rises by" in page.headings[0]
    assert "Scored on validation, not on test." in page.flat
    assert "4,469 validation sessions" in page.flat


def test_a_better_model_than_the_winner_is_named_but_not_chosen(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path, PAIR, winner="fusion-no-text"))
    assert "Winner: Fusion without text, chosen on validation. Fusion scores higher" in page.flat


def test_one_model_without_details(tmp_path: Path) -> None:
    names = {"v-sknn": NAMES["v-sknn"]}
    nothing = dict.fromkeys(("with_text", "absolute", "relative", "interval", "p_value"))
    folder = make_run(tmp_path, names, winner="v-sknn", outcome="untested", **nothing)
    (folder / "details.json").unlink()
    change(folder / "leaderboard.json", lambda v: v["models"][0].update(versus=None, interval={}))
    page = page_of(folder)
    assert page.headings == [
        "One model was scored, V-SKNN: nothing to compare it with.",
        "Ranking",
        "Cost",
        "How it was measured",
        "Settings",
        "To get these numbers again",
    ]
    assert "▲" not in page.text


def test_settings_of_the_spec_and_refitted_figures_are_shown(tmp_path: Path) -> None:
    folder = make_run(tmp_path, PAIR)
    (folder / "spec.toml").write_text('seen = "exclude"\n', encoding="utf-8")
    change(folder / "leaderboard.json", lambda v: v["models"][0].update(refit={"ndcg@20": 0.0052}))
    text = page_of(folder).flat
    assert "Left out of every list, for every model alike." in text
    assert "Fitted on all of train" in text
    assert ".0052" in text


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = make_run(tmp_path, PAIR)
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first
    assert sorted(path.name for path in folder.iterdir()) == [
        "details.json",
        "leaderboard.json",
        "report.html",
    ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("leaderboard.json", None, "missing"),
        ("leaderboard.json", '{"schema": 1, "mod', "damaged"),
        ("leaderboard.json", "[]", "schema"),
        ("leaderboard.json", '{"schema": 1, "models": []}', "damaged"),
        ("details.json", '{"samples": 3}', "samples"),
        ("details.json", "{", "damaged"),
    ],
)
def test_a_damaged_run_is_named(tmp_path: Path, name: str, content: str | None, said: str) -> None:
    folder = make_run(tmp_path)
    path = folder / name
    path.unlink() if content is None else path.write_text(content, encoding="utf-8")
    with pytest.raises(ArtifactError) as caught:
        write_report(folder)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert not (folder / "report.html").exists()


def test_labels_cover_neither_each_other_nor_points() -> None:
    bounds = Box(0, 0, 480, 320)
    points = [(60.0 + 25 * (i % 5), 250.0 - 9 * i) for i in range(15)]
    places = place_labels(points, [(90.0, 14.0)] * len(points), bounds)
    for number, place in enumerate(places):
        assert place.box.outside(bounds) == 0
        assert all(place.box.overlap(other.box) == 0 for other in places[:number])
        assert all(place.box.overlap(Box(x - 4, y - 4, x + 4, y + 4)) == 0 for x, y in points)


def test_what_costs_nothing_is_not_called_a_cost() -> None:
    models = board().models
    assert cost_sentence(models[0], models[0]) == "Both models take about the same time and memory."
    fast = next(model for model in models if model.name == "popularity")
    assert cost_sentence(fast, models[0]).startswith("What text costs: 6\xa0min 19\xa0s less")


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (numbers.metric, 0.07226, ".0723"),
        (numbers.metric, -0.00001, ".0000"),
        (numbers.signed, 0.0, ".0000"),
        (numbers.signed, 0.0131, "+.0131"),
        (numbers.signed, None, "–"),
        (numbers.percent, 0.0, "0 %"),
        (numbers.percent, 0.0996, "10 %"),
        (numbers.p_text, 0.0001, "< .001"),
        (numbers.p_text, 0.0312, ".031"),
        (numbers.p_text, 1.0, "1.000"),
        (numbers.seconds, 59.7, "1 min"),
        (numbers.seconds, 3599.9, "1 h"),
        (numbers.seconds, 0.42, ".4 s"),
        (numbers.parameters, 0, "–"),
        (numbers.parameters, 1_562_880, "1.56 M"),
        (numbers.memory, 1536.0, "1.5 GiB"),
        (numbers.count, 15.5, "15.5"),
    ],
)
def test_numbers(write: Callable[[Any], str], value: object, text: str) -> None:
    assert write(value).replace("\xa0", " ") == text
