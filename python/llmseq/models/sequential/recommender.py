"""The sequential models as a recommender: fit, rank, save, load."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Self

import numpy as np

from llmseq.core import evaluate_lists, thread_count
from llmseq.embeddings.reduce import reduce_embeddings
from llmseq.errors import ArtifactError, ConfigError, MissingExtraError
from llmseq.models.persistence import read_model, write_model
from llmseq.models.protocol import FitContext, FitSummary
from llmseq.models.request import check_request, not_fitted, pick_embeddings
from llmseq.models.sequential.config import SequentialConfig
from llmseq.storage import fingerprint
from llmseq.types import BoolArray, FloatMatrix, Ragged

try:
    import torch
except ModuleNotFoundError as missing:
    raise MissingExtraError("SASRec", "train") from missing

from llmseq.models.sequential.batches import TrainingWindows
from llmseq.models.sequential.checkpoint import Checkpoint
from llmseq.models.sequential.item_table import ItemTable
from llmseq.models.sequential.objectives import FullSoftmax
from llmseq.models.sequential.ranker import SequentialRanker
from llmseq.models.sequential.sasrec import SASRec
from llmseq.models.sequential.trainer import SequentialModel, Trainer, torch_threads

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import HeldOut, Sessions
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.recommendations import Recommendations

_NAME = "SASRec"
_KIND = "sasrec"  # the registry entry that reads a saved model; its presets share the class


class SequentialRecommender:
    """SASRec, or LLM2SASRec where the config starts its item table from text vectors.

    Only items with a train event are trained and, by default, listed. Text vectors also stand for
    the other items: with ``llm_init`` those are read in prompts, and listed where ``candidates``
    asks for them. A prompt without a readable item gets an empty list.

    The same data, seed and number of threads give the same weights.
    """

    def __init__(self, config: SequentialConfig | None = None) -> None:
        self.config = config or SequentialConfig()
        self.summary = FitSummary()
        self._ranker: SequentialRanker | None = None

    def refit_config(self) -> SequentialConfig:
        """Return the settings with the number of epochs that the last fit chose.

        Raises
        ------
        NotFittedError
            If there was no fit.
        """
        if self.summary.epochs is None:
            raise not_fitted(_NAME)
        return self.config.replace(n_epochs=self.summary.epochs, patience=0)

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
            If text vectors are missing or do not go with the settings, or training diverges.
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
        windows = TrainingWindows(sessions, self.config.max_length)
        first, notes = self._first_vectors(train, embeddings, trained)
        seed = int(rng.integers(2**63))
        with torch_threads(n_threads):
            model, generator = self._make_model(first, trained, seed, context.device)

            def ranker() -> SequentialRanker:
                return self._make_ranker(model, first, trained)

            def score(held_out: HeldOut) -> float:
                return _ndcg(ranker(), held_out, n_threads)

            trainer = Trainer(
                model,
                windows,
                self.config,
                generator=generator,
                score=partial(score, validation) if validation else None,
                context=context,
                checkpoint=self._checkpoint(context, sessions, first, validation, seed),
            )
            trainer.run()
            self._ranker = ranker()
        self.summary = FitSummary(
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            epochs=trainer.best_epoch,
            history=tuple(trainer.history),
            notes=notes,
        )
        return self

    def _first_vectors(
        self,
        train: SessionDataset,
        embeddings: Mapping[str, ItemEmbeddings] | None,
        trained: BoolArray,
    ) -> tuple[FloatMatrix | None, tuple[str, ...]]:
        """Text vectors of every item as wide as the network will be, (N, D); None for random."""
        config = self.config
        if config.item_table == "random":
            return None, ()
        given = pick_embeddings(embeddings, config.embedding, n_items=train.n_items, model=_NAME)
        reduction = config.reduction
        if reduction.method != "none":
            reduction = reduction.replace(dim=config.embedding_dim)
        reduced = reduce_embeddings(given, reduction, rows=trained)
        width = reduced.dim // config.n_heads * config.n_heads
        if width == 0 or (reduction.method == "none" and width != config.embedding_dim):
            raise ConfigError(
                f"{_NAME}: the text vectors have {reduced.dim} dimensions, which do not go with "
                f"embedding_dim = {config.embedding_dim} and n_heads = {config.n_heads}; set "
                'reduction.method to "pca_whiten", or change embedding_dim or n_heads'
            )
        if width == config.embedding_dim:
            return reduced.vectors, ()
        note = f"embedding_dim is {width} instead of {config.embedding_dim}: the text vectors span "
        if width < reduced.dim:
            reduced = reduce_embeddings(given, reduction.replace(dim=width), rows=trained)
        return reduced.vectors, (note + "no more that the heads can share",)

    def _make_model(
        self, first: FloatMatrix | None, trained: BoolArray, seed: int, device: str
    ) -> tuple[SequentialModel, torch.Generator]:
        config = self.config
        generator = torch.Generator(device).manual_seed(seed)
        with torch.device(device):
            if first is None:
                dim, n_items = config.embedding_dim, int(trained.sum())
                table = ItemTable.random(
                    n_items, dim, scale=config.table_scale, generator=generator
                )
            else:
                dim = first.shape[1]
                table = ItemTable.from_embeddings(first[trained], scale=config.table_scale)
            network = SASRec(dim, config, generator)
        return SequentialModel(table, network, FullSoftmax()), generator

    def _make_ranker(
        self, model: SequentialModel, first: FloatMatrix | None, trained: BoolArray
    ) -> SequentialRanker:
        rows = model.table().detach().cpu().numpy()
        if first is None:
            vectors = np.zeros((trained.size, rows.shape[1]), dtype=np.float32)
        else:
            vectors = first * np.float32(self.config.table_scale)
        vectors[trained] = rows
        return self._ranker_of(model.network, vectors, trained)

    def _ranker_of(
        self, network: torch.nn.Module, vectors: FloatMatrix, trained: BoolArray
    ) -> SequentialRanker:
        random = self.config.item_table == "random"
        return SequentialRanker(
            network,
            vectors,
            trained=trained,
            known=trained if random else np.ones_like(trained),
            max_length=self.config.max_length,
        )

    def _checkpoint(
        self,
        context: FitContext,
        sessions: Ragged,
        first: FloatMatrix | None,
        validation: HeldOut | None,
        seed: int,
    ) -> Checkpoint | None:
        if context.checkpoint is None:
            return None
        parts: list[object] = [_KIND, self.config.to_dict(), seed, sessions.items, sessions.offsets]
        if first is not None:
            parts.append(first)
        if validation is not None:
            parts += [validation.prompts.items, validation.prompts.offsets]
            parts += [validation.targets.items, validation.targets.offsets]
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
        ranker = self._fitted()
        mask = check_request(prompts, k, candidates, n_items=ranker.trained.size)
        with torch_threads(thread_count()):
            return ranker.rank(prompts, k, exclude_seen=exclude_seen, candidates=mask)

    def _fitted(self) -> SequentialRanker:
        if self._ranker is None:
            raise not_fitted(_NAME)
        return self._ranker

    def save(self, path: Path) -> None:
        """Write the item table, the network and what the fit did."""
        ranker = self._fitted()
        network = ranker.network.state_dict()
        arrays = {
            "item_vectors": ranker.vectors,
            "trained": ranker.trained,
            **{f"network.{name}": value.cpu().numpy() for name, value in network.items()},
        }
        summary = asdict(self.summary)
        write_model(path, kind=_KIND, config=self.config, arrays=arrays, extra={"summary": summary})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote.

        Raises
        ------
        ArtifactError
            If the folder is damaged, or its weights do not go with its settings.
        """
        values, arrays, extra = read_model(path, kind=_KIND)
        config = SequentialConfig.make(values, what=str(path / "config.json"))
        vectors, trained = arrays["item_vectors"], arrays["trained"]
        network = SASRec(vectors.shape[1], config, torch.Generator())
        weights = {
            name.removeprefix("network."): torch.from_numpy(array)
            for name, array in arrays.items()
            if name.startswith("network.")
        }
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise ArtifactError(
                f"{path}: weights.safetensors does not go with config.json: {error}"
            ) from error
        model = cls(config)
        model._ranker = model._ranker_of(network.eval(), vectors, trained)
        summary = extra["summary"]
        model.summary = FitSummary(
            parameters=summary["parameters"],
            epochs=summary["epochs"],
            history=tuple(summary["history"]),
            notes=tuple(summary["notes"]),
        )
        return model


def _ndcg(ranker: SequentialRanker, held_out: HeldOut, n_threads: int) -> float:
    """NDCG@20 of a held-out part, the prompts' own items excluded."""
    lists = ranker.rank(
        held_out.prompts, 20, exclude_seen=True, candidates=None, n_threads=n_threads
    )
    return evaluate_lists(lists.items, held_out.targets, ks=(20,), n_threads=n_threads).means[
        "ndcg@20"
    ]
