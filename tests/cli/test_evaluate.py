import json

import polars as pl
import pytest
from click.testing import CliRunner

from llmseq.cli.main import cli


@pytest.fixture
def files(tmp_path):
    content = {
        "lists.csv": "rank,item_id,session_id\n1,a,s1\n2,b,s1\n1,b,s2\n4,d,s2\n",
        "targets.csv": "item_id,session_id\nb,s1\nd,s2\nc,s3\na,s4\n",
        "catalogue.csv": "item_id\na\nb\nc\nd\ne\n",
        "train.csv": "session_id,item_id\nx,a\nx,b\ny,a\nz,a\n",
    }
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def run(files, *words, **replaced):
    paths = {"recommendations": "lists.csv", "targets": "targets.csv", **replaced}
    options = [word for name, path in paths.items() for word in (f"--{name}", str(files / path))]
    return CliRunner().invoke(cli, ["evaluate", *options, *words])


def test_json_by_hand(files):
    result = run(
        files, "--k", "1,2", "--format", "json", catalogue="catalogue.csv", train="train.csv"
    )
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    expected = {
        "hr@1": 0.0,
        "hr@2": 2 / 4,
        "mrr@2": (1 / 2 + 1 / 2) / 4,
        "ndcg@2": 2 * 0.6309297535714575 / 4,
        "coverage@1": 2 / 5,
        "coverage@2": 3 / 5,
        "serendipity@2": 1 / 4,  # b is among the two most popular, d is not
        "novelty@1": (0.4150374992788438 + 2.0) / 2,
    }
    assert {name: values[name] for name in expected} == pytest.approx(expected)
    low, high = values["interval"]["hr@2"]
    assert 0 <= low < 0.5 < high <= 1
    assert "coverage@2" not in values["interval"]
    assert (values["n_sessions"], values["n_without_list"]) == (4, 2)


def test_parquet_gives_the_same_figures(files):
    pl.read_csv(files / "lists.csv").sample(fraction=1, shuffle=True, seed=3).write_parquet(
        files / "lists.parquet"
    )
    from_csv = run(files, "--format", "json").stdout
    assert run(files, "--format", "json", recommendations="lists.parquet").stdout == from_csv


def test_text_shows_figures_and_says_what_is_missing(files):
    result = run(files, "--k", "2")
    assert result.exit_code == 0
    assert "4 sessions" in result.stdout
    assert any(line.split()[:2] == ["hr@2", "0.5000"] for line in result.stdout.splitlines())
    assert "coverage" not in result.stdout
    assert "coverage and Gini need --catalogue" in result.stderr
    assert "need --train" in result.stderr
    assert "without a list, counted as misses: 2 of 4" in result.stderr


@pytest.mark.parametrize(
    ("words", "replaced", "message"),
    [
        (["--k", "0"], {}, "error: --k must be at least 1, got 0"),
        (["--k", "ten"], {}, 'error: --k takes whole numbers such as 10,20, got "ten"'),
        ([], {"targets": "no.csv"}, "no.csv: no such file"),
        ([], {"catalogue": "train.csv", "train": "catalogue.csv"}, 'no column "session_id"'),
        (["--format", "xml"], {}, "error: Invalid value for '--format'"),
    ],
)
def test_wrong_input_is_one_line(files, words, replaced, message):
    result = run(files, *words, **replaced)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
