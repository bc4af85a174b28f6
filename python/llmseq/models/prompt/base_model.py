"""Where a base model is found, what its weights hash to, and how it is loaded."""

from __future__ import annotations

import io
import json
import logging
import struct
import warnings
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmseq.embeddings.encoders.hf import find_folder
from llmseq.embeddings.store import default_cache
from llmseq.errors import ArtifactError, ConfigError, MissingExtraError
from llmseq.storage import atomic_folder, file_fingerprint, fingerprint, read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator

_FEATURE = "LLMSeqPrompt"


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A causal language model on this machine, not loaded yet.

    Parameters
    ----------
    name
        As it was asked for.
    folder
        Where its files are.
    gguf_file
        The file in that folder that holds it, if it is one.
    """

    name: str
    folder: Path
    gguf_file: str | None = None

    @property
    def weight_files(self) -> list[Path]:
        """The files with weights."""
        if self.gguf_file is not None:
            return [self.folder / self.gguf_file]
        return sorted(self.folder.glob("*.safetensors"))

    def digest(self) -> str:
        """Hash weights and tokenizer: 32 hex digits."""
        files = self.weight_files
        if self.gguf_file is None:
            files += sorted(self.folder.glob("tokenizer*"))
        return fingerprint([(path.name, _known_fingerprint(path)) for path in files])

    def n_parameters(self) -> int:
        """Count the weights from the heads of the files, without reading them."""
        if self.gguf_file is not None:
            return _count_gguf(self.folder / self.gguf_file)
        return sum(_count_safetensors(path) for path in self.weight_files)


def find_base_model(name: str) -> BaseModel:
    """Find a model: a .gguf file, a folder, the local cache of the hub, or the hub.

    Raises
    ------
    ConfigError
        If no name is given.
    ArtifactError
        If it is not there, or holds no weights that can be read.
    """
    if not name:
        raise ConfigError(
            "LLMSeqPrompt needs a base model: set base_model to a .gguf file, a folder that "
            "transformers can load, or a name on the hub"
        )
    path = Path(name).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ArtifactError(f"{path}: no such file, expected a language model in GGUF form")
        return BaseModel(name, path.resolve().parent, path.name)
    folder = find_folder(name)
    if next(folder.glob("*.safetensors"), None) is not None:
        return BaseModel(name, folder)
    ggufs = sorted(folder.glob("*.gguf"))
    if len(ggufs) == 1:
        return BaseModel(name, folder, ggufs[0].name)
    raise ArtifactError(
        f"{folder}: holds no *.safetensors and {len(ggufs)} .gguf files; name a folder with "
        "safetensors, or one .gguf file"
    )


def load_base_model(base: BaseModel, dtype: Any, device: str) -> tuple[Any, Any]:  # noqa: ANN401 - torch and transformers are not imported for types here
    """Load model and tokenizer; a GGUF file is unpacked once and kept in the cache.

    Raises
    ------
    ArtifactError
        If transformers cannot load it as a causal language model.
    MissingExtraError
        If transformers, peft or gguf are missing.
    """
    try:
        import peft  # noqa: F401 - needed a moment later
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise MissingExtraError(_FEATURE, "prompt") from error
    with quiet():
        try:
            folder = base.folder if base.gguf_file is None else _unpacked(base)
            tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
            model = AutoModelForCausalLM.from_pretrained(
                str(folder),
                dtype=dtype,
                local_files_only=True,
                # On a CPU the products alone are quicker than its fused kernel, forth and back.
                attn_implementation="eager" if device == "cpu" else None,
            )
        except (
            OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError,
            json.JSONDecodeError,
        ) as error:  # fmt: skip
            raise ArtifactError(
                f"{base.name}: cannot be loaded as a causal language model ({_brief(error)})"
            ) from error
    try:
        model = model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f'torch cannot use the device "{device}" here: {_brief(error)}'
        ) from error
    model.eval()
    for weight in model.parameters():
        weight.requires_grad_(requires_grad=False)
    return model, tokenizer


def _unpacked(base: BaseModel) -> Path:
    """Unpack a GGUF file to bfloat16 safetensors, once: it takes a minute, reading them seconds."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    try:
        import gguf  # noqa: F401 - transformers says so less clearly
    except ImportError as error:
        raise MissingExtraError(f"the GGUF file {base.name}", "prompt") from error
    folder = default_cache().parent / "language-models" / base.digest()
    if (folder / "config.json").is_file():
        return folder
    place = {"gguf_file": base.gguf_file, "local_files_only": True}
    tokenizer = AutoTokenizer.from_pretrained(str(base.folder), **place)
    model = AutoModelForCausalLM.from_pretrained(
        str(base.folder),
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
        **place,
    )
    with atomic_folder(folder) as temporary:
        tokenizer.save_pretrained(str(temporary))
        model.save_pretrained(str(temporary))
    return folder


def _known_fingerprint(path: Path) -> str:
    """Hash a file, or take what was noted for one of the same place, size and time."""
    state = path.stat()
    note = default_cache().parent / "hashes" / f"{fingerprint(str(path.resolve()))}.json"
    seen = [state.st_size, state.st_mtime_ns]
    try:
        known = read_json(note)
        if known["seen"] == seen:
            return str(known["fingerprint"])
    except (ArtifactError, KeyError, TypeError):
        pass  # never hashed here, or the note is damaged: hash again
    digits = file_fingerprint(path)
    write_json(note, {"file": str(path), "seen": seen, "fingerprint": digits})
    return digits


def _count_safetensors(path: Path) -> int:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    shapes = [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
    return sum(_product(shape) for shape in shapes)


def _count_gguf(path: Path) -> int:
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise MissingExtraError(f"the GGUF file {path}", "prompt") from error
    try:
        return sum(int(tensor.n_elements) for tensor in GGUFReader(str(path)).tensors)
    except (ValueError, IndexError, KeyError) as error:
        raise ArtifactError(f"{path}: damaged GGUF file ({_brief(error)})") from error


def _product(shape: list[int]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


@contextmanager
def quiet() -> Iterator[None]:
    """Keep third parties from writing bars, logs and warnings; ours say what matters."""
    from transformers.utils import logging as their_logging

    logger = logging.getLogger("transformers")
    level, bars = logger.level, their_logging.is_progress_bar_enabled()
    logger.setLevel(logging.ERROR)
    their_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):  # GGUF has bars of its own
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        if bars:
            their_logging.enable_progress_bar()


def _brief(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
