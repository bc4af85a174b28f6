"""The sequential models as a recommender: fit, rank, extend."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Self

import numpy as np

from llmseq.core import evaluate_lists, thread_count
from llmseq.errors import ConfigError, MissingExtraError, ShapeError
from llmseq.models.protocol import FitContext, FitSummary
from llmseq.models.request import check_request, fitted, pick_embeddings
from llmseq.models.sequential.config import NetworkName, SASRecConfig, SequentialConfig
from llmseq.storage import fingerprint
from llmseq.types import Ragged

try:
    import torch
except ModuleNotFoundError as missing:
    raise MissingExtraError("SASRec, BERT4Rec and GRU4Rec", "train") from missing

from llmseq.models.sequential import saving
from llmseq.models.sequential.checkpoint import Checkpoint
from llmseq.models.sequential.model import make_model
from llmseq.models.sequential.objectives import make_objective
from llmseq.models.sequential.ranker import SequentialRanker
from llmseq.models.sequential.text import TableText, fit_text, usual_width
from llmseq.models.sequential.trainer import Trainer, torch_threads
from llmseq.models.sequential.unseen import UnseenItems
from llmseq.models.sequential.warm_start import copy_weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import HeldOut, Sessions
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.models.protocol import WarmStart
    from llmseq.models.sequential.model import SequentialModel
    from llmseq.recommendations import Recommendations
    from llmseq.types import BoolArray, FloatMatrix

LABELS = {"sasrec": "SASRec", "bert4rec": "BERT4Rec", "gru4rec": "GRU4Rec"}


class SequentialRecommender:
    """SASRec, BERT4Rec or GRU4Rec, with any item table, head and objective.

    Only items with a train event are trained and, by default, listed. With a table made from text
    the other items have a vector as well: they are read in prompts, and listed where
    ``candidates`` asks for them. A prompt without a readable item gets an empty list.

    The same data, seed and number of threads give the same weights.
    """

    def __init__(self, config: SequentialConfig | None = None) -> None:
        self.config: SequentialConfig = config or SASRecConfig()
        self.summary = FitSummary()
        self.text: TableText | None = None
        self._ranker: SequentialRanker | None = None
        self._vectors: FloatMatrix | None = None

    @property
    def label(self) -> str:
        """Name of the network as people write it."""
        return LABELS[self.config.network]

    def refit_config(self) -> SequentialConfig:
        """Return the settings with the number of epochs that the last fit chose.

        Raises
        ------
        NotFittedError
            If there was no fit.
        """
        n_epochs = fitted(self.summary.epochs, self.label)
        return self.config.replace(n_epochs=n_epochs, patience=0)

    def fit(
        self,
        train: SessionDataset,
        *,
        embeddings: Mapping[str, ItemEmbeddings] | None = None,
        validation: HeldOut | None = None,
        rng: np.random.Generator,
        context: FitContext | None = None,
    ) -> Self:
        """Train until the validation part sees no more gain; without one, ``n_epochs`` epochs.

        Raises
        ------
        ConfigError
            If text vectors are missing or do not go with the settings, the model to start from is
            of another shape, or training diverges.
        InvalidDataError
            If no session has two events.
        ShapeError
            If the text vectors are those of another catalogue.
        ArtifactError
            If the checkpoint is damaged or belongs to another training.
        """
        context = context or FitContext()
        n_threads = thread_count(context.n_threads)
        trained = train.item_counts() > 0
        place = np.cumsum(trained, dtype=np.int32) - 1  # item index → row of the trained table
        sessions = Ragged(place[train.sessions.items], train.sessions.offsets)
        text, vectors = self._text(train, embeddings, trained, context.start)
        seed = int(rng.integers(2**63))
        with torch_threads(n_threads):
            generator = torch.Generator(context.device).manual_seed(seed)
            model = make_model(
                self.config,
                None if vectors is None else torch.from_numpy(vectors[trained]).to(context.device),
                n_items=int(trained.sum()),
                dim=usual_width(self.config) if text is None else text.dim,
                generator=generator,
            )
            if context.start is not None:
                copy_weights(
                    _source(context.start, self.config.network), model, context.start.items, trained
                )
            unseen = None if vectors is None else UnseenItems(vectors, trained, self.config)

            def ranker() -> SequentialRanker:
                return SequentialRanker(model, trained=trained, unseen=unseen)

            def score(held_out: HeldOut) -> float:
                return _ndcg(ranker(), held_out, n_threads)

            windows = model.network.windows(sessions)
            counts = torch.from_numpy(windows.target_counts(int(trained.sum())))
            trainer = Trainer(
                model,
                make_objective(self.config, counts.to(context.device), generator),
                windows,
                self.config,
                generator=generator,
                score=partial(score, validation) if validation else None,
                context=context,
                checkpoint=self._checkpoint(context, sessions, vectors, validation, seed),
            )
            trainer.run()
            self.text, self._vectors, self._ranker = text, vectors, ranker()
        self.summary = FitSummary(
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            epochs=trainer.best_epoch,
            history=tuple(trainer.history),
            notes=() if text is None else text.notes,
        )
        return self

    def _text(
        self,
        train: SessionDataset,
        embeddings: Mapping[str, ItemEmbeddings] | None,
        trained: BoolArray,
        start: WarmStart | None,
    ) -> tuple[TableText | None, FloatMatrix | None]:
        """Give the reduction and the reduced vectors of all items (N, R); None if random."""
        config = self.config
        if config.item_table == "random":
            return None, None
        given = pick_embeddings(
            embeddings, config.embedding, catalogue=train.catalogue, model=self.label
        )
        text = None if start is None else _source(start, self.config.network).text
        text = text or fit_text(config, given, trained, catalogue=train.catalogue, label=self.label)
        return text, text.reduce(given)

    def _set(
        self,
        text: TableText | None,
        vectors: FloatMatrix | None,
        model: SequentialModel,
        trained: BoolArray,
    ) -> None:
        """Take over what a fitted model consists of."""
        unseen = None if vectors is None else UnseenItems(vectors, trained, self.config)
        self.text, self._vectors = text, vectors
        self._ranker = SequentialRanker(model, trained=trained, unseen=unseen)

    def _checkpoint(
        self,
        context: FitContext,
        sessions: Ragged,
        vectors: FloatMatrix | None,
        validation: HeldOut | None,
        seed: int,
    ) -> Checkpoint | None:
        if context.checkpoint is None:
            return None
        parts: list[object] = [self.config.to_dict(), seed, sessions.items, sessions.offsets]
        if vectors is not None:
            parts.append(vectors)
        if validation is not None:
            parts += [validation.prompts.items, validation.prompts.offsets]
            parts += [validation.targets.items, validation.targets.offsets]
        if context.start is not None:
            state = _source(context.start, self.config.network).fitted().model.state_dict()
            parts += [context.start.items, *(value.cpu().numpy() for value in state.values())]
        return Checkpoint(context.checkpoint / "training.safetensors", fingerprint(*parts))

    def recommend(
        self,
        prompts: Sessions,
        k: int,
        *,
        exclude_seen: bool = True,
        candidates: BoolArray | None = None,
    ) -> Recommendations:
        """Rank as the Protocol says."""
        ranker = self.fitted()
        mask = check_request(prompts, k, candidates, n_items=ranker.trained.size)
        with torch_threads(thread_count()):
            return ranker.rank(prompts, k, exclude_seen=exclude_seen, candidates=mask)

    def extend(self, vectors: ItemEmbeddings) -> Self:
        """Add items by their text vectors alone, without training; they get the next indices.

        Like other items without a train event they are read in prompts and listed where
        ``candidates`` asks for them.

        Parameters
        ----------
        vectors : ItemEmbeddings
            One row for each new item, made by the encoder that the model was fitted with.

        Returns
        -------
        SequentialRecommender
            A new one that shares the weights.

        Raises
        ------
        ConfigError
            If the item table is not made from text, or the vectors are another encoder's.
        ShapeError
            If they are of another width.
        """
        ranker = self.fitted()
        if self.text is None or self._vectors is None:
            raise ConfigError(
                f'{self.label}: with item_table = "random" nothing is known about a new item; '
                "fit one with text to extend it"
            )
        trained = np.concatenate([ranker.trained, np.zeros(vectors.n_items, dtype=np.bool_)])
        reduced, width = self.text.reduce(vectors), self._vectors.shape[1]
        if reduced.shape[1] != width:
            raise ShapeError(
                f"{self.label} was fitted on vectors of width {width}, got {vectors.dim}"
            )
        longer = type(self)(self.config)
        longer.summary = self.summary
        longer._set(self.text, np.concatenate([self._vectors, reduced]), ranker.model, trained)
        return longer

    def fitted(self) -> SequentialRanker:
        """Give the trained weights, ready to rank.

        Raises
        ------
        NotFittedError
            If there was no fit.
        """
        return fitted(self._ranker, self.label)

    def save(self, path: Path) -> None:
        """Write the weights, the reduction of the text, and what the fit did."""
        ranker = self.fitted()
        saving.write(
            path,
            self.config,
            saving.Parts(ranker.model, ranker.trained, self.text, self._vectors, self.summary),
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote.

        Raises
        ------
        ArtifactError
            If the folder is damaged, or its weights do not go with its settings.
        """
        config, parts = saving.read(path)
        recommender = cls(config)
        recommender.summary = parts.summary
        recommender._set(parts.text, parts.vectors, parts.model, parts.trained)
        return recommender


def _source(start: WarmStart, network: NetworkName) -> SequentialRecommender:
    """Give the model to start from.

    Raises
    ------
    ConfigError
        If it is of another kind.
    """
    source = start.recommender
    if not isinstance(source, SequentialRecommender) or source.config.network != network:
        name = source.label if isinstance(source, SequentialRecommender) else type(source).__name__
        raise ConfigError(
            f"{LABELS[network]} cannot start from a saved {name}; give one of its own"
        )
    return source


def _ndcg(ranker: SequentialRanker, held_out: HeldOut, n_threads: int) -> float:
    """NDCG@20 of a held-out part, the prompts' own items excluded."""
    lists = ranker.rank(
        held_out.prompts, 20, exclude_seen=True, candidates=None, n_threads=n_threads
    )
    return evaluate_lists(lists.items, held_out.targets, ks=(20,), n_threads=n_threads).means[
        "ndcg@20"
    ]
