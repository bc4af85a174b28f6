"""The registry of models: every name that `--models` takes. Nothing heavy is imported here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from llmseq.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmseq.config import Config
    from llmseq.models.protocol import Recommender

Family = Literal["baseline", "neighbours", "similarity", "sequential", "hybrid"]


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One name: which class, which settings differ from the class's defaults.

    Parameters
    ----------
    label
        As a report shows it.
    recommender, config
        "module:class" of both, imported when they are used.
    preset
        Settings that make this name out of the class: ``llm2sasrec`` is ``sasrec`` with a table.
    grid
        For each setting that `compare` tries, the values; chosen on the select part.
    """

    label: str
    family: Family
    uses_text: bool
    recommender: str
    config: str
    preset: Mapping[str, Any] = field(default_factory=dict)
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def config_class(self) -> type[Config]:
        """Import the settings class."""
        loaded: type[Config] = _load(self.config)
        return loaded

    def recommender_class(self) -> type[Recommender]:
        """Import the model class; may import torch."""
        loaded: type[Recommender] = _load(self.recommender)
        return loaded

    def make_config(self, settings: Mapping[str, Any] | None = None, *, what: str) -> Config:
        """Preset plus the given settings, validated.

        Raises
        ------
        ConfigError
            If a setting is unknown or out of range.
        """
        return self.config_class().make({**self.preset, **(settings or {})}, what=what)


def _load(path: str) -> Any:  # noqa: ANN401 - a class by its name
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)


MODELS: Registry[ModelEntry] = Registry("model")

MODELS.register(
    "popularity",
    ModelEntry(
        label="Popularity",
        family="baseline",
        uses_text=False,
        recommender="llmseq.models.popularity:PopularityRecommender",
        config="llmseq.models.popularity:PopularityConfig",
    ),
)
MODELS.register(
    "v-sknn",
    ModelEntry(
        label="V-SKNN",
        family="neighbours",
        uses_text=False,
        recommender="llmseq.models.session_knn:SessionKnnRecommender",
        config="llmseq.models.session_knn:SessionKnnConfig",
        preset={"prompt_decay": "harmonic"},
        grid={
            "k": (50, 200),
            "prompt_decay": ("harmonic", "quadratic"),
            "idf_weighting": (True, False),
        },
    ),
)
MODELS.register(
    "sasrec",
    ModelEntry(
        label="SASRec",
        family="sequential",
        uses_text=False,
        recommender="llmseq.models.sequential.recommender:SequentialRecommender",
        config="llmseq.models.sequential.config:SequentialConfig",
    ),
)
MODELS.register(
    "llmseqsim",
    ModelEntry(
        label="LLMSeqSim",
        family="similarity",
        uses_text=True,
        recommender="llmseq.models.seq_sim:SeqSimRecommender",
        config="llmseq.models.seq_sim:SeqSimConfig",
        grid={
            "reduction": (
                {"method": "pca_whiten", "dim": 256},
                {"method": "pca_whiten", "dim": 128},
                {"method": "pca", "dim": 256},
            ),
            "popularity_weight": (0.0, 0.01, 0.1),
        },
    ),
)
MODELS.register(
    "llm2sasrec",
    ModelEntry(
        label="LLM2SASRec",
        family="sequential",
        uses_text=True,
        recommender="llmseq.models.sequential.recommender:SequentialRecommender",
        config="llmseq.models.sequential.config:SequentialConfig",
        # Unit rows are long enough for the network to read: √D is for small random ones.
        preset={"item_table": "llm_init", "input_scale": 1.0, "dropout": 0.5},
    ),
)
MODELS.register(
    "fusion-no-text",
    ModelEntry(
        label="Fusion without text",
        family="hybrid",
        uses_text=False,
        recommender="llmseq.models.hybrid.fuse:FusionRecommender",
        config="llmseq.models.hybrid.fuse:FusionConfig",
    ),
)
MODELS.register(
    "fusion",
    ModelEntry(
        label="Fusion",
        family="hybrid",
        uses_text=True,
        recommender="llmseq.models.hybrid.fuse:FusionRecommender",
        config="llmseq.models.hybrid.fuse:FusionConfig",
    ),
)
