"""Where torch computes."""

from __future__ import annotations

from llmseq.errors import ConfigError, MissingExtraError


def check_device(name: str) -> None:
    """Refuse a device that torch does not know or cannot use here.

    Raises
    ------
    ConfigError
        With the first line of what torch says.
    MissingExtraError
        If torch is not installed.
    """
    try:
        import torch
    except ModuleNotFoundError as missing:
        raise MissingExtraError(f'the device "{name}"', "train") from missing
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ConfigError(f'torch cannot use the device "{name}" here: {said}') from error
