"""Which space each model is searched over, on this log and beside the settings given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmseq.config import flat
from llmseq.errors import ConfigError
from llmseq.models.catalog import MODELS, registry_name
from llmseq.tuning.points import Searched
from llmseq.tuning.space import Space, shipped_space

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llmseq.data.dataset import SessionDataset
    from llmseq.experiment.spec import CompareSpec, ModelSpec

_BATCH = "batch_size"


def folds_for(dataset: SessionDataset, tuning: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in the folds: three, or 1, the select part, where sessions have no times.

    Raises
    ------
    ConfigError
        If more folds are asked for and sessions have no times.
    """
    if dataset.sessions.times is not None:
        return dict(tuning)
    asked = tuning.get("n_folds", 1)
    if isinstance(asked, int) and asked > 1:
        raise ConfigError(
            f"{asked} forward-chaining folds need session times, and this log has none; take 1: "
            "the select part"
        )
    return {**tuning, "n_folds": asked}


def with_spaces(
    models: Sequence[dict[str, Any]],
    dataset: SessionDataset,
    *,
    settings: Mapping[str, Mapping[str, Any]],
    keep_grids: bool = False,
) -> list[dict[str, Any]]:
    """Give every model that is fitted the space it is searched over, in place of its grid.

    A space that the model has already stays; else it is the one that the package brings, less what
    needs times that the log has not, and less the batch where the log is too small for it.

    Parameters
    ----------
    settings
        By model name, what the user has set: it is searched no longer.
    keep_grids
        Leave models that have a grid as they are.
    """
    changed = []
    for model in models:
        name = model["name"]
        grid = model.get("grid", {})
        entry_name = registry_name(name)
        if MODELS[entry_name].family == "hybrid" or (keep_grids and grid):
            changed.append(model)
            continue
        given = model.get("space")
        space = shipped_space(entry_name) if given is None else _read(given, name)
        if space is not None:
            fixed = {**settings.get(entry_name, {}), **settings.get(name, {})}
            space = space.without(list(flat(fixed)))
        if space is not None and given is None:
            space = _for_log(Searched(entry_name, space, model.get("settings", {})), dataset)
        changed.append({**model, "grid": {}, "space": None if space is None else space.to_dict()})
    return changed


def _read(given: object, name: str) -> Space:
    if isinstance(given, Space):
        return given
    return Space.make(dict(given) if isinstance(given, dict) else {}, what=f"space of {name}")


def _for_log(searched: Searched, dataset: SessionDataset) -> Space | None:
    space: Space | None = searched.space
    batch = searched.space.parameters.get(_BATCH)
    own = searched.settings.get(_BATCH)
    if batch is not None and own is not None and own < batch.ends()[0]:
        space = searched.space.without([_BATCH])
    if space is not None and dataset.sessions.times is None:
        space = Searched(searched.name, space, searched.settings).without_times()
    return space


def check_space(model: ModelSpec, dataset: SessionDataset) -> None:
    """Refuse a space that asks for session times which the log has not.

    Raises
    ------
    ConfigError
        Naming the values.
    """
    asking = model.searched.needs_times() if model.searched is not None else {}
    if asking and dataset.sessions.times is None:
        words = ", ".join(f"{name} = {values[0]}" for name, values in asking.items())
        raise ConfigError(
            f"space of {model.name}: {words} needs session times, and this log has none; leave it "
            "out of the space"
        )


def about_spaces(spec: CompareSpec) -> Iterator[str]:
    """Say which settings that usually are searched are not."""
    for model in spec.models:
        shipped = shipped_space(registry_name(model.name))
        if spec.tuning is None or model.space is None or shipped is None:
            continue
        missing = [name for name in shipped.parameters if name not in model.space.parameters]
        if missing:
            yield (
                f"{model.name}: {', '.join(missing)} not searched: fixed by a setting or a space "
                "given, by the size of this log, or for want of session times"
            )
