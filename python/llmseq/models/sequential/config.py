"""Settings of the sequential models. Nothing here imports torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from llmseq.config import Config
from llmseq.embeddings.reduce import ReductionConfig


class SequentialConfig(Config):
    """SASRec and, with ``item_table = "llm_init"``, LLM2SASRec.

    Parameters
    ----------
    item_table
        How the item table starts: ``"random"``, or ``"llm_init"``: from text vectors, then trained
        on like any other.
    embedding
        Which of the given embeddings ``llm_init`` takes; None: the only one.
    reduction
        From text vectors to the table's width, fitted on the items of the training sessions. Its
        ``dim`` is ``embedding_dim``. Vectors that span less make the network as narrow as they
        are.
    table_scale
        Factor of the table's first values: of Xavier-normal rows, or of the text vectors, which
        the default reduction makes unit rows. Text against random is also a matter of scale.
    input_scale
        Factor of an item's vector where the network reads it; None: √D, as SASRec's authors do.
        Without it, small random rows drown beside the positions and training starts slowly.
    embedding_dim
        D, the width of the table and of the network.
    n_blocks, n_heads
        Blocks of attention and heads in each; the heads share ``embedding_dim`` equally.
    max_length
        Events of a session that the network sees, the newest.
    dropout
        Share of values set to zero in training: of the input, the attention weights and both
        layers of the feed-forward networks.
    learning_rate
        Of Adam with β = (.9, .98).
    batch_size
        Sessions a step.
    n_epochs
        Most passes over the training sessions; without validation exactly so many.
    patience
        Stop after so many epochs without a better NDCG@20 on the validation part; 0: never.
    """

    item_table: Literal["random", "llm_init"] = "random"
    embedding: str | None = None
    reduction: ReductionConfig = ReductionConfig(method="pca_whiten")
    table_scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    input_scale: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    embedding_dim: int = Field(default=128, ge=1)
    n_blocks: int = Field(default=2, ge=1)
    n_heads: int = Field(default=2, ge=1)
    max_length: int = Field(default=20, ge=1)
    dropout: float = Field(default=0.4, ge=0, le=0.95)
    learning_rate: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    batch_size: int = Field(default=256, ge=1)
    n_epochs: int = Field(default=30, ge=1)
    patience: int = Field(default=4, ge=0)

    @field_validator("n_heads")
    @classmethod
    def _heads_divide_the_width(cls, n_heads: int, info: ValidationInfo) -> int:
        width = info.data.get("embedding_dim")
        if width is not None and width % n_heads:
            raise ValueError(f"the heads must divide embedding_dim ({width})")
        return n_heads

    @field_validator("embedding_dim")
    @classmethod
    def _one_width(cls, embedding_dim: int, info: ValidationInfo) -> int:
        reduction = info.data.get("reduction")
        if reduction is not None and reduction.dim not in (None, embedding_dim):
            raise ValueError(f"must equal reduction.dim ({reduction.dim}); leave reduction.dim out")
        return embedding_dim
