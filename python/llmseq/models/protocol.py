"""What every model can do. A Protocol, not a tower of base classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from llmseq.config import Config
    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import HeldOut, Sessions
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.recommendations import Recommendations
    from llmseq.types import BoolArray, ItemArray

Progress = Callable[[float, str], None]
"""Called with the share done (0 to 1) and a short text, for example "epoch 3, ndcg@20 .051"."""


@dataclass(frozen=True, eq=False, slots=True)
class WarmStart:
    """A fitted model to start from, and where the items of the new catalogue are in its own.

    Parameters
    ----------
    recommender : Recommender
        Of the kind that is fitted.
    items : int32 (n_items,)
        For each item of the new catalogue its index in the fitted model's; −1 for new ones.
    """

    recommender: Recommender
    items: ItemArray


@dataclass(frozen=True, slots=True)
class FitContext:
    """What a long fit may use.

    Parameters
    ----------
    checkpoint : Path, optional
        A folder for checkpoints; a fit started again with the same inputs goes on from there.
    progress : callable, optional
        Told how far the fit is.
    n_threads : int, optional
        Upper bound of threads; None: all that the process may use.
    device : str
        Where torch models train, ``"cpu"`` or as torch names it.
    start : WarmStart, optional
        A fitted model whose weights a trained model starts from.
    """

    checkpoint: Path | None = None
    progress: Progress | None = None
    n_threads: int | None = None
    device: str = "cpu"
    start: WarmStart | None = None

    def report(self, share: float, text: str) -> None:
        """Tell how far the fit is, if anybody listens."""
        if self.progress is not None:
            self.progress(share, text)


@dataclass(frozen=True, slots=True)
class FitSummary:
    """What a fit did: numbers of trained parameters and epochs, and the history of training.

    ``history`` has one mapping an epoch, plain values: epoch, loss, ndcg@20, seconds. ``notes``
    say where the fit had to depart from the settings.
    """

    parameters: int = 0
    epochs: int | None = None
    history: tuple[Mapping[str, Any], ...] = field(default=())
    notes: tuple[str, ...] = ()


class Recommender(Protocol):
    """A model of next items."""

    @property
    def config(self) -> Config:
        """Its settings."""

    @property
    def summary(self) -> FitSummary:
        """What the last fit did."""

    def refit_config(self) -> Config:
        """Give settings for a fit on more data without validation: the chosen epochs fixed."""

    def fit(
        self,
        train: SessionDataset,
        *,
        embeddings: Mapping[str, ItemEmbeddings] | None = None,
        validation: HeldOut | None = None,
        rng: np.random.Generator,
        context: FitContext | None = None,
    ) -> Self:
        """Learn from sessions. ``validation`` is for early stopping only. Returns itself.

        ``embeddings`` are by name; a model that uses text takes the one its config names, or the
        only one. All of them have a row for every item of ``train.catalogue``.
        """

    def recommend(
        self,
        prompts: Sessions,
        k: int,
        *,
        exclude_seen: bool = True,
        candidates: BoolArray | None = None,
    ) -> Recommendations:
        """Rank the items most likely to come next, best first.

        Parameters
        ----------
        prompts : Sessions
            Any sessions, also of people never seen in training; empty ones are allowed.
        k : int
            Places in a list.
        exclude_seen : bool
            Leave out the items of the whole prompt.
        candidates : bool (n_items,), optional
            Items that may be listed; None: every item that the model can score.
        """

    def save(self, path: Path) -> None:
        """Write config.json, weights.safetensors and manifest.json into a new folder."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a folder that ``save`` wrote. Never runs code from it."""


@runtime_checkable
class Extendable(Protocol):
    """A recommender that can score items which came after its fit."""

    def extend(self, vectors: ItemEmbeddings) -> Recommender:
        """Add items by their text vectors; they get the next item indices."""


@runtime_checkable
class MayNeedTimes(Protocol):
    """Settings some of which ask for session times."""

    @property
    def needs_times(self) -> tuple[str, ...]:
        """Those that do, as a message names them; empty: the model goes without times."""
