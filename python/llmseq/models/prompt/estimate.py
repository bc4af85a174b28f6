"""The memory that a fine-tuning will need, and a refusal where there is too little."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmseq.errors import ConfigError

if TYPE_CHECKING:
    from llmseq.models.prompt.config import PromptConfig

_MEMINFO = Path("/proc/meminfo")
_LIMITS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)
_SCORES_AT_ONCE = 1024
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Shape:
    """What the memory of a model follows from.

    Parameters
    ----------
    n_parameters, n_trained
        Weights in all, and those of the adapter.
    n_layers, n_heads, width, inner
        Blocks, heads of each, width of a hidden state and of a feed-forward network.
    n_outputs
        Tokens whose scores are needed at a place.
    bytes_each
        Of a number in the model's precision.
    """

    n_parameters: int
    n_trained: int
    n_layers: int
    n_heads: int
    width: int
    inner: int
    n_outputs: int
    bytes_each: int


def weight_bytes(n_parameters: int, bytes_each: int) -> int:
    """Memory of the weights alone: what loading needs."""
    return n_parameters * bytes_each


def training_bytes(shape: Shape, config: PromptConfig) -> int:
    """Memory at the peak of a step, a rough upper estimate.

    Weights; for each trained number itself, its gradient and two moments in float32; for each token
    and block what the backward pass reads again (about 24 numbers of the hidden width, four of the
    inner one), twice: batches of other sizes leave gaps; for each token and head its weights of the
    tokens of a prompt, in the model's precision twice and once in float32; the scores of the places
    with a choice, three times.
    """
    tokens = config.training.tokens_per_step
    each = (24 * shape.width + 4 * shape.inner) * shape.bytes_each
    seen = min(tokens, config.max_prompt_tokens)
    attention = shape.n_heads * seen * (2 * shape.bytes_each + 4)
    kept = tokens * shape.n_layers * (2 * each + attention)
    scores = 3 * 4 * min(tokens, _SCORES_AT_ONCE) * shape.n_outputs
    return weight_bytes(shape.n_parameters, shape.bytes_each) + 16 * shape.n_trained + kept + scores


def free_bytes() -> int | None:
    """Memory that this process may still take; None where the system does not say."""
    found = []
    try:
        lines = _MEMINFO.read_text(encoding="utf-8").splitlines()
        found += [int(row.split()[1]) * 1024 for row in lines if row.startswith("MemAvailable:")]
    except OSError:
        pass  # not Linux
    for limit, used in _LIMITS:
        try:
            found.append(int(limit.read_text()) - int(used.read_text()))
        except (OSError, ValueError):
            continue  # no such limit
    return min(found, default=None)


def require_memory(needed: int, what: str, *, free: int | None, advice: str) -> None:
    """Refuse what memory cannot do.

    Raises
    ------
    ConfigError
        If more is needed than is free.
    """
    if free is not None and needed > free:
        raise ConfigError(
            f"{what} needs about {needed / _GIB:.1f} GiB of memory, {free / _GIB:.1f} GiB are "
            f"free: {advice}"
        )
