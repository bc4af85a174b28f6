"""``llmseq prompt``, and prompt models in the other commands."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from llmseq.data.folder import test_scorings as scorings_of
from llmseq.experiment.presets import make_spec
from llmseq.models.persistence import load_model
from llmseq.testing.language_models import tiny_language_model

QUICK = [
    "--set", "precision=float32", "--set", "training.tokens_per_step=400",
    "--set", "lora.rank=4", "--set", "max_title_tokens=8", "--set", "decoding.n_beams=5",
]  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("LLMSEQ_NUM_THREADS", "1")


@pytest.fixture
def tuned(llmseq, shop_folder, tmp_path):
    out = tmp_path / "tuned"
    result = llmseq(
        "prompt", "finetune", shop_folder, "--base-model", tiny_language_model(), "--out", out,
        *QUICK, "--set", "training.n_steps=4", "--set", "training.evaluate_every=2",
        "--set", "training.evaluation_sessions=5",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "4 updates in" in result.stdout or "2 updates in" in result.stdout
    assert " s an update: some 4 updates in " in result.stderr
    assert "items have no title and are never listed" in result.stderr
    assert "ndcg@20" in result.stdout
    assert not out.with_name("tuned.checkpoint").exists()
    return out


def test_a_template_is_shown_edited_and_used(llmseq, shop_folder, tmp_path):
    shown = llmseq("prompt", "template", "genitem")
    file = tmp_path / "mine.toml"
    file.write_text(shown.stdout.replace("Which product comes next?", "What else?"))
    out = tmp_path / "pairs.jsonl"
    result = llmseq("prompt", "export", shop_folder, "--out", out, "--template", file)
    assert result.exit_code == 0, result.output
    assert "What else?" in out.read_text()
    file.write_text("[plain]\n")
    result = llmseq("prompt", "export", shop_folder, "--out", out, "--template", file)
    assert result.exit_code == 2
    assert "mine.toml" in result.output


@pytest.mark.parametrize("task", ["genitem", "genlist", "classify", "rank"])
def test_export_writes_pairs_of_train_sessions(llmseq, shop_folder, shop, tmp_path, task):
    out = tmp_path / "pairs.jsonl"
    result = llmseq(
        "prompt", "export", shop_folder, "--task", task, "--out", out, "--encoder", "tfidf",
        "--limit", 30, "--set", "n_choices=5", "--set", "max_title_tokens=60",
        "--set", "decoding.n_beams=4",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.stdout == f"30 pairs: {out}\n"
    titles = {title for title in shop.catalogue.titles if title}
    for line in out.read_text().splitlines():
        chat = json.loads(line)["messages"]
        assert [message["role"] for message in chat] == ["system", "user", "assistant"]
        answer = chat[-1]["content"].splitlines()
        assert set(answer) <= titles
        assert len(set(answer)) == len(answer) == {"genitem": 1, "rank": 5}.get(task, 4)
        if task == "rank":
            assert all(f"- {title}\n" in chat[1]["content"] for title in answer)


def test_held_out_prompts_are_scored_beside_other_models(llmseq, shop_folder, tuned, tmp_path):
    other = tmp_path / "sim"
    fitted = llmseq(
        "fit", shop_folder, "--model", "llmseqsim", "--encoder", "tfidf", "--on", "train",
        "--out", other,
    )  # fmt: skip
    assert fitted.exit_code == 0, fitted.output
    lists = tmp_path / "lists.parquet"
    words = ["prompt", "recommend", tuned, shop_folder, "--sessions", 6, "--k", 5]
    result = llmseq(*words, "--beside", other, "--out", lists)
    assert result.exit_code == 0, result.output
    assert "6 sessions" in result.stdout
    assert "llmseqprompt-genitem" in result.stdout
    assert "llmseqsim" in result.stdout
    assert "5.0 items a list" in result.stderr
    assert pl.read_parquet(lists).group_by("session_id").len()["len"].to_list() == [5] * 6
    assert scorings_of(shop_folder) == []
    ranked = llmseq(*words, "--rerank", other, "--part", "test")
    assert ranked.exit_code == 0, ranked.output
    assert len(scorings_of(shop_folder)) == 1


def test_a_saved_prompt_model_serves_like_any_other(llmseq, shop_folder, tuned):
    item = load_model(tuned).catalogue.ids[0]
    result = llmseq("recommend", tuned, "--session", item, "--k", 3)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") == 5


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["finetune", "--base-model", "none.gguf", "--out", "x"], "none.gguf: no such file"),
        (["finetune", "--out", "x"], "needs a base model"),
        (["finetune", "--out", "x", "--set", "lora.rang=3"], 'unknown setting "lora.rang"'),
        (["finetune", "--out", "x", "--minutes", "3", "--set", "training=5"], "training = 5"),
        (
            ["finetune", "--out", "x", "--minutes", "3", "--set", "training.budget_seconds=9"],
            "give either --minutes or --set training.budget_seconds",
        ),
        (["export", "--out", "x.jsonl", "--set", "max_prompt_tokens=17"], "max_prompt_tokens"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(llmseq, shop_folder, words, says):
    result = llmseq("prompt", words[0], shop_folder, *words[1:])
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_prompt_model_takes_part_in_a_comparison(llmseq, shop_folder, tmp_path):
    name = "llmseqprompt-genitem"
    pairs = [part for key in QUICK[1::2] for part in ("--set", f"{name}.{key}")]
    result = llmseq(
        "compare", shop_folder, "--out", tmp_path / "run", "--encoder", "tfidf",
        "--models", f"popularity,{name},fusion", "--score", "validation", "--no-refit",
        "--set", f"{name}.base_model={tiny_language_model()}",
        "--set", f"{name}.training.n_steps=2", *pairs,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    board = json.loads((tmp_path / "run" / "leaderboard.json").read_text())
    models = {model["name"]: model for model in board["models"]}
    assert set(models) == {"popularity", name, "fusion"}
    assert models[name]["cost"]["recommend_s"] > 0
    assert "Per 1,000 lists" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize("preset", ["quick", "thorough", "strong"])
def test_no_preset_has_a_prompt_model_unless_it_is_told_its_base(shop, preset):
    names = [model.name for model in make_spec(shop, Path("shop"), preset=preset).models]
    assert not [name for name in names if name.startswith("llmseqprompt")]
    settings = {"llmseqprompt-rank": {"base_model": "model.gguf"}}
    if preset == "thorough":
        spec = make_spec(shop, Path("shop"), preset=preset, settings=settings)
        assert "llmseqprompt-rank" in [model.name for model in spec.singles]
