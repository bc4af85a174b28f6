"""Where torch computes."""

from __future__ import annotations

from llmseq.errors import ConfigError


def check_device(name: str) -> None:
    """Refuse a device that torch does not know or cannot use here; torch must be installed.

    Raises
    ------
    ConfigError
        With the first line of what torch says.
    """
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ConfigError(f'torch cannot use the device "{name}" here: {said}') from error
