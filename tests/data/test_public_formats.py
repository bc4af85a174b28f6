"""Every import command of docs/data.md, run as it stands there on small files of that format."""

from __future__ import annotations

import gzip
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from llmseq.cli.main import cli
from llmseq.data.folder import read_dataset

FILES = Path(__file__).parent / "public"
PAGE = Path(__file__).parents[2] / "docs" / "data.md"
_PATHS = ("--interactions", "--items")


def commands():
    """Words of each import command on the page, by the name of what it writes."""
    text = PAGE.read_text(encoding="utf-8").replace("\\\n", " ")
    found = [shlex.split(line) for line in re.findall(r"^    (llmseq data import .*)$", text, re.M)]
    named = {words[words.index("--out") + 1]: words for words in found}
    assert len(named) == len(found)
    return named


def paths(words):
    return [words[at + 1] for at, word in enumerate(words) if word in _PATHS]


_STEAM = ["10", "20", "30", "40", "50"]  # each user played all of them, and starts one further on

# Sessions; text of the first item that the dataset holds; items in it.
EXPECTED = {
    "beauty-2014": (
        {"A1YJEY40": ["0002", "B0001"], "A3SGXH7A": ["0002"]},
        "Mirror, 12\" wide. Ivy's. Beauty, Tools; Gifts",
        2,
    ),
    "beauty-2018": (
        {"A3CIUOJX": ["B0012", "B0013"], "A3Z74TDR": ["B0013"]},
        "Body Wash. Dove. Long., Longer.",
        2,
    ),
    "beauty-2023": (
        {"AGKH": ["B081", "B00YQ"], "AFKZ": ["B081"]},
        "Mist. Herbivore. Vegan, Pump",
        2,
    ),
    "ml-latest": ({"1": ["31", "1029"], "2": ["31"]}, "Dangerous Minds (1995). Drama", 2),
    "ml-1m": (
        {"1": ["1193", "2", "661"], "2": ["1193"]},
        "One Flew Over the Cuckoo's Nest (1975). Drama",
        3,
    ),
    "ml-100k": ({"196": ["302", "242"], "186": ["302"]}, "Kolya (1996)", 2),
    "steam": (
        {f"Chaos {u}": [_STEAM[(4 - i + u) % 5] for i in range(5)] for u in range(5)},
        "Game 0. D'Arc. Action, Indie",
        5,
    ),
    "dhrd": (
        {
            "90a4e98622": ["9a2b00f39640", "9971ae2cd1ba", "00734c4b351f"],
            "c0ffee0001": ["9a2b00f39640"],
        },
        "Latte (hot)",
        3,
    ),
    "yelp": (
        {"mh_-": ["7ATY", "XQfw"], "OyoG": ["7ATY"]},
        "Turning Point. Restaurants, Breakfast & Brunch. North Wales",
        2,
    ),
    "hm": (
        {"000058a1": ["0663713001", "0541518023"], "00007d2d": ["0663713001"]},
        "Atlanta Push Body. Bodysuit. Black. Lace push-up body, underwired.",
        2,
    ),
    "retailrocket": ({"257597-1": ["355908", "248676"]}, None, 2),
    "yoochoose": ({"1": ["214536502", "214536500"], "2": ["214536502"]}, None, 2),
    "gowalla": ({"0": ["420315", "22847"], "1": ["22847"]}, None, 2),
    "recbole": ({"196": ["302", "242"], "186": ["302"]}, "Kolya. Comedy", 2),
    "rectools": ({"u1": ["i1", "i2"], "u2": ["i1"]}, "Metro. drama", 2),
    "lenskit": ({"1": ["29", "31"], "2": ["31"]}, "Dangerous Minds", 2),
}


def test_the_page_has_what_is_tested_and_every_file_is_used():
    assert set(commands()) == set(EXPECTED)
    named = {name.removesuffix(".gz") for words in commands().values() for name in paths(words)}
    assert named == {file.name for file in FILES.iterdir()}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_command_of_the_page(name, tmp_path, monkeypatch):
    words = commands()[name]
    for wanted in paths(words):
        source = FILES / wanted.removesuffix(".gz")
        if wanted.endswith(".gz"):
            (tmp_path / wanted).write_bytes(gzip.compress(source.read_bytes()))
        else:
            shutil.copy(source, tmp_path / wanted)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, words[1:])
    assert result.exit_code == 0, result.output
    dataset = read_dataset(name)
    sessions, first_text, n_items = EXPECTED[name]
    ids, made = dataset.catalogue.ids, dataset.sessions
    assert {made.ids[row]: ids[made[row]].tolist() for row in range(len(made))} == sessions
    assert made.times is not None
    assert np.unique(made.times).size > 1
    assert dataset.catalogue.texts[0] == first_text
    assert dataset.n_items == n_items


def test_other_alphabets_and_quotes_arrive(tmp_path, monkeypatch):
    for name in ("ratings.dat", "movies.dat"):
        shutil.copy(FILES / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(cli, commands()["ml-1m"][1:]).exit_code == 0
    assert read_dataset("ml-1m").catalogue.titles[2] == '"Misérables, Les" (1995)'
