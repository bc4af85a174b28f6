"""Where a hosted model is and what it may cost. The key itself is never part of the settings."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from llmseq.config import Config


def _plain_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError('must be an address such as "https://api.example.com/v1"')
    if parts.username or parts.password or parts.query:
        raise ValueError("must hold no user, password or query: the key comes from the environment")
    return url.rstrip("/")


class EndpointConfig(Config):
    """A hosted model.

    Parameters
    ----------
    base_url
        As the ``openai`` client takes it, for example ``"http://localhost:8000/v1"``.
    model
        Its name there; for a fine-tuned one the name that the service gave.
    key_variable
        The environment variable that holds the key.
    requests_per_minute
        Requests are spread so that no minute has more; None: no limit.
    max_tokens_spent
        Work stops before a request could bring the tokens of this run, prompts and answers, above
        this number; None: no limit.
    max_retries, timeout_seconds
        A request that fails for a reason that may pass is made again, so many times, after 1, 2, 4,
        … seconds or what the server asks for. One that gets no answer in time counts as failed.
    max_answer_tokens
        An answer is cut after so many.
    """

    base_url: Annotated[str, AfterValidator(_plain_address)] = "https://api.openai.com/v1"
    model: str = Field(min_length=1)
    key_variable: str = Field(default="OPENAI_API_KEY", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    requests_per_minute: float | None = Field(default=None, gt=0)
    max_tokens_spent: int | None = Field(default=None, ge=1)
    max_retries: int = Field(default=6, ge=0)
    timeout_seconds: float = Field(default=60.0, gt=0)
    max_answer_tokens: int = Field(default=1024, ge=1)
