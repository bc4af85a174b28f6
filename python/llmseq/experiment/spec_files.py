"""Files that hold the settings of a comparison: specs, and the best.toml of a search."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmseq.errors import ConfigError
from llmseq.experiment.spec import ModelSpec
from llmseq.models.catalog import registry_name

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_spec_file(path: Path) -> dict[str, Any]:
    """Read settings of a comparison, of which the tables are tables; `CompareSpec` checks the rest.

    Raises
    ------
    ConfigError
        If the file is not there, is no TOML, or a table is something else.
    """
    values = _read(path)
    models = values.get("models", [])
    if not isinstance(models, list) or not all(isinstance(model, dict) for model in models):
        raise ConfigError(
            f'{path}: models must be tables, for example models = [{{ name = "sasrec" }}]'
        )
    tables = [(key, values.get(key, {})) for key in ("split", "tuning")]
    tables += [(f"a model's {key}", m.get(key, {})) for m in models for key in ("settings", "grid")]
    for key, table in tables:
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {key} must be a table, got {table!r}")
    return values


def dataset_of(spec: Path) -> Path | None:
    """Read which dataset folder a spec names; None: it names none.

    Raises
    ------
    ConfigError
        If there is no such file, or it is no TOML.
    """
    named = _read(spec).get("dataset")
    return None if named is None else Path(str(named))


def read_model_file(path: Path, model: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Read one model's settings, and where its text vectors come from, of a file for `compare`.

    Raises
    ------
    ConfigError
        If the file is no TOML, does not hold the model, or leaves settings to be searched.
    """
    values = read_spec_file(path)
    models = [with_name(one) for one in values.get("models", [])]
    found = [one for one in models if model in {one["name"], registry_name(one["name"])}]
    if len(found) != 1:
        names = ", ".join(one["name"] for one in models) or "none"
        wrong = "no" if not found else "several"
        raise ConfigError(f"{path}: holds {wrong} settings of {model}; models in it: {names}")
    if found[0].get("grid") or found[0].get("space"):
        raise ConfigError(
            f"{path}: the settings of {model} are still to be searched; take the best.toml of "
            "llmseq tune, or the settings of a finished comparison"
        )
    named = ("encoder", "encoder_ids", "template")
    texts = {key: str(values[key]) for key in named if values.get(key)}
    if found[0].get("encoder"):
        texts["encoder"] = found[0]["encoder"]
    return dict(found[0].get("settings", {})), texts


def with_name(model: Mapping[str, Any]) -> dict[str, Any]:
    """Give a model's plain values the name that it goes by; see `ModelSpec`."""
    if "name" not in model:
        raise ConfigError(f"a model of the comparison has no name: {dict(model)}")
    named = ("name", "encoder", "variant")
    spec = ModelSpec.make({key: model[key] for key in named if key in model}, what="model")
    return {**model, "name": spec.name, **({"encoder": spec.encoder} if spec.encoder else {})}


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
