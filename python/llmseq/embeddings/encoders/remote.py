"""Text vectors of a hosted model, through any endpoint that speaks OpenAI's protocol."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from llmseq.embeddings.store import default_cache
from llmseq.errors import InvalidDataError
from llmseq.remote.answers import Answers
from llmseq.remote.client import RemoteClient
from llmseq.remote.endpoint import EndpointConfig
from llmseq.storage import fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmseq.embeddings.encoders.protocol import EncoderOptions, Share
    from llmseq.types import FloatMatrix

_TEXTS_A_REQUEST = 256


class RemoteEncoder:
    """Vectors from a hosted model, for example ``remote:text-embedding-3-small``.

    The address is in ``OPENAI_BASE_URL`` (OpenAI's own unless set), the key in ``OPENAI_API_KEY``;
    ``LLMSEQ_MAX_TOKENS`` caps the tokens spent and ``LLMSEQ_REQUESTS_PER_MINUTE`` the pace. Vectors
    that were paid for are kept, so that a run that stopped goes on.

    Parameters
    ----------
    model
        Its name at the endpoint.
    options
        The batch size is that of other encoders; a request holds at most 256 texts.
    """

    independent = True

    def __init__(self, model: str, options: EncoderOptions) -> None:
        self.name = f"remote:{model}"
        settings: dict[str, object] = {"model": model}
        for setting, variable in (
            ("base_url", "OPENAI_BASE_URL"),
            ("max_tokens_spent", "LLMSEQ_MAX_TOKENS"),
            ("requests_per_minute", "LLMSEQ_REQUESTS_PER_MINUTE"),
        ):
            if os.environ.get(variable):
                settings[setting] = os.environ[variable]
        self._endpoint = EndpointConfig.make(settings, what=f'the encoder "{self.name}"')
        self._size = min(options.batch_size, _TEXTS_A_REQUEST)

    def fingerprint(self) -> str:
        """Hash address and name: what a service does behind them cannot be seen."""
        return fingerprint("remote", self._endpoint.base_url, self._endpoint.model)

    def notes(self, dim: int) -> tuple[str, ...]:
        """Say that a service may change its model."""
        del dim
        return (f"vectors of {self._endpoint.base_url}: a service may change them silently",)

    def encode(self, texts: Sequence[str], progress: Share | None = None) -> FloatMatrix:
        """Ask for the vectors, batch by batch."""
        if not texts:
            raise InvalidDataError(f"{self.name}: no text to encode")
        rows: list[list[float]] = []
        for start in range(0, len(texts), self._size):
            rows += self._client.embed(texts[start : start + self._size])
            if progress is not None:
                progress(len(rows) / len(texts))
        if len({len(row) for row in rows}) > 1:
            raise InvalidDataError(f"{self.name}: gave vectors of different width")
        return np.asarray(rows, dtype=np.float32)

    @cached_property
    def _client(self) -> RemoteClient:
        return RemoteClient(self._endpoint, Answers(default_cache().parent / "answers"))
