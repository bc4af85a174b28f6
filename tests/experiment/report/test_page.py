from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from llmseq.errors import ArtifactError
from llmseq.experiment.report import write_report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def pair(names: dict[str, Any]) -> dict[str, Any]:
    return {name: names[name] for name in ("fusion-no-text", "fusion")}


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    edit(values)
    path.write_text(json.dumps(values), encoding="utf-8")


def test_the_verdict_comes_first_then_every_section(page: Any) -> None:
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


def test_the_verdict_gives_difference_interval_p_value_and_cost(page: Any) -> None:
    assert (
        "The difference is +.0131 (+20 %), 95 % interval +.0091 to +.0171, p < .001 in a paired "
        "test over 4,469 sessions. What text costs: 3 min 36 s more to train (6 min 19 s against "
        "2 min 43 s)."
    ) in page.flat


def test_nothing_is_loaded_from_anywhere(html: str, page: Any) -> None:
    assert not re.search(r"https?://|@import|url\(", html)
    loading = {"script", "link", "img", "iframe", "object", "embed", "video", "audio"}
    assert loading.isdisjoint(tag for tag, _ in page.tags)
    references = [a[k] for _, a in page.tags for k in ("href", "src", "xlink:href") if k in a]
    assert references
    assert all(reference and reference.startswith("#") for reference in references)


def test_ids_are_unique_and_every_reference_has_its_target(page: Any) -> None:
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(set(ids)) == len(ids)
    wanted = {attrs["href"] for tag, attrs in page.tags if tag == "use"}
    wanted |= {f"#{a['aria-labelledby']}" for _, a in page.tags if "aria-labelledby" in a}
    assert wanted <= {f"#{name}" for name in ids}


def test_charts_take_the_colours_of_the_page_and_are_described(html: str, page: Any) -> None:
    assert "prefers-color-scheme: dark" in html
    charts = re.findall(r'<svg class="chart".*?</svg>', html, re.DOTALL)
    assert len(charts) == 8  # two in two sizes, two breakdowns, two curves
    for chart in charts:
        assert not re.search(r"#[0-9a-f]{6}[;\"]", chart)
        assert "var(--muted)" in chart
    described = [a["aria-label"] for tag, a in page.tags if tag == "svg"]
    assert all(described)
    assert "Fusion .0786" in str(described[0])


def test_every_table_header_has_a_scope(page: Any) -> None:
    headers = [attrs for tag, attrs in page.tags if tag == "th"]
    assert headers
    assert all(attrs.get("scope") in {"col", "row"} for attrs in headers)


def test_the_ranking_is_by_the_primary_metric_with_marks(html: str, names: dict[str, Any]) -> None:
    best_first = sorted(names.values(), key=lambda row: -row[2])
    assert re.findall(r'class="model">([^<]+)<', html) == [row[0] for row in best_first]
    ranking = html.split("What each member adds")[0]
    assert re.findall(r'class="mark (\w+)"', ranking) == ["better"] * 2 + ["worse"] * 4


def test_what_members_add_is_shown_with_marks_and_the_price_of_choosing(
    html: str, page: Any
) -> None:
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


def test_titles_and_labels_are_text_never_markup(
    tmp_path: Path, make_run: Callable[..., Path], page_of: Callable[[Path], Any]
) -> None:
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


def test_validation_figures_are_called_that(
    tmp_path: Path,
    make_run: Callable[..., Path],
    page_of: Callable[[Path], Any],
    pair: dict[str, Any],
) -> None:
    folder = make_run(tmp_path, pair)
    change(folder / "leaderboard.json", lambda v: v["protocol"].update(scored_on="validation"))
    page = page_of(folder)
    assert "NDCG@20 on validation rises by" in page.headings[0]
    assert "Scored on validation, not on test." in page.flat
    assert "4,469 validation sessions" in page.flat


def test_a_better_model_than_the_winner_is_named_but_not_chosen(
    tmp_path: Path,
    make_run: Callable[..., Path],
    page_of: Callable[[Path], Any],
    pair: dict[str, Any],
) -> None:
    page = page_of(make_run(tmp_path, pair, winner="fusion-no-text"))
    assert "Winner: Fusion without text, chosen on validation. Fusion scores higher" in page.flat


def test_one_model_without_details(
    tmp_path: Path,
    make_run: Callable[..., Path],
    page_of: Callable[[Path], Any],
    names: dict[str, Any],
) -> None:
    one = {"v-sknn": names["v-sknn"]}
    nothing = dict.fromkeys(("with_text", "absolute", "relative", "interval", "p_value"))
    folder = make_run(tmp_path, one, winner="v-sknn", outcome="untested", **nothing)
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


def test_settings_of_the_spec_and_refitted_figures_are_shown(
    tmp_path: Path,
    make_run: Callable[..., Path],
    page_of: Callable[[Path], Any],
    pair: dict[str, Any],
) -> None:
    folder = make_run(tmp_path, pair)
    (folder / "spec.toml").write_text('seen = "exclude"\n', encoding="utf-8")
    change(folder / "leaderboard.json", lambda v: v["models"][0].update(refit={"ndcg@20": 0.0052}))
    text = page_of(folder).flat
    assert "Left out of every list, for every model alike." in text
    assert "Fitted on all of train" in text
    assert ".0052" in text


def test_the_same_run_gives_the_same_bytes(
    tmp_path: Path, make_run: Callable[..., Path], pair: dict[str, Any]
) -> None:
    folder = make_run(tmp_path, pair)
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
def test_a_damaged_run_is_named(
    tmp_path: Path, name: str, content: str | None, said: str, make_run: Callable[..., Path]
) -> None:
    folder = make_run(tmp_path)
    path = folder / name
    path.unlink() if content is None else path.write_text(content, encoding="utf-8")
    with pytest.raises(ArtifactError) as caught:
        write_report(folder)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert not (folder / "report.html").exists()
