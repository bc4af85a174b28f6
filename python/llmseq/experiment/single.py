"""One model on its own: fitted for serving, without a comparison."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from llmseq.data.folder import read_dataset
from llmseq.data.split import SplitConfig, split_dataset
from llmseq.device import check_device
from llmseq.embeddings.embed import embed_catalogue
from llmseq.errors import ConfigError
from llmseq.experiment.presets import completed
from llmseq.models.catalog import MODELS
from llmseq.models.persistence import SavedModel, load_model
from llmseq.models.protocol import FitContext, WarmStart

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmseq.config import Config
    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import HeldOut
    from llmseq.models.protocol import Progress, Recommender


def fit_model(
    dataset: str | Path,
    model: str,
    *,
    settings: Mapping[str, Any] | None = None,
    start: Path | None = None,
    on: Literal["all", "train"] = "all",
    encoder: str = "minilm",
    encoder_ids: Path | None = None,
    template: str | None = None,
    seed: int = 0,
    split: SplitConfig | None = None,
    n_threads: int | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> SavedModel:
    """Fit one model on a dataset folder, ready to serve.

    A model with epochs is fitted twice: first on the older part of the train sessions, to find how
    many epochs are best for the newest ones, then on everything for so many.

    Parameters
    ----------
    model
        Registry name; a hybrid is made of fitted models, which only `compare` does.
    settings
        That differ from the registry's, or from those of the model to start from.
    start
        A saved sequential model to start from: its weights and settings, on a log that may have
        new items. Items that are gone are left out; text is reduced as that model does it.
    on
        "all" sessions, or "train": those that are not test, for lists that are scored elsewhere.
    encoder, encoder_ids, template
        Where text vectors come from, if the model takes them.

    Raises
    ------
    ConfigError
        If the name or a setting is wrong, or the model to start from is of another kind.
    ArtifactError
        If the model to start from is damaged.

    Examples
    --------
    >>> model = fit_model("shop", "v-sknn", settings={"k": 100})  # doctest: +SKIP
    >>> model.save(Path("v-sknn"))  # doctest: +SKIP
    """
    entry = MODELS[model]
    trained = entry.family in {"sequential", "prompt"}
    if entry.family == "hybrid":
        raise ConfigError(
            f"{model} is made of other fitted models: run `llmseq compare`, which saves it under "
            f"models/{model} of its run folder"
        )
    given = completed(model, settings or {})
    before = None if start is None else load_model(start)
    if before is not None:
        given = {**_settings_of(before, model), **given}
    config = entry.make_config(given, what=f"model {model}")
    cls: Callable[[Config], Recommender] = entry.recommender_class()
    if trained:
        check_device(device)
    data = read_dataset(dataset)
    warm = (
        None
        if before is None
        else WarmStart(before.recommender, before.catalogue.index_of(data.catalogue.ids))
    )
    vectors = None
    if entry.uses_text:
        made = embed_catalogue(
            data.catalogue,
            encoder,
            ids=encoder_ids,
            template=template,
            device=device,
            progress=progress,
        )
        vectors = {encoder: made}
    parts = split_dataset(data, split) if trained or on == "train" else None

    def fitted(config: Config, train: SessionDataset, stop: HeldOut | None) -> Recommender:
        with tempfile.TemporaryDirectory() as folder:
            context = FitContext(Path(folder) / "checkpoint", progress, n_threads, device, warm)
            return cls(config).fit(
                train,
                embeddings=vectors,
                validation=stop,
                rng=np.random.default_rng(seed),
                context=context,
            )

    if trained and parts is not None:
        config = fitted(config, parts.fit, parts.stop).refit_config()
    whole = parts.train if on == "train" and parts is not None else data
    provenance = {
        "name": model,
        "dataset": str(dataset),
        "fingerprint": data.fingerprint(),
        "fitted_on": f"{on} sessions",
        "seed": seed,
        **({"encoder": encoder} if entry.uses_text else {}),
        **({} if start is None else {"started_from": str(start)}),
    }
    return SavedModel(fitted(config, whole, None), data.catalogue, provenance)


def _settings_of(saved: SavedModel, model: str) -> dict[str, Any]:
    """Take the settings of a saved model, but the registry's epochs: its own suited other data.

    Raises
    ------
    ConfigError
        If it cannot be started from.
    """
    entry = MODELS[model]
    usual = entry.make_config(what=f"model {model}").to_dict()
    found = saved.recommender.config
    if entry.family != "sequential" or type(found) is not entry.config_class():
        name = saved.provenance.get("name", "model of another kind")
        raise ConfigError(
            f"{model} cannot start from a saved {name}; only sequential models start from "
            "another, and only from one of their own kind"
        )
    return {**found.to_dict(), "n_epochs": usual["n_epochs"], "patience": usual["patience"]}
