"""What an encoder can do, and what one is made with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from llmseq.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from llmseq.types import FloatMatrix

Progress = Callable[[float, str], None]
"""Called with the share done (0 to 1) and a short text."""

Share = Callable[[float], None]
"""Called with the share done (0 to 1)."""


class Encoder(Protocol):
    """Texts to vectors. Any object of this form may be given where an encoder is named."""

    @property
    def name(self) -> str:
        """As a report shows it, for example "minilm"."""

    @property
    def independent(self) -> bool:
        """Whether a text's vector depends on that text alone; only then a run can be resumed."""

    def fingerprint(self) -> str:
        """Digits that change whenever the vectors would: weights, settings, versions."""

    def notes(self, dim: int) -> tuple[str, ...]:
        """Say what a reader should know about vectors of this width."""

    def encode(self, texts: Sequence[str], progress: Share | None = None) -> FloatMatrix:
        """Encode texts, none of them empty, to float32 (n_texts, dim), in that order."""


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """How encoders do their work; what the vectors mean does not depend on it.

    Parameters
    ----------
    batch_size : int
        Texts that go through a language model at once.
    device : str
        Where a language model runs, ``"cpu"`` or as torch names it.
    ids : Path, optional
        The file of ids that belongs to a file of vectors.
    """

    batch_size: int = 64
    device: str = "cpu"
    ids: Path | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"batch size must be at least 1, got {self.batch_size}")
