"""The main job: compare models on a dataset and hand over the winner."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmseq.experiment.run import Run, compare
    from llmseq.experiment.single import fit_model

__all__ = ["Run", "compare", "fit_model"]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: a report alone needs none of them."""
    if name in {"Run", "compare"}:
        from llmseq.experiment import run

        return getattr(run, name)
    if name == "fit_model":
        from llmseq.experiment.single import fit_model

        return fit_model
    raise AttributeError(f"module 'llmseq.experiment' has no attribute {name!r}")
