"""Low-rank updates of a base model: put in, read out, put back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from llmseq.errors import ArtifactError, ConfigError
from llmseq.models.prompt.base_model import quiet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from llmseq.models.prompt.config import LoraSettings
    from llmseq.models.prompt.language_model import LanguageModel

_BLOCK = re.compile(r"\.(\d+)\.")


def add_adapter(lm: LanguageModel, settings: LoraSettings, *, seed: int) -> None:
    """Give a model low-rank updates that change nothing yet; only they are trained.

    Raises
    ------
    ConfigError
        If no layer is called as the settings say.
    """
    from peft import LoraConfig, inject_adapter_in_model

    names = _layers(lm, settings)
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        inject_adapter_in_model(
            LoraConfig(
                r=settings.rank,
                lora_alpha=settings.alpha,
                lora_dropout=settings.dropout,
                target_modules=names,
                bias="none",
            ),
            lm.model,
        )
    for name, weight in lm.model.named_parameters():
        weight.requires_grad_("lora_" in name)
    for weight in adapter_weights(lm).values():
        weight.data = weight.data.to(lm.model.dtype)  # else every layer casts what goes through it


def adapter_weights(lm: LanguageModel) -> dict[str, nn.Parameter]:
    """Give the trained parameters by name."""
    return {name: value for name, value in lm.model.named_parameters() if "lora_" in name}


def set_adapter(lm: LanguageModel, values: Mapping[str, Tensor]) -> None:
    """Put saved values into a model that has the same adapter.

    Raises
    ------
    ArtifactError
        If names or shapes differ.
    """
    own = adapter_weights(lm)
    if own.keys() != values.keys() or any(own[n].shape != values[n].shape for n in own):
        raise ArtifactError(
            f"the saved adapter does not go with the base model {lm.base.name} and its settings"
        )
    with torch.no_grad():
        for name, weight in own.items():
            weight.copy_(values[name])


def _layers(lm: LanguageModel, settings: LoraSettings) -> list[str]:
    """Full names of the layers that get an update."""
    from transformers.pytorch_utils import Conv1D

    output = lm.model.get_output_embeddings()
    linear = {
        name
        for name, module in lm.model.named_modules()
        if isinstance(module, (torch.nn.Linear, Conv1D)) and module is not output
    }
    if settings.targets != "all-linear":
        ends = tuple(f".{target}" for target in settings.targets)
        chosen = {name for name in linear if f".{name}".endswith(ends)}
        if not chosen:
            kinds = sorted({name.rpartition(".")[2] for name in linear})
            raise ConfigError(
                f"{lm.base.name} has no layer called {', '.join(settings.targets)}; its layers "
                f"are {', '.join(kinds)}"
            )
        linear = chosen
    if settings.n_layers is not None:
        blocks = {name: int(found[1]) for name in linear if (found := _BLOCK.search(name))}
        first = max(blocks.values(), default=0) + 1 - settings.n_layers
        linear = {name for name, block in blocks.items() if block >= first}
    return sorted(linear)
