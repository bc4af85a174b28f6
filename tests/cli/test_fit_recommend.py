from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from llmseq.data.folder import read_dataset
from llmseq.data.split import split_dataset
from llmseq.experiment.single import fit_model
from llmseq.models.persistence import load_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def model_folder(llmseq: Callable[..., Result], shop_folder: Path, tmp_path: Path) -> Path:
    out = tmp_path / "model"
    result = llmseq("fit", shop_folder, "--model", "v-sknn", "--out", out, "--set", "k=30")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("v-sknn fitted in ")
    assert result.stdout.endswith(f": {out}\n")
    return out


def test_fit_tells_the_recall_of_an_approximate_search(
    llmseq: Callable[..., Result], shop_folder: Path, tmp_path: Path
) -> None:
    words = ["--model", "llmseqsim", "--encoder", "tfidf", "--set", "search.method=hnsw"]
    result = llmseq("fit", shop_folder, "--out", tmp_path / "model", *words)
    assert result.exit_code == 0, result.output
    assert "of the exact lists of 20 items (recall@20 over 300 prompts" in result.stderr
    saved = load_model(tmp_path / "model")
    assert saved.recommender.config.to_dict()["search"]["method"] == "hnsw"
    assert saved.provenance["encoder"] == "tfidf"


@pytest.fixture
def ids(shop_folder: Path) -> list[str]:
    dataset = read_dataset(shop_folder)
    return [str(dataset.catalogue.ids[item]) for item in dataset.sessions[0]]


def test_fit_uses_settings_and_all_sessions(model_folder: Path) -> None:
    saved = load_model(model_folder)
    assert saved.recommender.config.to_dict()["k"] == 30
    assert saved.provenance["fitted_on"] == "all sessions"


def test_one_session_is_shown_with_titles(
    llmseq: Callable[..., Result], model_folder: Path, ids: list[str]
) -> None:
    result = llmseq("recommend", model_folder, "--session", ",".join([*ids, "gone"]), "--k", 3)
    assert result.exit_code == 0, result.output
    assert "not in the model's catalogue, left out: gone" in result.stderr
    [expected] = load_model(model_folder).recommend([ids], k=3)
    catalogue = load_model(model_folder).catalogue
    titles = dict(zip(catalogue.ids, catalogue.titles, strict=True))
    for item, _ in expected:
        assert item in result.stdout
        assert str(titles[item]) in result.stdout
    assert not [item for item in ids if f" {item} " in result.stdout]


def prompts_file(path: Path, ids: list[str]) -> Path:
    """Two sessions, rows in falling order of position, and an item nobody knows."""
    rows = [("b", ids[0], 1), ("a", "gone", 3), ("a", ids[1], 2), ("a", ids[0], 1)]
    table = pl.DataFrame(rows, schema=["session_id", "item_id", "position"], orient="row")
    table.write_csv(path)
    return path


def test_a_dataset_is_no_model(llmseq: Callable[..., Result], shop_folder: Path) -> None:
    result = llmseq("recommend", shop_folder, "--session", "a")
    assert result.exit_code == 2
    assert "manifest.json: is not the manifest of a saved model" in result.stderr


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_lists_for_a_file_of_sessions(
    llmseq: Callable[..., Result], model_folder: Path, ids: list[str], tmp_path: Path, suffix: str
) -> None:
    prompts, out = prompts_file(tmp_path / "prompts.csv", ids), tmp_path / f"lists{suffix}"
    result = llmseq("recommend", model_folder, "--prompts", prompts, "--k", 4, "--out", out)
    assert result.exit_code == 0, result.output
    assert "left out 1 of 4 events" in result.stderr
    if suffix == ".parquet":
        rows = pl.read_parquet(out).to_dicts()
    elif suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(out.read_text())))
    else:
        rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert list(rows[0]) == ["session_id", "rank", "item_id", "score"]
    made = {
        session: [row["item_id"] for row in rows if row["session_id"] == session]
        for session in ("a", "b")
    }
    expected = load_model(model_folder).recommend([ids[:2], ids[:1]], k=4)
    assert made["a"] == [item for item, _ in expected[0]]
    assert made["b"] == [item for item, _ in expected[1]]


def test_without_out_lists_are_csv_on_standard_output(
    llmseq: Callable[..., Result], model_folder: Path, ids: list[str], tmp_path: Path
) -> None:
    prompts = prompts_file(tmp_path / "prompts.csv", ids)
    result = llmseq("recommend", model_folder, "--prompts", prompts, "--k", 2)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["rank"] for row in rows] == ["1", "2", "1", "2"]


def test_sessions_without_a_list_are_counted(
    llmseq: Callable[..., Result], model_folder: Path, ids: list[str], tmp_path: Path
) -> None:
    prompts, stock = prompts_file(tmp_path / "prompts.csv", ids), tmp_path / "stock.csv"
    stock.write_text(f"item_id\n{ids[1]}\n")  # which session a has seen
    result = llmseq("recommend", model_folder, "--prompts", prompts, "--candidates", stock)
    assert result.exit_code == 0, result.output
    assert {row["session_id"] for row in csv.DictReader(io.StringIO(result.stdout))} == {"b"}
    assert "nothing to list for 1 of 2 sessions" in result.stderr


def test_only_candidates_are_listed_and_seen_items_on_request(
    llmseq: Callable[..., Result], model_folder: Path, ids: list[str], tmp_path: Path
) -> None:
    stock = tmp_path / "stock.csv"
    stock.write_text("\n".join(["item_id", ids[0], ids[1], "gone"]))
    words = ["recommend", model_folder, "--session", ids[0], "--candidates", stock]
    result = llmseq(*words, "--out", tmp_path / "lists.csv")
    assert "stock.csv: 1 ids are not in the model's catalogue" in result.stderr
    assert pl.read_csv(tmp_path / "lists.csv")["item_id"].to_list() == [ids[1]]
    llmseq(*words, "--seen", "keep", "--out", tmp_path / "lists.csv")
    assert set(pl.read_csv(tmp_path / "lists.csv")["item_id"]) == set(ids[:2])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "give either --session"),
        (["--session", "a", "--prompts", "b"], "give either --session"),
        (["--session", "a", "--k", "0"], "'--k'"),
        (["--session", "a", "--out", "lists.xlsx"], "--out takes a name ending in .csv"),
        (["--prompts", "nowhere.csv"], "nowhere.csv: no such file"),
        (["--session", "a", "--candidates", "nowhere.csv"], "nowhere.csv: no such file"),
    ],
)
def test_wrong_input_to_recommend(
    llmseq: Callable[..., Result], model_folder: Path, words: list[str], says: str
) -> None:
    result = llmseq("recommend", model_folder, *words)
    assert result.exit_code == 2, result.output
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert says in last


def test_a_damaged_model_is_named(llmseq: Callable[..., Result], model_folder: Path) -> None:
    (model_folder / "weights.safetensors").write_bytes(b"damaged")
    result = llmseq("recommend", model_folder, "--session", "a")
    assert (result.exit_code, "weights.safetensors: damaged" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model", "v-skn"], 'unknown model "v-skn"; did you mean "v-sknn"?'),
        (["--model", "fusion"], "made of other fitted models: run `llmseq compare`"),
        (["--model", "v-sknn", "--set", "kk=3"], 'unknown setting "kk"'),
        (["--model", "llmseqsim", "--encoder", "none"], 'unknown encoder "none"'),
        (["--model", "v-sknn", "--threads", "0"], "'--threads'"),
        (["--model", "sasrec", "--device", "gpu7"], 'torch cannot use the device "gpu7" here'),
        (
            ["--model", "v-sknn", "--set", "a.b=2", "--set", "a=1"],
            '--set gives both settings inside "a" and "a=1"',
        ),
    ],
)
def test_wrong_input_to_fit(
    llmseq: Callable[..., Result], shop_folder: Path, tmp_path: Path, words: Any, says: str
) -> None:
    result = llmseq("fit", shop_folder, "--out", tmp_path / "model", *words)
    assert (result.exit_code, says in result.stderr) == (2, True), result.output
    assert not (tmp_path / "model").exists()


def test_fit_replaces_models_only(
    llmseq: Callable[..., Result], shop_folder: Path, model_folder: Path
) -> None:
    for out in (shop_folder, shop_folder.parent):
        result = llmseq("fit", shop_folder, "--model", "popularity", "--out", out)
        assert (result.exit_code, "holds no model" in result.stderr) == (2, True)
    assert read_dataset(shop_folder).n_items == 120
    again = llmseq("fit", shop_folder, "--model", "popularity", "--out", model_folder)
    assert again.exit_code == 0
    assert load_model(model_folder).provenance["name"] == "popularity"


def test_a_neural_model_is_fitted_again_for_the_best_number_of_epochs(shop_folder: Path) -> None:
    saved = fit_model(
        shop_folder,
        "llm2sasrec",
        settings={"n_epochs": 3, "embedding_dim": 8, "patience": 1},
        encoder="tfidf",
        n_threads=1,
    )
    config = saved.recommender.config.to_dict()
    assert config["patience"] == 0
    assert len(saved.recommender.summary.history) == config["n_epochs"] <= 3


def test_a_neural_model_starts_from_a_saved_one(
    llmseq: Callable[..., Result], shop_folder: Path, tmp_path: Path
) -> None:
    small = [f"--set={key}" for key in ("embedding_dim=8", "n_epochs=2", "dropout=0.25")]
    words = ["fit", shop_folder, "--model", "sasrec", "--threads", 1]
    assert llmseq(*words, "--out", tmp_path / "first", *small).exit_code == 0
    start = ["--from", tmp_path / "first"]
    result = llmseq(*words, "--out", tmp_path / "second", *start, "--set=n_epochs=1")
    assert result.exit_code == 0, result.output
    first, second = (load_model(tmp_path / name) for name in ("first", "second"))
    losses = [model.recommender.summary.history[0]["loss"] for model in (first, second)]
    assert losses[1] < losses[0]  # it goes on where the first one was
    assert second.recommender.config.to_dict()["dropout"] == 0.25
    assert second.provenance["started_from"] == str(tmp_path / "first")


def test_a_model_starts_only_from_its_own_kind(
    llmseq: Callable[..., Result], shop_folder: Path, model_folder: Path, tmp_path: Path
) -> None:
    words = ["fit", shop_folder, "--out", tmp_path / "model", "--from", model_folder]
    result = llmseq(*words, "--model", "sasrec")
    assert (result.exit_code, "sasrec cannot start from a saved" in result.stderr) == (2, True)


def test_fit_on_train_leaves_test_out(shop_folder: Path) -> None:
    dataset = read_dataset(shop_folder)
    train = split_dataset(dataset).train
    fitted = fit_model(shop_folder, "popularity", on="train").recommender
    prompts = dataset.sessions.take(pl.Series([0]).to_numpy())
    [scores] = fitted.recommend(prompts, 1, exclude_seen=False).scores
    assert scores[0] == train.item_counts().max() < dataset.item_counts().max()
