"""Any text model of Hugging Face, through sentence-transformers."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmseq.device import check_device
from llmseq.errors import ArtifactError, ConfigError, InvalidDataError, MissingExtraError
from llmseq.storage import file_fingerprint, fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sentence_transformers import SentenceTransformer

    from llmseq.embeddings.encoders.protocol import EncoderOptions, Share
    from llmseq.types import FloatMatrix

_CONTENT = ("*.safetensors", "*.json", "*.txt", "*.model")
_OLD_WEIGHTS = ("*.bin",)
_OTHER_RUNTIMES = ("onnx/*", "openvino/*")


class HuggingFaceEncoder:
    """A sentence-transformers model, or a plain language model averaged over its tokens.

    Parameters
    ----------
    model
        A folder, or a name on the hub; what the local cache holds is used as it is.
    options
        Batch size and device. Vectors of another batch size differ in the last bits only.
    """

    independent = True

    def __init__(self, model: str, options: EncoderOptions) -> None:
        self.name = f"hf:{model}"
        self._asked = model
        self._options = options

    def find(self) -> Path:
        """Say in which folder the model is, downloading it if need be."""
        return find_folder(self._asked)

    @cached_property
    def folder(self) -> Path:
        """Where the model is."""
        return self.find()

    def fingerprint(self) -> str:
        """Hash the weights, the tokenizer and the settings: 32 hex digits. Loads nothing."""
        files = sorted(
            path
            for pattern in (*_CONTENT, *_OLD_WEIGHTS)
            for path in self.folder.rglob(pattern)
            if path.relative_to(self.folder).parts[0] not in {"onnx", "openvino"}
        )
        content = [
            (path.relative_to(self.folder).as_posix(), file_fingerprint(path)) for path in files
        ]
        return fingerprint("sentence-transformers", content)

    def notes(self, dim: int) -> tuple[str, ...]:
        """Say when the model brings no pooling of its own."""
        del dim
        if (self.folder / "modules.json").is_file():
            return ()
        return ("no sentence model: its token vectors are averaged",)

    def encode(self, texts: Sequence[str], progress: Share | None = None) -> FloatMatrix:
        """Encode in batches, in the order given; neighbours of like length make it quick."""
        if not texts:
            raise InvalidDataError(f"{self.name}: no text to encode")
        size = self._options.batch_size
        parts: list[FloatMatrix] = []
        with _quiet():
            for start in range(0, len(texts), size):
                batch = list(texts[start : start + size])
                vectors = self._model.encode(batch, batch_size=size, show_progress_bar=False)
                parts.append(np.asarray(vectors, dtype=np.float32))
                if progress is not None:
                    progress((start + len(batch)) / len(texts))
        return np.concatenate(parts)

    @cached_property
    def _model(self) -> SentenceTransformer:
        folder = self.folder
        try:
            import torch  # noqa: F401 - first: transformers looks whether it is there
            from safetensors import SafetensorError
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise MissingExtraError(f'the encoder "{self.name}"', "embed") from None
        check_device(self._options.device)
        with _quiet():
            try:
                model = SentenceTransformer(
                    str(folder), device=self._options.device, local_files_only=True
                )
            except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
                raise ArtifactError(
                    f"{folder}: cannot be loaded as a text model ({_brief(error)}); if its "
                    "download was cut short, delete the folder to have it made again"
                ) from error
        _allow_batches(model)
        return model


def find_folder(model: str) -> Path:
    """Find a model: a folder, else the local cache, else the hub (offline settings respected).

    Raises
    ------
    InvalidDataError
        If ``model`` looks like a folder and is none.
    ArtifactError
        If it is not in the cache and cannot be downloaded.
    MissingExtraError
        If the packages for it are missing.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise InvalidDataError(f"{model}: no such folder, expected one that holds a text model")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise MissingExtraError(f'the encoder "hf:{model}"', "embed") from None
    try:
        cached = Path(snapshot_download(model, local_files_only=True))
    except FileNotFoundError:
        return _download(model)
    except ValueError as error:
        raise ConfigError(f'"{model}" is no model name: {_brief(error)}') from error
    return cached if _has_weights(cached) else _download(model)


def _download(model: str) -> Path:
    """Fetch weights as safetensors; only where there are none, those of older models."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    bars = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        for patterns in (_CONTENT, (*_CONTENT, *_OLD_WEIGHTS)):
            folder = Path(
                snapshot_download(
                    model, allow_patterns=list(patterns), ignore_patterns=list(_OTHER_RUNTIMES)
                )
            )
            if _has_weights(folder):
                return folder
    except OSError as error:  # huggingface_hub's own errors are OSErrors too
        raise ArtifactError(
            f'the model "{model}" is not in the local cache and could not be downloaded: '
            f"{_brief(error)}"
        ) from error
    finally:
        if bars:
            enable_progress_bars()
    raise ArtifactError(f'the model "{model}" has no weights that can be read')


def _has_weights(folder: Path) -> bool:
    return any(
        next(folder.rglob(pattern), None) is not None
        for pattern in ("*.safetensors", "pytorch_model*.bin")
    )


def _allow_batches(model: SentenceTransformer) -> None:
    """Give a tokenizer made for writing, not for batches, something to pad with."""
    tokenizer: Any = getattr(model, "tokenizer", None)
    if getattr(tokenizer, "pad_token", "") is None:
        tokenizer.pad_token = tokenizer.eos_token


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep third parties from writing bars, logs and warnings; ours say what matters."""
    try:
        from transformers.utils import logging as their_logging
    except ImportError:  # said by whoever needs it
        yield
        return
    loggers = [logging.getLogger(name) for name in ("sentence_transformers", "transformers")]
    levels = [logger.level for logger in loggers]
    bars = their_logging.is_progress_bar_enabled()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    their_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            their_logging.enable_progress_bar()


def _brief(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
