from __future__ import annotations

import itertools
import subprocess
import sys

import pytest

from llmseq.errors import ConfigError
from llmseq.models.catalog import MODELS


@pytest.mark.parametrize("name", MODELS.names())
def test_every_combination_of_a_grid_is_a_setting(name):
    entry = MODELS[name]
    configs = [
        entry.make_config(dict(zip(entry.grid, values, strict=True)), what=name)
        for values in itertools.product(*entry.grid.values())
    ]
    assert len({config.to_toml() for config in configs}) == len(configs) <= 12


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in MODELS
        if MODELS[name].family not in {"sequential", "hybrid", "prompt"}
        and name not in {"popularity", "session-popularity"}  # nothing to choose
    ],
)
def test_the_untrained_models_have_a_grid(name):
    assert MODELS[name].grid


def test_an_unknown_model_lists_the_choices():
    with pytest.raises(
        ConfigError, match=r'unknown model "sasreck".*did you mean "sasrec".*fusion'
    ):
        MODELS["sasreck"]


def test_the_light_models_never_import_torch():
    code = (
        "import sys\n"
        "from llmseq.models.catalog import MODELS\n"
        "for name in ('popularity', 'v-sknn', 'sknnemb', 'cooccurrence', 'llmseqsim', 'fusion'):\n"
        "    MODELS[name].recommender_class()\n"
        "for name in MODELS:\n"
        "    MODELS[name].make_config(what=name)\n"
        "raise SystemExit('torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
