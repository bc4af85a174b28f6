"""The registry of models: every name that `--models` takes. Nothing heavy is imported here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from llmseq.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmseq.config import Config
    from llmseq.models.protocol import Recommender

Family = Literal["baseline", "neighbours", "similarity", "sequential", "prompt", "hybrid"]


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
    quick
        Whether the quick comparison has it.
    """

    label: str
    family: Family
    uses_text: bool
    recommender: str
    config: str
    preset: Mapping[str, Any] = field(default_factory=dict)
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    quick: bool = True

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


def registry_name(name: str) -> str:
    """Give a model's name without the vectors that it takes.

    Examples
    --------
    >>> registry_name("llmseqsim@tfidf")
    'llmseqsim'
    """
    return name.partition("@")[0]


# Unit rows are long enough for the network to read: √D is for small random ones.
_TEXT: Mapping[str, Any] = {"item_table": "llm_init", "input_scale": 1.0}


def _sequential(
    label: str,
    config: str,
    preset: Mapping[str, Any] | None = None,
    *,
    quick: bool = False,
) -> ModelEntry:
    """One of the trained models; text makes its item table where the preset says so."""
    preset = preset or {}
    return ModelEntry(
        label=label,
        family="sequential",
        uses_text=preset.get("item_table", "random") != "random",
        recommender="llmseq.models.sequential.recommender:SequentialRecommender",
        config=f"llmseq.models.sequential.config:{config}",
        preset=preset,
        quick=quick,
    )


MODELS: Registry[ModelEntry] = Registry("model")


_popularity = partial(
    ModelEntry,
    family="baseline",
    uses_text=False,
    recommender="llmseq.models.popularity:PopularityRecommender",
    config="llmseq.models.popularity:PopularityConfig",
)
_neighbours = partial(
    ModelEntry,
    family="neighbours",
    uses_text=False,
    recommender="llmseq.models.session_knn:SessionKnnRecommender",
    config="llmseq.models.session_knn:SessionKnnConfig",
)
_cooccurrence = partial(
    ModelEntry,
    family="neighbours",
    uses_text=False,
    recommender="llmseq.models.cooccurrence:CooccurrenceRecommender",
    config="llmseq.models.cooccurrence:CooccurrenceConfig",
)


# What came before a shared item says little on most logs, and as much as what came next on a log of
# baskets: every grid has both.
_BACKWARD = (0.1, 0.25, 1.0)
# Without a decay of their own, SKNN and S-SKNN are told how far to look back.
_LENGTHS: Mapping[str, tuple[Any, ...]] = {"last_n": (2, 3, 5, 20), "backward": _BACKWARD}

for _name, _entry in {
    "popularity": _popularity(label="Popularity"),
    "recent-popularity": _popularity(
        label="Recent popularity",
        preset={"window_days": 30.0},
        grid={"window_days": (7.0, 30.0, 90.0)},
        quick=False,
    ),
    "session-popularity": _popularity(
        label="Session popularity", preset={"in_session": True}, quick=False
    ),
    "markov": _cooccurrence(
        label="Markov",
        preset={"window": 1, "backward": 0.0, "row_power": 1.0, "prompt_pooling": "last"},
        grid={"prompt_pooling": ("last", "harmonic_squared")},
        quick=False,
    ),
    "cooccurrence": _cooccurrence(
        label="Co-occurrence",
        grid={
            "row_power": (0.6, 0.8),
            "backward": _BACKWARD,
            "prompt_pooling": ("harmonic", "harmonic_squared"),
        },
    ),
    "llm2cooccurrence": _cooccurrence(
        label="LLM2Cooccurrence",
        uses_text=True,
        config="llmseq.models.cooccurrence:CooccurrenceTextConfig",
        grid={"backward": _BACKWARD, "text_weight": (0.25, 0.5)},
    ),
    "sknn": _neighbours(
        label="SKNN",
        preset={"k": 200},
        grid=_LENGTHS,
        quick=False,
    ),
    "v-sknn": _neighbours(
        label="V-SKNN",
        preset={"k": 200, "prompt_decay": "quadratic"},
        grid={
            "prompt_decay": ("harmonic", "quadratic"),
            "backward": _BACKWARD,
            "idf_weighting": (True, False),
        },
    ),
    "s-sknn": _neighbours(
        label="S-SKNN",
        preset={"k": 200, "sequential_weighting": True},
        grid=_LENGTHS,
        quick=False,
    ),
    "sf-sknn": _neighbours(
        label="SF-SKNN",
        preset={"followers_only": True, "k": 200},
        grid={
            "last_n": (5, 20),
            "backward": _BACKWARD,
            "idf_weighting": (True, False),
        },
        quick=False,
    ),
    "sknnemb": _neighbours(
        label="SKNNEmb",
        uses_text=True,
        recommender="llmseq.models.session_knn_text:SessionKnnTextRecommender",
        config="llmseq.models.session_knn_text:SessionKnnTextConfig",
        preset={"prompt_pooling": "harmonic_squared", "sequential_weighting": True},
        grid={
            "prompt_pooling": ("harmonic", "harmonic_squared"),
            "last_n": (5, 20),
            "backward": _BACKWARD,
        },
        quick=False,
    ),
}.items():
    MODELS.register(_name, _entry)
for _name, _entry in {
    "sasrec": _sequential("SASRec", "SASRecConfig", {"dropout": 0.6}, quick=True),
    "bert4rec": _sequential("BERT4Rec", "BERT4RecConfig"),
    "gru4rec": _sequential("GRU4Rec", "GRU4RecConfig"),
}.items():
    MODELS.register(_name, _entry)
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
                {"method": "pca_whiten"},
                {"method": "pca", "dim": 256},
            ),
            "popularity_weight": (0.0, 0.01, 0.1),
        },
    ),
)
for _name, _entry in {
    "llm2sasrec": _sequential("LLM2SASRec", "SASRecConfig", _TEXT, quick=True),
    "llm2bert4rec": _sequential("LLM2BERT4Rec", "BERT4RecConfig", _TEXT),
    "llm2gru4rec": _sequential("LLM2GRU4Rec", "GRU4RecConfig", _TEXT),
}.items():
    MODELS.register(_name, _entry)
for _name, _label in {
    "genitem": "LLMSeqPrompt GenItem",
    "genlist": "LLMSeqPrompt GenList",
    "classify": "LLMSeqPrompt Classify",
    "rank": "LLMSeqPrompt Rank",
}.items():
    MODELS.register(
        f"llmseqprompt-{_name}",
        ModelEntry(
            label=_label,
            family="prompt",
            uses_text=True,
            recommender="llmseq.models.prompt.recommender:PromptRecommender",
            config="llmseq.models.prompt.config:PromptConfig",
            preset={"task": _name},
            quick=False,
        ),
    )
_hybrid = partial(
    ModelEntry,
    family="hybrid",
    uses_text=True,
    recommender="llmseq.models.hybrid.recommender:HybridRecommender",
)
_fusion = partial(
    _hybrid,
    config="llmseq.models.hybrid.fuse:FusionConfig",
    grid={"n_members": (2, 3, 5), "method": ("rrf", "zscore"), "weighting": ("equal", "fitted")},
)
for _name, _entry in {
    "embedding-ensemble": _hybrid(
        label="EmbeddingEnsemble",
        config="llmseq.models.hybrid.ensemble:EnsembleConfig",
        grid={
            "head": (
                *({"method": "rank", "places": places} for places in (1, 3, 5, 10)),
                *({"method": "confidence", "score": score} for score in (0.6, 0.7, 0.8, 0.9)),
            )
        },
        quick=False,
    ),
    "sim-sequential": _hybrid(
        label="LLMSeqSim & Sequential",
        config="llmseq.models.hybrid.switch:SwitchConfig",
        grid={"sequential": ("llm2sasrec", "llm2bert4rec"), "quantile": (0.25, 0.5, 0.75)},
        quick=False,
    ),
    "sim-popularity": _hybrid(
        label="LLMSeqSim & Popularity",
        config="llmseq.models.hybrid.filter:FilterConfig",
        grid={"popularity_quantile": (0.25, 0.5, 0.75)},
        quick=False,
    ),
    "fusion-no-text": _fusion(label="Fusion without text", uses_text=False),
    "fusion": _fusion(label="Fusion"),
}.items():
    MODELS.register(_name, _entry)
