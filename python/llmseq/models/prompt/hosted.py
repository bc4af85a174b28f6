"""Lists from a hosted chat model: its answers read, matched to items, repeats replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llmseq.embeddings.store import default_cache
from llmseq.errors import ConfigError
from llmseq.models.prompt.chat import ChatWriter
from llmseq.models.prompt.lists import Listed, most_frequent_first, ranked
from llmseq.models.prompt.match import Matcher, Written
from llmseq.remote.answers import Answers
from llmseq.remote.client import RemoteClient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmseq.models.prompt.config import PromptConfig
    from llmseq.models.prompt.titles import Titles
    from llmseq.remote.endpoint import EndpointConfig
    from llmseq.types import BoolArray, ItemArray


def check_endpoint(endpoint: EndpointConfig) -> None:
    """Refuse an endpoint without a key, before any work; asks the server nothing.

    Raises
    ------
    ConfigError
        If the environment holds no key.
    """
    connect(endpoint)


def connect(endpoint: EndpointConfig) -> RemoteClient:
    """Make a client that keeps its answers in the user's cache."""
    return RemoteClient(endpoint, Answers(default_cache().parent / "answers"))


def hosted_lists(
    config: PromptConfig,
    titles: Titles,
    histories: Sequence[ItemArray],
    allowed: Sequence[BoolArray],
    choices: Sequence[ItemArray] | None,
    client: RemoteClient | None = None,
) -> tuple[list[Listed], Written]:
    """Ask for a list for each history; started again, only unanswered ones are asked.

    Parameters
    ----------
    allowed
        Items that may be listed.
    choices
        What is on offer, where the task has choices.
    client
        None: made from the settings.

    Raises
    ------
    ConfigError
        If there is no endpoint in the settings, or no key.
    GenerationError
        If the server does not answer, or the cap of tokens is reached.
    """
    if client is None:
        if config.endpoint is None:
            raise ConfigError("a hosted model needs an endpoint in its settings")
        client = connect(config.endpoint)
    decoding = config.decoding
    writer = ChatWriter.of(config, titles)
    n = decoding.n_beams if config.task == "genitem" else 1
    answers = [
        client.chat(
            writer.messages(history.tolist(), () if choices is None else choices[row].tolist()),
            n=n,
            temperature=decoding.temperature,
            top_p=decoding.top_p,
        )
        for row, history in enumerate(histories)
    ]
    said = [_titles(texts) for texts in answers]
    if n > 1:
        said = [most_frequent_first(some) for some in said]
    written = Written()
    matcher = Matcher(titles, decoding.matcher)
    matcher.prepare([text for some in said for text in some])
    made = []
    for row, some in enumerate(said):
        mask = allowed[row]
        if choices is not None:
            mask = mask & np.isin(np.arange(mask.size), choices[row])
        made.append(ranked(matcher.fill(some, mask, decoding.n_beams, written)))
    return made, written


def _titles(texts: Sequence[str]) -> list[str]:
    """Titles of answers, one a line; bullets and numbers that models like to add are taken off."""
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return [_unnumbered(line) for line in lines if line]


def _unnumbered(line: str) -> str:
    """Take off "1. " or "- ", but leave the number that a title begins with.

    Examples
    --------
    >>> _unnumbered("- 2 Soaps"), _unnumbered("3) Balm"), _unnumbered("3M Tape")
    ('2 Soaps', 'Balm', '3M Tape')
    """
    first, space, rest = line.partition(" ")
    marked = first in {"-", "*", "•"} or (first[-1:] in {".", ")"} and first[:-1].isdigit())
    return rest.strip() if space and marked else line
