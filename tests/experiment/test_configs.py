"""Every spec in configs is one, and the smallest run to the end at reduced size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

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
