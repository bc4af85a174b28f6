"""Every spec in configs is one, and the smallest run to the end at reduced size."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmseq.data.folder import write_dataset
from llmseq.data.synthetic import make_shop
from llmseq.experiment.presets import make_spec
from llmseq.experiment.run import Run, compare

if TYPE_CHECKING:
    from llmseq.data.dataset import SessionDataset

CONFIGS = Path(__file__).parents[2] / "configs"
PAPER = sorted((CONFIGS / "paper").glob("*.toml"))
ABLATIONS = sorted((CONFIGS / "ablations").glob("*.toml"))
SMALL = {"n_epochs": 1, "embedding_dim": 12, "n_blocks": 1}


@pytest.mark.parametrize("path", [*PAPER, *ABLATIONS], ids=lambda path: path.stem)
def test_every_spec_is_one(shop: SessionDataset, path: Path) -> None:
    assert make_spec(shop, Path("shop"), preset=str(path)).models


def test_the_paper_files_have_the_published_settings(shop: SessionDataset) -> None:
    assert [path.stem for path in PAPER] == ["beauty", "delivery-hero", "steam"]
    beauty, hero, steam = (
        {model.name: model for model in make_spec(shop, Path("s"), preset=str(path)).models}
        for path in PAPER
    )
    assert set(beauty) == set(hero) == set(steam)
    [config] = beauty["bert4rec"].configs()
    published = ("learning_rate", "weight_decay", "clip_norm", "mask_prob", "head")
    values = config.to_dict()
    assert [values[key] for key in published] == [0.0023, 0.0409, 92.0, 0.9, "projection"]
    assert beauty["llm2sasrec"].published == {"ndcg@20": 0.044, "hr@20": 0.110}
    assert hero["v-sknn"].settings["k"] == 500
    assert steam["sknn"].settings["sampling"] == "recent"
    for models in (beauty, hero, steam):
        for plain in ("sasrec", "bert4rec", "gru4rec"):
            assert models[f"llm2{plain}"].against == plain


def test_what_the_paper_files_replace_is_said(shop: SessionDataset) -> None:
    """Widths above what MiniLM spans, and LDA, cannot be had: each change is a line."""
    for path in PAPER:
        for model in make_spec(shop, Path("s"), preset=str(path)).models:
            if model.settings.get("embedding_dim") == 380:
                assert "380 dimensions" in " ".join(model.substitutions), (path.stem, model.name)


@pytest.fixture
def paper(shop_folder: Path, tmp_path: Path) -> Run:
    return compare(
        shop_folder,
        tmp_path / "run",
        preset=str(CONFIGS / "paper" / "beauty.toml"),
        models=["v-sknn", "llmseqsim", "sasrec", "llm2sasrec"],
        encoder="tfidf",
        settings={"sasrec": SMALL, "llm2sasrec": SMALL},
        n_threads=1,
    )


def test_a_paper_run_stands_beside_the_published_figures(paper: Run) -> None:
    board = paper.leaderboard
    assert board["v-sknn"].published["ndcg@20"] == 0.0475
    test = board["llm2sasrec"].against
    assert test is not None
    assert test.baseline == "sasrec"
    gain = board["llm2sasrec"].metrics["ndcg@20"] - board["sasrec"].metrics["ndcg@20"]
    assert test.absolute == pytest.approx(gain)
    page = paper.report_path.read_text()
    for part in (
        "Beside the published figures",
        "(.0475)",
        "Otherwise than published",
        "380 dimensions, what MiniLM spans here",
        "Model against model",
        "Differences with their 95 % intervals: LLM2SASRec against SASRec",
    ):
        assert part in page, part
    markdown = (paper.folder / "leaderboard.md").read_text()
    assert "| published |" in markdown
    assert "- LLM2SASRec against SASRec: " in markdown
    assert "- text vectors of all-MiniLM-L6-v2" in markdown


def reduced(name: str, shop: Path, folder: Path, **changes: Any) -> Run:
    """Run an ablation on a small shop: TF-IDF for MiniLM, an epoch for neural models."""
    tiny = {"n_epochs": 1, "max_length": 10, "batch_size": 64}
    text = (CONFIGS / "ablations" / f"{name}.toml").read_text(encoding="utf-8")
    spec = folder / "reduced.toml"
    spec.write_text(text.replace("minilm", "tfidf"), encoding="utf-8")
    options: dict[str, Any] = {
        "encoder": "tfidf",
        "settings": {"sasrec": tiny, "llm2sasrec": tiny},
        "n_threads": 1,
        **changes,
    }
    return compare(shop, folder / "run", preset=str(spec), **options)


def test_shares_of_the_sessions_are_learnt_from_and_drawn(
    shop_folder: Path, tmp_path: Path
) -> None:
    run = reduced("share", shop_folder, tmp_path)
    page = run.report_path.read_text()
    assert "NDCG@20 over share of the training sessions" in page
    assert re.search(r"NDCG@20 over share [^\"]*V-SKNN \.\d+ at 0.01, \.\d+ at 0.05", page)
    assert run.leaderboard.protocol.scored_on == "validation"
    values = {model.name: model.metrics["ndcg@20"] for model in run.leaderboard.models}
    assert values["v-sknn@1"] < values["v-sknn@20"] < values["v-sknn@all"]


def test_a_shuffled_prompt_is_asked_of_the_same_fitted_model(
    shop_folder: Path, tmp_path: Path
) -> None:
    run = reduced("prompts", shop_folder, tmp_path)
    log = (run.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    names = [
        line.get("name", "") for line in map(json.loads, log) if line["event"] == "stage_finished"
    ]
    assert len([name for name in names if name.startswith("fit")]) == 4, names
    board = run.leaderboard
    for name in ("v-sknn", "llmseqsim", "sasrec", "llm2sasrec"):
        test = board[f"{name}@shuffled"].against
        assert test is not None
        assert test.baseline == name
    assert board["llmseqsim@shuffled"].metrics != board["llmseqsim"].metrics
    # What order is worth is nobody's choice, however well it does.
    values = {model.name: model.validation["ndcg@20"] for model in board.models}
    assert run.verdict.with_text == max(("llmseqsim", "llm2sasrec"), key=values.__getitem__)
    assert run.verdict.without_text == max(("v-sknn", "sasrec"), key=values.__getitem__)


def test_text_without_meaning_is_worse(tmp_path: Path) -> None:
    """On the made-up shop titles do say what goes together."""
    write_dataset(make_shop(n_sessions=2000, n_items=200, seed=3), tmp_path / "shop")
    controls = [f"llmseqsim@{kind}-tfidf" for kind in ("permuted", "spectrum")]
    run = reduced(
        "vectors",
        tmp_path / "shop",
        tmp_path,
        models=["popularity", "llmseqsim", *controls],
        baseline="popularity",
        settings={},
    )
    for name in controls:
        test = run.leaderboard[name].against
        assert test is not None
        assert test.baseline == "llmseqsim"
        assert test.interval[1] < 0


def test_shorter_prompts_are_asked_of_the_same_fitted_model(
    shop_folder: Path, tmp_path: Path
) -> None:
    names = [f"{name}@{newest}" for name in ("v-sknn", "llmseqsim") for newest in (1, 20)]
    options = {"models": names, "baseline": "v-sknn@20", "settings": {}}
    run = reduced("length", shop_folder, tmp_path, **options)
    last = {"llmseqsim": {"pooling": "last"}}
    again = reduced("length", shop_folder, tmp_path, **{**options, "settings": last})
    values = [each.leaderboard["llmseqsim@1"].metrics["hr@20"] for each in (run, again)]
    assert values[0] == values[1]  # of one item the mean is the last
    assert run.leaderboard["llmseqsim@20"].metrics != run.leaderboard["llmseqsim@1"].metrics
