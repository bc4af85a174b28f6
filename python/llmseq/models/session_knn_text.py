"""SKNNEmb: session-kNN whose sessions compare by their pooled text vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmseq.core.pooling import Pooling
from llmseq.embeddings.reduce import ReductionConfig
from llmseq.models.protocol import FitSummary
from llmseq.models.session_knn import NeighbourConfig, SessionKnnRecommender
from llmseq.models.text_vectors import reduced_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmseq.data.dataset import SessionDataset
    from llmseq.embeddings.matrix import ItemEmbeddings


class SessionKnnTextConfig(NeighbourConfig):
    """Settings of SKNNEmb.

    Parameters
    ----------
    embedding
        Which of the given embeddings; None: the only one.
    reduction
        Fitted on the items with a train event, applied to all.
    prompt_pooling, train_pooling
        How the weight of an item falls with its position from the end of the prompt and of a train
        session; ``last`` takes the newest item alone.
    """

    embedding: str | None = None
    reduction: ReductionConfig = ReductionConfig(method="pca_whiten", dim=256)
    prompt_pooling: Pooling = "harmonic"
    train_pooling: Pooling = "mean"

    def of_search(self) -> dict[str, Any]:
        """Give what a search is asked with."""
        return {**super().of_search(), "prompt_pooling": self.prompt_pooling}


class SessionKnnTextRecommender(SessionKnnRecommender):
    """Session-kNN over the sessions that share an item with the prompt, by their text vectors.

    The prompt's vector is made of its distinct items known from train, a train session's of all its
    events. A session whose vector points away from the prompt's does not vote.
    """

    kind = "sknnemb"
    config: SessionKnnTextConfig

    def __init__(self, config: SessionKnnTextConfig | None = None) -> None:
        super().__init__()
        self.config = config or SessionKnnTextConfig()

    def _of_vectors(
        self, train: SessionDataset, embeddings: Mapping[str, ItemEmbeddings] | None
    ) -> dict[str, Any]:
        config = self.config
        text = reduced_text(train, embeddings, config.embedding, config.reduction, model="SKNNEmb")
        self.summary = FitSummary(notes=text.notes)
        return {"vectors": text.vectors, "pooling": config.train_pooling}
