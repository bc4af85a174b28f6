"""What is imported before anything is done: that is what makes ``--help`` quick."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import llmseq
from llmseq.cli.main import COMMANDS, DATA, PROMPT

HEAVY = (
    "torch", "polars", "scipy", "sklearn", "transformers", "matplotlib", "pydantic", "numpy",
    "rich.table",
)  # fmt: skip
WORDS = [
    [],
    *([name] for name in COMMANDS),
    *(["data", name] for name in DATA),
    *(["prompt", name] for name in PROMPT),
]


def modules_after(code):
    """Modules that a fresh interpreter has loaded after the code."""
    ending = "\nimport sys, json\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code + ending], capture_output=True, text=True, check=True
    )
    return set(json.loads(result.stdout.splitlines()[-1]))


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_help_imports_nothing_heavy(words):
    loaded = modules_after(
        "from llmseq.cli.main import cli\n"
        "try:\n"
        f"    cli({[*words, '--help']!r}, prog_name='llmseq')\n"
        "except SystemExit as error:\n"
        "    assert error.code == 0, error.code\n"
    )
    assert "click" in loaded
    assert not loaded.intersection(HEAVY)


def test_import_llmseq_imports_nothing_heavy():
    loaded = modules_after("import llmseq")
    assert "llmseq" in loaded
    assert not loaded.intersection((*HEAVY, "click", "rich", "importlib.metadata"))


def test_scoring_never_imports_torch():
    loaded = modules_after(
        "import numpy as np, llmseq\n"
        "from llmseq.types import Ragged\n"
        "lists = llmseq.Recommendations(np.array([[0, 1]]), np.array([[1.0, 0.5]]))\n"
        "assert llmseq.evaluate(lists, Ragged.from_lists([[1]])).means['hr@10'] == 1.0\n"
        "import llmseq.evaluation.leaderboard, llmseq.evaluation.verdict\n"
        "import llmseq.evaluation.breakdown, llmseq.evaluation.lists\n"
    )
    assert not loaded.intersection({"torch", "transformers", "sklearn", "matplotlib"})


@pytest.mark.parametrize("name", llmseq.__all__)
def test_every_public_name_is_there(name):
    assert getattr(llmseq, name) is not None
    assert name in dir(llmseq)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'compere'"):
        llmseq.compere  # noqa: B018


def test_type_checkers_see_what_is_imported():
    """The names under TYPE_CHECKING and the table that imports them lazily say the same."""
    tree = ast.parse(Path(llmseq.__file__).read_text(encoding="utf-8"))
    typed = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("llmseq.")
        for alias in node.names
    }
    assert typed == {name: f"llmseq.{home}" for name, home in llmseq._HOMES.items()}
    assert set(llmseq.__all__) == {*typed, "__version__"}
