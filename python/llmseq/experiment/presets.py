"""Presets: which models a comparison has, and how much each is tuned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmseq.errors import ConfigError
from llmseq.experiment.spaces import check_space, folds_for, with_spaces
from llmseq.experiment.spec import NO_ENCODER, CompareSpec, check_cutoffs
from llmseq.experiment.spec_files import read_spec_file, with_name
from llmseq.models.catalog import MODELS, ModelEntry, registry_name
from llmseq.models.protocol import MayNeedTimes
from llmseq.models.request import check_times

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from llmseq.data.dataset import SessionDataset
    from llmseq.tuning.space import Space

PRESETS = ("quick", "thorough", "strong")

THOROUGH_TRIALS = 20
"""Settings that `thorough` tries for every model alike."""

_SIMILARITY = "llmseqsim"

STEPS_AN_EPOCH = 64
STEPS_IN_ALL = 3000
STEPS_WITHOUT_GAIN = 800
SMALLEST_BATCH = 16
MOST_DROPOUT = 0.3
"""What neural models get on a log too small for their usual batch (Beauty: 256)."""


def preset_values(preset: str, *, encoder: str | None = None) -> dict[str, Any]:
    """Plain values of a preset, or of a TOML file that holds settings of a comparison.

    Parameters
    ----------
    preset
        "quick": all but the slower neural models, cheap ones over their small grid, neural ones
        with one setting, one seed. "thorough": all models, each searched over its space with the
        same number of trials, three seeds. "strong": the neural models with our settings, three
        seeds. Or a path ending in ``.toml``, for example the spec.toml of an earlier run.
    encoder
        With "none" only the models without text are taken.

    Raises
    ------
    ConfigError
        If there is no such preset or file, or the file is no TOML.
    """
    if preset.endswith(".toml"):
        values = read_spec_file(Path(preset))
        for key in ("version", "dataset", "fingerprint"):  # those of this run count
            values.pop(key, None)
        return values
    if preset not in PRESETS:
        raise ConfigError(
            f'unknown preset "{preset}". Choose from: {", ".join(PRESETS)}, or a file ending '
            "in .toml"
        )
    names = [name for name in MODELS if not (encoder == NO_ENCODER and MODELS[name].uses_text)]
    return {
        "models": [preset_model(name, preset) for name in names if _belongs(MODELS[name], preset)],
        "n_seeds": 1 if preset == "quick" else 3,
        **({"tuning": {"trials": THOROUGH_TRIALS}} if preset == "thorough" else {}),
    }


def _belongs(entry: ModelEntry, preset: str) -> bool:
    if entry.family == "prompt":  # needs a base model, which no preset can name
        return False
    if preset == "strong":
        return entry.family == "sequential"
    return preset == "thorough" or entry.quick


def preset_model(name: str, preset: str) -> dict[str, Any]:
    """One model as a preset has it; ``name@encoder`` with vectors of its own."""
    entry = MODELS[registry_name(name)]
    grid: Mapping[str, tuple[Any, ...]] = {}
    if entry.family == "hybrid" or (entry.family != "sequential" and preset != "thorough"):
        grid = entry.grid
    return with_name({"name": name, "grid": {key: list(v) for key, v in grid.items()}})


def make_spec(
    dataset: SessionDataset,
    path: Path,
    *,
    preset: str = "quick",
    models: Sequence[str] | None = None,
    ks: Sequence[int] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    encoder: str | Sequence[str] | None = None,
    spaces: Mapping[str, Space] | None = None,
    **changes: object,
) -> CompareSpec:
    """Put preset and choices together to a validated spec.

    Parameters
    ----------
    models
        Names to compare instead of the preset's.
    settings
        For each model name, settings that differ; such a setting is no longer searched.
    encoder
        Where text vectors come from. Of several the first is every model's; each further one adds
        one more LLMSeqSim, for example ``llmseqsim@tfidf``.
    spaces
        For each model name, what is searched instead of the space that the package brings.
    **changes
        Any other field of `CompareSpec`; None leaves the preset's value.

    Raises
    ------
    ConfigError
        If a name is unknown or a value out of range.
    """
    given: dict[str, Any] = {key: value for key, value in changes.items() if value is not None}
    encoders = [encoder] if isinstance(encoder, str) else list(dict.fromkeys(encoder or ()))
    if encoders:
        given["encoder"] = encoders[0]
    values = preset_values(preset, encoder=given.get("encoder"))
    values["models"] = [with_name(model) for model in values.get("models", [])]
    if models is not None:
        level = preset if preset in PRESETS else "quick"
        known = {model["name"]: model for model in values["models"]}
        asked = [preset_model(name, level) for name in models]
        values["models"] = _without_lost_pairs(known.get(each["name"], each) for each in asked)
    elif not values["models"]:
        values["models"] = preset_values("quick")["models"]
    if models is None and preset == "thorough":
        # A prompt model joins in once it is told its base model.
        told = [preset_model(name, preset) for name in settings or {}]
        values["models"] += [model for model in told if _entry(model).family == "prompt"]
    values["models"] = _with_more_vectors(values["models"], encoders[1:])
    if preset in PRESETS:
        values["models"] = _among_compared(values["models"])
    if ks is not None:
        check_cutoffs(tuple(ks))
        values["ks"] = tuple(ks)
        values["primary"] = f"ndcg@{20 if 20 in ks else max(ks)}"
    for table in ("split", "tuning"):
        if table in values or table in given:
            given[table] = {**values.get(table, {}), **given.get(table, {})}
    values.update(given)
    if preset in PRESETS:
        values["models"], _ = without_times(values["models"], dataset, named=models or ())
    values["models"] = _with_settings(values["models"], settings or {})
    if preset in PRESETS:
        values["models"] = _fit_for_small_logs(values["models"], len(dataset.sessions))
    if "tuning" in values:
        values["tuning"] = folds_for(dataset, values["tuning"])
        values["models"] = with_spaces(
            [{**model, **_own_space(model["name"], spaces or {})} for model in values["models"]],
            dataset,
            settings=settings or {},
            keep_grids=preset not in PRESETS,
        )
    values.update(dataset=str(path), fingerprint=dataset.fingerprint())
    spec = CompareSpec.make(values, what="comparison")
    for model in spec.models:
        for config in model.configs():
            check_times(config, dataset, model=f"model {model.name}", instead="leave it out")
        check_space(model, dataset)
    return spec


def _without_lost_pairs(models: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out tests against models that somebody chose not to compare."""
    chosen = list(models)
    names = {model["name"] for model in chosen}
    lost = [model for model in chosen if model.get("against", model["name"]) not in names]
    return [
        {key: value for key, value in model.items() if model not in lost or key != "against"}
        for model in chosen
    ]


def _own_space(name: str, spaces: Mapping[str, Space]) -> dict[str, Any]:
    return {"space": spaces[name].to_dict()} if name in spaces else {}


def _entry(model: Mapping[str, Any]) -> ModelEntry:
    return MODELS[registry_name(model["name"])]


def _with_more_vectors(
    models: Sequence[dict[str, Any]], encoders: Sequence[str]
) -> list[dict[str, Any]]:
    """Add one more LLMSeqSim for each further encoder that no model names, tuned as the first is.

    Raises
    ------
    ConfigError
        If there is no LLMSeqSim to do it with.
    """
    changed = list(models)
    for encoder in encoders:
        if any(model.get("encoder") == encoder for model in changed):
            continue
        similar = [at for at, m in enumerate(changed) if registry_name(m["name"]) == _SIMILARITY]
        plain = [model for model in changed if model["name"] == _SIMILARITY]
        if encoder == NO_ENCODER or not plain:
            raise ConfigError(
                f'nothing takes the vectors of the further encoder "{encoder}"; compare '
                f"{_SIMILARITY} too, or name a model with them, for example llm2sasrec@tfidf"
            )
        more = with_name({**plain[0], "name": f"{_SIMILARITY}@{encoder}"})
        changed.insert(similar[-1] + 1, more)
    return changed


def without_times(
    models: Sequence[dict[str, Any]], dataset: SessionDataset, *, named: Collection[str] = ()
) -> tuple[list[dict[str, Any]], list[str]]:
    """Fit a preset's models to a log without session times, and say what that changed.

    A model that cannot do without times is left out, unless somebody named it, who then gets an
    error.
    """
    if dataset.sessions.times is not None:
        return list(models), []
    kept, notes = [], []
    for model in models:
        name = model["name"]
        config = _entry(model).make_config(model.get("settings", {}), what=f"model {name}")
        if name not in named and isinstance(config, MayNeedTimes) and config.needs_times:
            notes.append(f"{name} is left out: it needs session times, and this log has none")
        else:
            kept.append(model)
    return kept, notes


def _among_compared(models: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out of hybrids' grids the members that are not compared, as long as one is."""
    names = {model["name"] for model in models}
    fitted = []
    for model in models:
        grid = model.get("grid", {})
        if _entry(model).family == "hybrid":
            grid = {
                key: [v for v in values if not (v in MODELS.names() and v not in names)] or values
                for key, values in grid.items()
            }
        fitted.append({**model, "grid": grid})
    return fitted


def _with_settings(
    models: Sequence[dict[str, Any]], settings: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Put in settings; those of ``llmseqsim`` are also those of ``llmseqsim@tfidf``."""
    names = [model["name"] for model in models]
    for name, own in settings.items():
        if name not in {*names, *map(registry_name, names)}:
            raise ConfigError(
                f'a setting for "{name}", which is not compared; compared are {", ".join(names)}'
            )
        if not isinstance(own, Mapping):
            raise ConfigError(f'"{name}" is a model: say which of its settings is to be {own!r}')
    changed = []
    for model in models:
        name = model["name"]
        shared = registry_name(name)
        own = completed(shared, {**settings.get(shared, {}), **settings.get(name, {})})
        grid = {key: values for key, values in model.get("grid", {}).items() if key not in own}
        changed.append({**model, "settings": {**model.get("settings", {}), **own}, "grid": grid})
    return changed


def _fit_for_small_logs(models: Sequence[dict[str, Any]], n_sessions: int) -> list[dict[str, Any]]:
    """Give neural models small batches, less dropout and more patience where the log is small.

    Usual settings would leave a log of a thousand sessions three steps an epoch. Models without
    text then stay at the level of popularity for hundreds of steps before they begin to learn;
    stopped there, they would make any text look good. All models get the same.
    """
    batch_size = max(
        2 ** math.floor(math.log2(max(n_sessions / STEPS_AN_EPOCH, 1))), SMALLEST_BATCH
    )
    steps = 0.7 * n_sessions / batch_size  # about this share of the sessions is left to fit
    small = {
        "batch_size": batch_size,
        "patience": math.ceil(STEPS_WITHOUT_GAIN / steps),
        "n_epochs": math.ceil(STEPS_IN_ALL / steps),
    }
    changed = []
    for model in models:
        entry, own = _entry(model), model.get("settings", {})
        if entry.family == "sequential":
            usual = entry.make_config(what=model["name"]).to_dict()
            if batch_size < usual["batch_size"]:
                wanted = {
                    **{key: max(value, usual[key]) for key, value in small.items()},
                    "batch_size": batch_size,
                    "dropout": min(MOST_DROPOUT, usual["dropout"]),
                }
                free = {key: v for key, v in wanted.items() if key not in model.get("grid", {})}
                model = {**model, "settings": {**free, **own}}
        changed.append(model)
    return changed


def completed(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Fill a nested setting such as ``{"reduction": {"dim": 64}}`` with its other usual values.

    The method "none" has none.
    """
    if not any(isinstance(value, Mapping) for value in settings.values()):
        return dict(settings)
    usual = MODELS[registry_name(name)].make_config(what=f"model {name}").to_dict()

    def whole(key: str, value: object) -> object:
        usual_value = usual.get(key)
        if not isinstance(value, Mapping) or not isinstance(usual_value, Mapping):
            return value
        # Another model inside a hybrid does not take over the usual one's settings, and without a
        # reduction there is nothing to set.
        if "model" in value or value.get("method") == "none":
            return dict(value)
        return {**usual_value, **value}

    return {key: whole(key, value) for key, value in settings.items()}
