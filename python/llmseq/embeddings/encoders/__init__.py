"""The registry of encoders: every name that `--encoder` takes. Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from llmseq.embeddings.encoders.control import CONTROLS, ControlVectors
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

    from llmseq.embeddings.encoders.control import Kind

__all__ = [
    "ENCODERS",
    "ControlVectors",
    "Encoder",
    "EncoderEntry",
    "EncoderOptions",
    "Progress",
    "VectorFile",
    "get_encoder",
]


AnyEncoder = Encoder | VectorFile | ControlVectors


@dataclass(frozen=True, slots=True)
class EncoderEntry:
    """One kind of encoder.

    Parameters
    ----------
    argument
        What follows the colon in a name, as help texts show it; empty: nothing does.
    make
        From that argument and the options to the encoder, a file of ready vectors, or vectors made
        of another encoder's.
    """

    argument: str
    make: Callable[[str, EncoderOptions], AnyEncoder]


def _control(kind: Kind, argument: str, options: EncoderOptions) -> ControlVectors:
    base = get_encoder(
        argument, batch_size=options.batch_size, device=options.device, ids=options.ids
    )
    if isinstance(base, ControlVectors):
        raise ConfigError(f'"{kind}:{argument}": name an encoder whose vectors mean something')
    return ControlVectors(kind, base)


ENCODERS: Registry[EncoderEntry] = Registry("encoder")
ENCODERS.register("minilm", EncoderEntry("", lambda _, options: MiniLmEncoder(options)))
ENCODERS.register("hf", EncoderEntry("<model name or folder>", HuggingFaceEncoder))
ENCODERS.register("tfidf", EncoderEntry("", lambda _argument, _options: TfidfEncoder()))
ENCODERS.register("remote", EncoderEntry("<model name>", RemoteEncoder))
ENCODERS.register("file", EncoderEntry("<vectors.parquet, .npy or .safetensors>", VectorFile))
for _kind in CONTROLS:
    ENCODERS.register(_kind, EncoderEntry("<encoder>", partial(_control, _kind)))


def get_encoder(
    spec: str, *, batch_size: int = 64, device: str = "cpu", ids: Path | None = None
) -> AnyEncoder:
    """Make an encoder from its name. Loads no model yet.

    Parameters
    ----------
    spec
        ``"minilm"``, ``"hf:<model name or folder>"``, ``"tfidf"``, ``"remote:<model name>"`` or
        ``"file:<path>"``; ``"permuted:<encoder>"`` and ``"spectrum:<encoder>"`` take the meaning
        out of the vectors of one of these.
    batch_size, device, ids
        See :class:`~llmseq.embeddings.encoders.protocol.EncoderOptions`.

    Returns
    -------
    Encoder, VectorFile or ControlVectors
        A ``VectorFile`` holds vectors by item id, ``ControlVectors`` are made of another encoder's;
        they encode nothing.

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
    if ids is not None and kind not in {"file", *CONTROLS}:
        raise ConfigError(f'a file of ids goes with "file:" vectors only, not with "{spec}"')
    return entry.make(argument, EncoderOptions(batch_size, device, ids))
