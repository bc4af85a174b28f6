import importlib.metadata
import importlib.util
import json

import pytest
from click.testing import CliRunner

from llmseq.cli.main import cli


def doctor(*words):
    return CliRunner().invoke(cli, ["doctor", *words])


def test_json_says_what_is_here(monkeypatch):
    monkeypatch.setenv("LLMSEQ_NUM_THREADS", "3")
    result = doctor("--format", "json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["core"] == {"works": True, "error": None}
    assert facts["threads"] == 3
    assert facts["cpu"]["usable_cores"] >= 1
    assert facts["packages"]["numpy"] == importlib.metadata.version("numpy")
    assert set(facts["cache"]) == {"path", "exists", "writable"}


def test_extras_are_those_of_the_package():
    extras = json.loads(doctor("--format", "json").stdout)["extras"]
    declared = set(importlib.metadata.metadata("llmseq").get_all("Provides-Extra"))
    assert set(extras) == declared - {"all"}
    assert set(extras["train"]["packages"]) == {"torch"}


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else find(name)
    )
    result = doctor()
    assert result.exit_code == 0
    (line,) = [line for line in result.stdout.splitlines() if line.split()[:1] == ["train"]]
    assert 'no: pip install "llmseq[train]"' in line
    assert "torch missing" in line


def test_a_broken_core_is_a_finding(monkeypatch):
    def broken(*args):
        raise ImportError("wrong version")

    monkeypatch.setattr("llmseq.core.top_k", broken)
    result = doctor()
    assert result.exit_code == 0
    assert "does not work: ImportError: wrong version" in result.stdout
    assert result.stderr.startswith("warning: the compiled core does not work")


@pytest.mark.parametrize("name", ["LLMSEQ_NUM_THREADS", "LLMSEQ_CPU"])
def test_a_variable_set_wrongly_is_no_broken_core(monkeypatch, name):
    monkeypatch.setenv(name, "many")
    result = doctor()
    assert result.exit_code == 0
    assert result.stderr.startswith(f"warning: {name} must be")


def test_a_file_is_no_cache(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LLMSEQ_CACHE", str(tmp_path / "file"))
    assert not json.loads(doctor("--format", "json").stdout)["cache"]["writable"]


def test_text_shows_the_machine():
    result = doctor()
    assert result.exit_code == 0
    for word in ("llmseq", "Python", "processor", "threads", "compiled core", "cache"):
        assert any(line.startswith(word) for line in result.stdout.splitlines())
