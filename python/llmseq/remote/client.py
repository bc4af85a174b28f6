"""Requests to an OpenAI-compatible endpoint: retried, spread, capped, the key never in sight."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, TypeVar

from llmseq.errors import ConfigError, GenerationError, MissingExtraError
from llmseq.remote.spending import Pace, Spending

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmseq.remote.answers import Answers
    from llmseq.remote.endpoint import EndpointConfig

T = TypeVar("T")

_LONGEST_WAIT = 60.0
_SHOWN_LETTERS = 200


class _UnusableError(Exception):
    """An answer came, but it is not what was asked for; another try may bring it."""


class RemoteClient:
    """Talks to one endpoint.

    Parameters
    ----------
    endpoint : EndpointConfig
    answers : Answers
        Where answers are kept: the same question is never paid twice.
    sleep : callable
        For tests.
    """

    def __init__(
        self,
        endpoint: EndpointConfig,
        answers: Answers,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._endpoint = endpoint
        self._answers = answers
        self._sleep = sleep
        self._pace = Pace(endpoint.requests_per_minute, sleep=sleep)
        self._key = _key(endpoint)
        self._client = _open(endpoint, self._key)
        self.spending = Spending(endpoint.max_tokens_spent)
        self.n_requests = 0

    def chat(
        self, messages: Sequence[dict[str, str]], *, n: int, temperature: float, top_p: float
    ) -> list[str]:
        """Give ``n`` answers to messages.

        Raises
        ------
        GenerationError
            If the server cannot be reached, refuses, or keeps failing, or the cap is reached.
        """
        question: dict[str, Any] = {
            "kind": "chat",
            "base_url": self._endpoint.base_url,
            "model": self._endpoint.model,
            "messages": list(messages),
            "temperature": temperature,
            "top_p": top_p,
            "max_tokens": self._endpoint.max_answer_tokens,
        }
        texts: list[str] = list(self._answers.read(question) or [])
        letters = sum(len(message["content"]) for message in messages)
        while len(texts) < n:  # servers that know no ``n`` give one answer a request
            missing = n - len(texts)

            def ask(missing: int = missing) -> tuple[list[str], int | None]:
                made = self._client.chat.completions.create(
                    model=self._endpoint.model,
                    messages=list(messages),
                    n=missing,
                    temperature=temperature,
                    top_p=top_p,
                    max_tokens=self._endpoint.max_answer_tokens,
                )
                found = [choice.message.content or "" for choice in made.choices or []]
                if not found:
                    raise _UnusableError("the answer holds no choice")
                return found[:missing], getattr(made.usage, "total_tokens", None)

            self.spending.require(letters, missing * self._endpoint.max_answer_tokens)
            found, tokens = self._retried(ask)
            self.spending.add(tokens, letters + sum(map(len, found)))
            texts += found
            self._answers.write(question, texts)
        return texts[:n]

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Give the vectors of texts, in their order.

        Raises
        ------
        GenerationError
            As `chat` does.
        """
        question = {
            "kind": "embeddings",
            "base_url": self._endpoint.base_url,
            "model": self._endpoint.model,
            "input": list(texts),
        }
        kept: list[list[float]] | None = self._answers.read(question)
        if kept is not None:
            return kept
        letters = sum(map(len, texts))

        def ask() -> tuple[list[list[float]], int | None]:
            made = self._client.embeddings.create(
                model=self._endpoint.model, input=list(texts), encoding_format="float"
            )
            rows = sorted(made.data or [], key=lambda row: row.index)
            if [row.index for row in rows] != list(range(len(texts))):
                raise _UnusableError(f"{len(rows)} vectors came for {len(texts)} texts")
            usage = getattr(made, "usage", None)
            return [list(row.embedding) for row in rows], getattr(usage, "total_tokens", None)

        self.spending.require(letters, 0)
        vectors, tokens = self._retried(ask)
        self.spending.add(tokens, letters)
        self._answers.write(question, vectors)
        return vectors

    def _retried(self, ask: Callable[[], T]) -> T:
        """Make a request, again after failures that may pass."""
        import openai

        last = ""
        for attempt in range(self._endpoint.max_retries + 1):
            self._pace.wait()
            self.n_requests += 1
            wait = min(2.0**attempt, _LONGEST_WAIT)
            try:
                return ask()
            except openai.APITimeoutError:
                last = f"no answer within {self._endpoint.timeout_seconds:g} s"
            except openai.APIConnectionError as error:
                last = f"no connection ({self._safe(error.__cause__ or error)})"
            except openai.APIStatusError as error:
                last = f"the server said {error.status_code}: {self._safe(error.message)}"
                self._give_up_on(error.status_code, last)
                wait = _asked_wait(error) or wait
            except (
                openai.APIError,
                _UnusableError,
                ValueError,
                TypeError,
                AttributeError,
            ) as error:
                # A body cut short or no JSON: the client's own errors differ by where it breaks.
                last = f"an answer that cannot be read ({self._safe(error)})"
            if attempt < self._endpoint.max_retries:
                self._sleep(wait)
        raise GenerationError(
            f"{self._endpoint.base_url}: {last}, after {self._endpoint.max_retries + 1} tries; "
            "answers so far are kept, start again later to go on"
        )

    def _give_up_on(self, status: int, what: str) -> None:
        """Refuse what another try cannot mend."""
        where = f"{self._endpoint.base_url}: {what}"
        if status in {401, 403}:
            raise GenerationError(
                f"{where}; the key in {self._endpoint.key_variable} is not accepted there"
            )
        if status == 404:
            raise GenerationError(
                f'{where}; check base_url and the model\'s name ("{self._endpoint.model}")'
            )
        if status not in {408, 409, 425, 429} and status < 500:
            raise GenerationError(where)

    def _safe(self, error: object) -> str:
        """Text of an error on one line, short and without the key."""
        text = " ".join(str(error).split()).replace(self._key, "***")
        return text[:_SHOWN_LETTERS] or type(error).__name__


def _key(endpoint: EndpointConfig) -> str:
    key = os.environ.get(endpoint.key_variable, "").strip()
    if not key:
        raise ConfigError(
            f"the environment variable {endpoint.key_variable} holds no key for "
            f"{endpoint.base_url}; set it (any text for a server that asks for none)"
        )
    return key


def _open(endpoint: EndpointConfig, key: str) -> Any:  # noqa: ANN401 - openai is not imported for types
    try:
        import openai
    except ImportError as error:
        raise MissingExtraError(f"the endpoint {endpoint.base_url}", "remote") from error
    return openai.OpenAI(
        api_key=key,
        base_url=endpoint.base_url,
        timeout=endpoint.timeout_seconds,
        max_retries=0,  # ours count, wait and spend
    )


def _asked_wait(error: Any) -> float | None:  # noqa: ANN401 - an error of openai
    """Seconds that the server asks to wait."""
    try:
        seconds = float(error.response.headers.get("retry-after", ""))
    except (ValueError, AttributeError):
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT)
