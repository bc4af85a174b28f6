from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llmseq.models.persistence import load_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result


def test_tune_then_fit_with_what_was_found(
    llmseq: Callable[..., Result], shop_folder: Path, tmp_path: Path
) -> None:
    space = tmp_path / "space.toml"
    space.write_text(
        "[parameters]\n"
        'reduction.dim = { type = "int", low = 8, high = 16, step = 8 }\n'
        'pooling = { type = "categorical", choices = ["log", "mean"] }\n'
    )
    out = tmp_path / "tuned"
    words = ["--model", "llmseqsim", "--encoder", "tfidf", "--space", space, "--out", out]
    result = llmseq("tune", shop_folder, *words, "--trials", 3, "--folds", 2, "--threads", 1)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("llmseqsim: ndcg@20 0.")
    assert f"best    {out / 'best.toml'}" in result.stdout
    fit = ["fit", shop_folder, "--model", "llmseqsim", "--config", out / "best.toml"]
    result = llmseq(*fit, "--out", tmp_path / "model")
    assert result.exit_code == 0, result.output
    saved = load_model(tmp_path / "model")
    config = saved.recommender.config.to_dict()
    assert config["reduction"]["dim"] in {8, 16}
    assert config["pooling"] in {"log", "mean"}
    result = llmseq(*fit, "--set", "reduction.dim=4", "--out", tmp_path / "model")
    assert result.exit_code == 0, result.output
    changed = load_model(tmp_path / "model").recommender.config.to_dict()
    assert changed["reduction"]["dim"] == 4
    assert changed["pooling"] == config["pooling"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--space", "nowhere.toml"], "nowhere.toml: no such file"),
        (["--trials", "0"], "trials = 0"),
        (["--workers", "0"], "workers must be at least 1"),
        (["--set", "k"], "--set takes"),
    ],
)
def test_wrong_input_to_tune(
    llmseq: Callable[..., Result], shop_folder: Path, tmp_path: Path, words: list[str], says: str
) -> None:
    out = tmp_path / "tuned"
    result = llmseq("tune", shop_folder, "--model", "v-sknn", "--out", out, *words)
    assert (result.exit_code, says in result.stderr) == (2, True), result.output
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[models]]\nname = 'sasrec'", "holds no settings of v-sknn; models in it: sasrec"),
        ("", "models in it: none"),
        ("[[models]]\nname = 'v-sknn'\ngrid = { k = [1, 2] }", "still to be searched"),
        ("[[models", "not valid TOML"),
    ],
)
def test_a_file_that_fit_cannot_use(
    llmseq: Callable[..., Result], shop_folder: Path, tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "best.toml").write_text(text)
    words = ["--config", tmp_path / "best.toml", "--out", tmp_path / "model"]
    result = llmseq("fit", shop_folder, "--model", "v-sknn", *words)
    assert (result.exit_code, says in result.stderr) == (2, True), result.output
