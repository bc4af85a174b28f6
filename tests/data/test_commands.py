"""``llmseq data import`` and ``describe``, as people type them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from llmseq.cli.main import cli
from llmseq.data.synthetic import write_shop_files


def run(*words):
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_shop_files(tmp_path_factory.mktemp("shop"), n_sessions=300, seed=1)


@pytest.fixture(scope="module")
def imported(files):
    out = files.items.parent / "dataset"
    return out, run("data", "import", "--interactions", files.interactions, "--items", files.items,
                    "--out", out)  # fmt: skip


def test_import_says_what_it_did(imported):
    out, result = imported
    assert result.exit_code == 0, result.output
    assert "Took the times for ISO dates" in result.stdout
    assert "events: their item is not in the items file" in result.stdout
    assert "items without text" in result.stdout
    assert f"llmseq compare {out} --out RUN" in result.stdout
    assert "warning" not in result.stderr
    assert (out / "manifest.json").exists()


def test_describe(imported):
    out, _ = imported
    shown = run("data", "describe", out)
    assert shown.exit_code == 0, shown.output
    assert "fit, stop, select, test" in shown.stdout
    plain = run("data", "describe", out, "--format", "json")
    assert json.loads(plain.stdout)["sessions"]["count"] == 300


def test_describe_where_no_split_can_be_made(tmp_path):
    (tmp_path / "e.csv").write_text("session_id,item_id\ns,a\ns,b\n")
    (tmp_path / "i.csv").write_text("item_id,title\na,A\nb,B\n")
    result = run("data", "import", "--interactions", tmp_path / "e.csv", "--items",
                 tmp_path / "i.csv", "--out", tmp_path / "d")  # fmt: skip
    assert result.exit_code == 0, result.output
    shown = run("data", "describe", tmp_path / "d")
    assert shown.exit_code == 0, shown.output
    assert "cannot be made: the dataset has neither split labels nor times" in shown.stdout


def test_a_shop_of_repeats_is_warned(tmp_path):
    (tmp_path / "e.csv").write_text("session_id,item_id\ns,a\ns,b\ns,a\n")
    (tmp_path / "i.csv").write_text("item_id,title\na,A\nb,B\n")
    result = run("data", "import", "--interactions", tmp_path / "e.csv", "--items",
                 tmp_path / "i.csv", "--out", tmp_path / "d")  # fmt: skip
    assert "100% of the sessions end with an item they hold already" in result.stderr
    assert "--seen keep" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--session-col", "visit"], 'events.csv.gz: no column "visit"'),
        (["--user-col", "session_id", "--session-gap", "soon"], 'session gap "soon"'),
        (["--max-unknown", "0"], "is not in the items file"),
        (["--text", "{titel}"], 'no column "titel"; did you mean "title"?'),
        (["--item-times", "nowhere.csv"], "nowhere.csv: no such file"),
        (["--min-length", "many"], "'many' is not a valid integer"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(files, tmp_path, words, message):
    result = run("data", "import", "--interactions", files.interactions, "--items", files.items,
                 "--out", tmp_path / "d", *words)  # fmt: skip
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
    assert not (tmp_path / "d").exists()


def test_an_unwritable_folder_is_exit_code_1(files, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr("llmseq.storage.tempfile.mkdtemp", refuse)
    result = run("data", "import", "--interactions", files.interactions, "--items", files.items,
                 "--out", tmp_path / "d")  # fmt: skip
    assert result.exit_code == 1, result.output
    assert result.stderr == f"error: {tmp_path}: Permission denied\n"


def test_describe_of_a_damaged_folder(imported, tmp_path):
    result = run("data", "describe", tmp_path)
    assert result.exit_code == 2
    assert "is not a dataset" in result.stderr
