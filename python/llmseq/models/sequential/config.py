"""Settings of the sequential models. Nothing here imports torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from llmseq.config import Config
from llmseq.embeddings.reduce import ReductionConfig

USUAL_DIM = 128

NetworkName = Literal["sasrec", "bert4rec", "gru4rec"]
TableMode = Literal[
    "random",
    "llm_init",
    "frozen_adapter",
    "bounded_delta",
    "null_space",
    "identity_plus_text",
    "identity_beside_text",
]
MAPS_TEXT: frozenset[TableMode] = frozenset(
    {"frozen_adapter", "identity_plus_text", "identity_beside_text"}
)
"""Modes whose text vectors may be of any width: a trained map brings them to the table's."""

BlockKind = Literal["original", "pre_norm", "ligr"]
HeadKind = Literal["dot", "projection"]
ObjectiveKind = Literal["full_softmax", "sampled_softmax", "bce", "gbce"]


class SequentialConfig(Config):
    """What SASRec, BERT4Rec and GRU4Rec have in common: table, head, objective, training.

    Parameters
    ----------
    network
        Which of the three; fixed by the subclass.
    item_table
        Where an item's vector comes from. ``"random"``: trained from Xavier-normal rows.
        ``"llm_init"``: starts as the reduced text vector, then trained on (the study's way).
        ``"frozen_adapter"``: the text vector, frozen, through a trained two-layer network.
        ``"bounded_delta"``: the text vector plus a trained difference of limited length.
        ``"null_space"``: the leading directions of the text frozen, the last ``identity_dim``
        trained. ``"identity_plus_text"`` and ``"identity_beside_text"``: a trained vector added to,
        or in its ``identity_dim`` places beside, a trained linear map of the text vector.
    embedding
        Which of the given embeddings a table with text takes; None: the only one.
    reduction
        Of the text vectors, fitted on the items of the training sessions. Its ``dim`` is
        ``embedding_dim``, unless the table maps the text to its width by itself.
    table_scale
        Factor of the table's first values: of Xavier-normal rows, or of the text vectors, which
        the default reduction makes unit rows. Text against random is also a matter of scale.
    max_delta
        ``bounded_delta``: longest difference, as a share of ``table_scale``.
    identity_dim
        ``null_space`` and ``identity_beside_text``: dimensions of the trained part; None: half.
    unseen_neighbours, unseen_scale
        An item that training never saw takes over, beside what its text gives, the mean of what
        training added to so many trained items, those of the nearest texts; the result times the
        factor is its vector. 0 and 1: what the text gives, alone.
    input_scale
        Factor of an item's vector where the network reads it; None: √D, as SASRec's authors do.
        Without it, small random rows drown beside the positions and training starts slowly.
    embedding_dim
        D, the width of the table. None: 128, or as many as the text vectors span. A number above
        what they span is an error.
    max_length
        Events of a session that the network sees, the newest.
    dropout
        Share of values set to zero in training, wherever the network drops.
    head
        ``"dot"``: the hidden state against the item's vector. ``"projection"``: a trained layer
        (linear, GELU, norm) before it and a trained bias for each item, as BERT4Rec's authors do.
    objective
        ``"full_softmax"`` over all trained items, exactly; ``"sampled_softmax"`` over the batch's
        targets and ``n_negatives`` uniform items, corrected for how likely each was drawn;
        ``"bce"``: binary cross-entropy against ``n_negatives``; ``"gbce"``: the same with the
        positive term weighted for the sampling rate (Petrov and Macdonald 2023).
    n_negatives
        Uniform items drawn for each batch (sampled softmax) or for each event (binary).
    calibration
        gBCE's t, from 0 (plain binary cross-entropy) to 1.
    learning_rate, weight_decay
        Of AdamW with β = (.9, .98).
    clip_norm
        Longest gradient of a step; None: any.
    precision
        Of the full softmax's products: ``"auto"`` takes bfloat16 on CPUs with AMX, else float32.
    batch_size
        Sessions a step.
    n_epochs
        Most passes over the training sessions; without validation exactly so many.
    patience
        Stop after so many epochs without a better NDCG@20 on the validation part; 0: never.
    """

    network: NetworkName
    item_table: TableMode = "random"
    embedding: str | None = None
    reduction: ReductionConfig = ReductionConfig(method="pca_whiten")
    table_scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    max_delta: float = Field(default=0.5, ge=0, allow_inf_nan=False)
    identity_dim: int | None = Field(default=None, ge=1)
    unseen_neighbours: int = Field(default=5, ge=0)
    unseen_scale: float = Field(default=1.2, gt=0, allow_inf_nan=False)
    input_scale: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    embedding_dim: int | None = Field(default=None, ge=1)
    max_length: int = Field(default=20, ge=1)
    dropout: float = Field(default=0.5, ge=0, le=0.95)
    head: HeadKind = "dot"
    objective: ObjectiveKind = "full_softmax"
    n_negatives: int = Field(default=256, ge=1)
    calibration: float = Field(default=0.75, ge=0, le=1)
    learning_rate: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    clip_norm: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    batch_size: int = Field(default=256, ge=1)
    n_epochs: int = Field(default=30, ge=1)
    patience: int = Field(default=4, ge=0)

    @property
    def heads(self) -> int:
        """Parts that the table's width must split into equally."""
        return 1

    @field_validator("identity_dim")
    @classmethod
    def _identity_leaves_room(cls, identity_dim: int | None, info: ValidationInfo) -> int | None:
        if identity_dim is not None and info.data.get("item_table") == "random":
            raise ValueError("a random table has no text beside the identity; leave it out")
        return identity_dim

    @field_validator("embedding_dim")
    @classmethod
    def _one_width(cls, embedding_dim: int | None, info: ValidationInfo) -> int | None:
        reduction, identity = info.data.get("reduction"), info.data.get("identity_dim")
        if embedding_dim is None:
            return None
        mapped = info.data.get("item_table") in MAPS_TEXT
        if not mapped and reduction is not None and reduction.dim not in (None, embedding_dim):
            raise ValueError(f"must equal reduction.dim ({reduction.dim}); leave reduction.dim out")
        if identity is not None and identity >= embedding_dim:
            raise ValueError(
                f"must be above identity_dim ({identity}), or no room is left for text"
            )
        return embedding_dim


class TransformerConfig(SequentialConfig):
    """Settings of models made of attention blocks.

    Parameters
    ----------
    block
        ``"original"``: SASRec's own, a norm on the query alone and a feed-forward network as wide
        as the input. ``"pre_norm"``: norms before attention and feed-forward, four times as wide.
        ``"ligr"``: pre-norm with a learned gate on both branches and a SwiGLU.
    n_blocks, n_heads
        Blocks of attention and heads in each; the heads share ``embedding_dim`` equally.
    """

    block: BlockKind = "original"
    n_blocks: int = Field(default=2, ge=1)
    n_heads: int = Field(default=2, ge=1)

    @property
    def heads(self) -> int:
        """Parts that the table's width must split into equally."""
        return self.n_heads

    @field_validator("n_heads")
    @classmethod
    def _heads_divide_the_width(cls, n_heads: int, info: ValidationInfo) -> int:
        width = info.data.get("embedding_dim")
        if width is not None and width % n_heads:
            raise ValueError(f"the heads must divide embedding_dim ({width})")
        return n_heads


class SASRecConfig(TransformerConfig):
    """SASRec, and with a table made of text LLM2SASRec. Settings: see the base classes."""

    network: Literal["sasrec"] = "sasrec"


class BERT4RecConfig(TransformerConfig):
    """BERT4Rec and LLM2BERT4Rec. Settings: see the base classes.

    Parameters
    ----------
    mask_prob
        Share of a session's events that are hidden and have to be named; at least one is.
    """

    network: Literal["bert4rec"] = "bert4rec"
    block: BlockKind = "pre_norm"
    mask_prob: float = Field(default=0.3, gt=0, le=1)

    @field_validator("max_length")
    @classmethod
    def _room_for_the_mask(cls, max_length: int) -> int:
        if max_length < 2:
            raise ValueError("must be 2 or more: one place is the mask's")
        return max_length


class GRU4RecConfig(SequentialConfig):
    """GRU4Rec and LLM2GRU4Rec. Settings: see the base class.

    Parameters
    ----------
    hidden_dim
        Width of the recurrent state.
    """

    network: Literal["gru4rec"] = "gru4rec"
    hidden_dim: int = Field(default=256, ge=1)
