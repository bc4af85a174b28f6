"""A fitted sequential model as arrays and plain values, and back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from llmseq.embeddings.reduce import Reducer, ReductionConfig
from llmseq.errors import ArtifactError, ConfigError, ShapeError
from llmseq.models.persistence import read_manifest, read_model, write_model
from llmseq.models.protocol import FitSummary
from llmseq.models.sequential.config import MAPS_TEXT
from llmseq.models.sequential.model import CONFIGS, SequentialModel, make_model
from llmseq.models.sequential.text import TableText

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from llmseq.models.sequential.config import SequentialConfig
    from llmseq.types import BoolArray, FloatMatrix

_WEIGHT, _REDUCER = "weights.", "reducer."


@dataclass(frozen=True, eq=False, slots=True)
class Parts:
    """What makes a fitted model besides its settings.

    Parameters
    ----------
    model : SequentialModel
    trained : bool (n_items,)
        Items that training saw.
    text : TableText, optional
        The reduction of the text vectors; None for a random table.
    vectors : float32 (n_items, R), optional
        The reduced text vectors.
    summary : FitSummary
    """

    model: SequentialModel
    trained: BoolArray
    text: TableText | None
    vectors: FloatMatrix | None
    summary: FitSummary


def write(path: Path, config: SequentialConfig, parts: Parts) -> None:
    """Write a model's folder; its kind is the network, which the registry has an entry for."""
    state = parts.model.state_dict()
    arrays: dict[str, NDArray[Any]] = {
        "trained": parts.trained,
        **{f"{_WEIGHT}{name}": value.cpu().numpy() for name, value in state.items()},
    }
    extra: dict[str, Any] = {"summary": asdict(parts.summary)}
    if parts.text is not None and parts.vectors is not None:
        arrays["text"] = parts.vectors
        reducer = parts.text.reducer
        arrays |= {f"{_REDUCER}{name}": array for name, array in reducer.arrays().items()}
        extra["text"] = {
            "dim": parts.text.dim,
            "origin": dict(parts.text.origin),
            "reduction": reducer.config.to_dict(),
        }
    write_model(path, kind=config.network, config=config, arrays=arrays, extra=extra)


def read(path: Path) -> tuple[SequentialConfig, Parts]:
    """Read what `write` wrote.

    Raises
    ------
    ArtifactError
        If the folder is damaged, or its weights do not go with its settings.
    """
    kind = read_manifest(path)["kind"]
    if kind not in CONFIGS:
        raise ArtifactError(f'{path}: holds a "{kind}", not one of {", ".join(CONFIGS)}')
    values, arrays, extra = read_model(path, kind=kind)
    config = CONFIGS[kind].make(values, what=str(path / "config.json"))
    trained = arrays["trained"]
    weights = {n: torch.from_numpy(array) for n, array in _below(_WEIGHT, arrays).items()}
    try:
        text, vectors = None, None
        if config.item_table != "random":
            told, vectors = extra["text"], arrays["text"]
            reduction = ReductionConfig.make(told["reduction"], what=str(path / "manifest.json"))
            reducer = Reducer.from_arrays(reduction, _below(_REDUCER, arrays))
            text = TableText(reducer, told["dim"], told["origin"])
        model = _empty(config, weights, text, int(trained.sum()))
        model.load_state_dict(weights)
    except (RuntimeError, ShapeError, ConfigError, KeyError) as error:
        raise ArtifactError(
            f"{path}: weights.safetensors does not go with config.json: {error}"
        ) from error
    summary = extra["summary"]
    done = FitSummary(
        parameters=summary["parameters"],
        epochs=summary["epochs"],
        history=tuple(summary["history"]),
        notes=tuple(summary["notes"]),
    )
    return config, Parts(model.eval(), trained, text, vectors, done)


def _empty(
    config: SequentialConfig,
    weights: Mapping[str, torch.Tensor],
    text: TableText | None,
    n_items: int,
) -> SequentialModel:
    """Make a model of the right shape, to be filled."""
    if text is None:
        dim, vectors = weights["table.rows"].shape[1], None
    else:
        dim = text.dim
        width = weights["table.text"].shape[1] if config.item_table in MAPS_TEXT else dim
        vectors = torch.zeros(n_items, width)
    return make_model(config, vectors, n_items=n_items, dim=dim, generator=torch.Generator())


def _below(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {n.removeprefix(prefix): np.array(a) for n, a in arrays.items() if n.startswith(prefix)}
