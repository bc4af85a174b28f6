"""Settings of a reduction."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from llmseq.config import Config


class ReductionConfig(Config):
    """How vectors are reduced before a model takes them.

    Parameters
    ----------
    method
        ``"none"``; ``"pca"``; ``"pca_whiten"``: every direction scaled to variance one;
        ``"random"``: Gaussian random projection; ``"autoencoder"``: a small trained network (extra
        ``train``); ``"lda"``: the directions that tell classes of items apart; without
        ``classes`` it becomes ``"pca"``, with a note.
    dim
        Dimensions kept; None: all there are. Above what there is (the rank of the vectors; for
        ``"lda"`` the number of classes less one): what there is, with a note.
    classes
        For ``"lda"``: the column of the items whose whole text names an item's class.
    unit_length
        Scale the results to length one; a zero vector stays zero.
    seed
        Of the random projection and of the autoencoder.
    """

    method: Literal["none", "pca", "pca_whiten", "random", "autoencoder", "lda"] = "none"
    dim: int | None = Field(default=None, ge=1)
    classes: str | None = Field(default=None, min_length=1)
    unit_length: bool = True
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _settings_go_with_the_method(self) -> Self:
        if self.method == "none" and self.dim is not None:
            raise ValueError('dim needs a method, for example "pca" or "pca_whiten"')
        if self.method != "lda" and self.classes is not None:
            raise ValueError('classes needs the method "lda"')
        return self
