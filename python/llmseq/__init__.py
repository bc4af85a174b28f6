"""Find out whether language-model embeddings improve your recommendations, and by how much.

The public names live in the modules below and are imported when they are first used, so that
``import llmseq`` is quick and never imports torch.

Examples
--------
>>> import llmseq
>>> shop = llmseq.make_shop(n_sessions=200, seed=1)
>>> len(shop.sessions)
200
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmseq.data.catalogue import Catalogue
    from llmseq.data.dataset import SessionDataset
    from llmseq.data.folder import read_dataset, write_dataset
    from llmseq.data.importer import import_dataset
    from llmseq.data.quality import describe
    from llmseq.data.sessions import HeldOut, Sessions
    from llmseq.data.split import Split, SplitConfig, split_dataset
    from llmseq.data.synthetic import make_shop
    from llmseq.embeddings.embed import embed_catalogue
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.errors import LlmseqError
    from llmseq.evaluation.evaluate import Evaluation, evaluate
    from llmseq.evaluation.leaderboard import Leaderboard
    from llmseq.experiment.export import export_lists
    from llmseq.experiment.run import compare
    from llmseq.experiment.spec import CompareSpec
    from llmseq.experiment.tune import tune
    from llmseq.models.catalog import MODELS
    from llmseq.models.persistence import SavedModel, load_model
    from llmseq.recommendations import Recommendations

    __version__: str

_HOMES = {
    "Catalogue": "data.catalogue",
    "CompareSpec": "experiment.spec",
    "Evaluation": "evaluation.evaluate",
    "HeldOut": "data.sessions",
    "ItemEmbeddings": "embeddings.matrix",
    "Leaderboard": "evaluation.leaderboard",
    "LlmseqError": "errors",
    "MODELS": "models.catalog",
    "Recommendations": "recommendations",
    "SavedModel": "models.persistence",
    "SessionDataset": "data.dataset",
    "Sessions": "data.sessions",
    "Split": "data.split",
    "SplitConfig": "data.split",
    "compare": "experiment.run",
    "describe": "data.quality",
    "embed_catalogue": "embeddings.embed",
    "evaluate": "evaluation.evaluate",
    "export_lists": "experiment.export",
    "import_dataset": "data.importer",
    "load_model": "models.persistence",
    "make_shop": "data.synthetic",
    "read_dataset": "data.folder",
    "split_dataset": "data.split",
    "tune": "experiment.tune",
    "write_dataset": "data.folder",
}

__all__ = [
    "MODELS",
    "Catalogue",
    "CompareSpec",
    "Evaluation",
    "HeldOut",
    "ItemEmbeddings",
    "Leaderboard",
    "LlmseqError",
    "Recommendations",
    "SavedModel",
    "SessionDataset",
    "Sessions",
    "Split",
    "SplitConfig",
    "__version__",
    "compare",
    "describe",
    "embed_catalogue",
    "evaluate",
    "export_lists",
    "import_dataset",
    "load_model",
    "make_shop",
    "read_dataset",
    "split_dataset",
    "tune",
    "write_dataset",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    if name == "__version__":
        value: object = _version()
    elif name in _HOMES:
        import importlib

        value = getattr(importlib.import_module(f"llmseq.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module 'llmseq' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("llmseq")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0+unknown"
