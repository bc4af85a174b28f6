from __future__ import annotations

import subprocess
import sys

import pytest

from llmseq.errors import ConfigError
from llmseq.models.catalog import MODELS
from llmseq.models.sequential.config import SequentialConfig


@pytest.mark.parametrize("name", ["sasrec", "llm2sasrec"])
def test_presets_survive_toml(name):
    config = MODELS[name].make_config(what=name)
    assert SequentialConfig.from_toml(config.to_toml()) == config


def test_the_text_model_differs_from_the_plain_one_in_its_table():
    plain, text = (MODELS[name].make_config(what=name) for name in ("sasrec", "llm2sasrec"))
    assert (plain.item_table, text.item_table) == ("random", "llm_init")
    assert plain.embedding_dim == text.embedding_dim


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"n_heads": 3}, "n_heads = 3: .*divide embedding_dim .128."),
        ({"max_length": 0}, "max_length = 0"),
        ({"dropout": 1.0}, "dropout = 1.0"),
        ({"input_scale": 0}, "input_scale = 0"),
        ({"learning_rate": 0}, "learning_rate = 0"),
        ({"item_table": "magic"}, "item_table = 'magic'"),
        ({"reduction": {"method": "pca", "dim": 64}}, r"embedding_dim = 128: .*reduction.dim \(64"),
        ({"widht": 3}, 'unknown setting "widht"'),
    ],
)
def test_wrong_settings_are_named(settings, says):
    with pytest.raises(ConfigError, match=says):
        SequentialConfig.make(settings, what="sasrec")


def test_settings_do_not_import_torch():
    code = (
        "import sys; from llmseq.models.catalog import MODELS; "
        "MODELS['sasrec'].make_config(what='sasrec'); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_torch_the_extra_is_named():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from llmseq.errors import MissingExtraError\n"
        "from llmseq.models.catalog import MODELS\n"
        "try:\n    MODELS['sasrec'].recommender_class()\n"
        "except MissingExtraError as error:\n    sys.exit('llmseq[train]' not in str(error))\n"
        "sys.exit('no error')"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
