from __future__ import annotations

import subprocess
import sys

import pytest

from llmseq.errors import ConfigError
from llmseq.models.catalog import MODELS
from llmseq.models.sequential.config import SASRecConfig

NETWORKS = ("sasrec", "bert4rec", "gru4rec")


@pytest.mark.parametrize("name", [*NETWORKS, *(f"llm2{name}" for name in NETWORKS)])
def test_presets_survive_toml(name):
    config = MODELS[name].make_config(what=name)
    assert type(config).from_toml(config.to_toml()) == config


@pytest.mark.parametrize("network", NETWORKS)
def test_the_text_model_differs_from_the_plain_one_in_its_table(network):
    names = (network, f"llm2{network}")
    plain, text = (MODELS[name].make_config(what=name) for name in names)
    assert type(plain) is type(text)
    assert (plain.item_table, text.item_table) == ("random", "llm_init")
    assert plain.embedding_dim == text.embedding_dim


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"n_heads": 3, "embedding_dim": 128}, "n_heads = 3: .*divide embedding_dim .128."),
        ({"max_length": 0}, "max_length = 0"),
        ({"dropout": 1.0}, "dropout = 1.0"),
        ({"input_scale": 0}, "input_scale = 0"),
        ({"learning_rate": 0}, "learning_rate = 0"),
        ({"item_table": "magic"}, "item_table = 'magic'"),
        (
            {"reduction": {"method": "pca", "dim": 64}, "embedding_dim": 128},
            r"embedding_dim = 128: .*reduction.dim \(64",
        ),
        (
            {"item_table": "null_space", "identity_dim": 16, "embedding_dim": 16},
            r"embedding_dim = 16: .*above identity_dim \(16\)",
        ),
        ({"identity_dim": 4}, "identity_dim = 4: .*random table has no text"),
        ({"objective": "hinge"}, "objective = 'hinge'"),
        ({"n_negatives": 0}, "n_negatives = 0"),
        ({"calibration": 1.5}, "calibration = 1.5"),
        ({"clip_norm": 0}, "clip_norm = 0"),
        ({"max_delta": -1}, "max_delta = -1"),
        ({"widht": 3}, 'unknown setting "widht"'),
    ],
)
def test_wrong_settings_are_named(settings, says):
    with pytest.raises(ConfigError, match=says):
        SASRecConfig.make(settings, what="sasrec")


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
