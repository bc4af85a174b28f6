"""The registry of encoders: every name that `--encoder` takes. Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmseq.embeddings.encoders.file import VectorFile
from llmseq.embeddings.encoders.hf import HuggingFaceEncoder
from llmseq.embeddings.encoders.minilm import MiniLmEncoder
from llmseq.embeddings.encoders.protocol import Encoder, EncoderOptions, Progress
from llmseq.embeddings.encoders.remote import RemoteEncoder
from llmseq.embeddings.encoders.tfidf import TfidfEncoder
from llmseq.errors import ConfigError
from llmseq.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = [
    "ENCODERS",
    "Encoder",
    "EncoderEntry",
    "EncoderOptions",
    "Progress",
    "VectorFile",
    "get_encoder",
]


@dataclass(frozen=True, slots=True)
class EncoderEntry:
    """One kind of encoder.

    Parameters
    ----------
    argument
        What follows the colon in a name, as help texts show it; empty: nothing does.
    make
        From that argument and the options to the encoder, or to a file of ready vectors.
    """

    argument: str
    make: Callable[[str, EncoderOptions], Encoder | VectorFile]


ENCODERS: Registry[EncoderEntry] = Registry("encoder")
ENCODERS.register("minilm", EncoderEntry("", lambda _, options: MiniLmEncoder(options)))
ENCODERS.register("hf", EncoderEntry("<model name or folder>", HuggingFaceEncoder))
ENCODERS.register("tfidf", EncoderEntry("", lambda _argument, _options: TfidfEncoder()))
ENCODERS.register("remote", EncoderEntry("<model name>", RemoteEncoder))
ENCODERS.register("file", EncoderEntry("<vectors.parquet, .npy or .safetensors>", VectorFile))


def get_encoder(
    spec: str, *, batch_size: int = 64, device: str = "cpu", ids: Path | None = None
) -> Encoder | VectorFile:
    """Make an encoder from its name. Loads no model yet.

    Parameters
    ----------
    spec
        ``"minilm"``, ``"hf:<model name or folder>"``, ``"tfidf"``, ``"remote:<model name>"`` or
        ``"file:<path>"``.
    batch_size, device, ids
        See :class:`~llmseq.embeddings.encoders.protocol.EncoderOptions`.

    Returns
    -------
    Encoder or VectorFile
        A ``VectorFile`` holds vectors by item id; it encodes nothing.

    Raises
    ------
    ConfigError
        If the name is unknown, or lacks what must follow it.

    Examples
    --------
    >>> get_encoder("tfidf").name
    'tfidf'
    """
    kind, colon, argument = spec.partition(":")
    entry = ENCODERS[kind]
    if entry.argument and not argument:
        raise ConfigError(f'the encoder "{spec}" does not say which: write {kind}:{entry.argument}')
    if colon and not entry.argument:
        raise ConfigError(f'the encoder "{kind}" takes nothing after its name, got "{spec}"')
    if ids is not None and kind != "file":
        raise ConfigError(f'a file of ids goes with "file:" vectors only, not with "{spec}"')
    return entry.make(argument, EncoderOptions(batch_size, device, ids))
