"""One model on its own: fitted for serving, without a comparison."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from llmseq.data.folder import read_dataset
from llmseq.data.split import SplitConfig, split_dataset
from llmseq.embeddings.embed import embed_catalogue
from llmseq.errors import ConfigError
from llmseq.experiment.presets import completed
from llmseq.models.catalog import MODELS
from llmseq.models.persistence import SavedModel
from llmseq.models.protocol import FitContext

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
        That differ from the registry's.
    on
        "all" sessions, or "train": those that are not test, for lists that are scored elsewhere.
    encoder, encoder_ids, template
        Where text vectors come from, if the model takes them.

    Raises
    ------
    ConfigError
        If the name or a setting is wrong.

    Examples
    --------
    >>> model = fit_model("shop", "v-sknn", settings={"k": 100})  # doctest: +SKIP
    >>> model.save(Path("v-sknn"))  # doctest: +SKIP
    """
    entry = MODELS[model]
    if entry.family == "hybrid":
        raise ConfigError(
            f"{model} is made of other fitted models: run `llmseq compare`, which saves it under "
            f"models/{model} of its run folder"
        )
    config = entry.make_config(completed(model, settings or {}), what=f"model {model}")
    cls: Callable[[Config], Recommender] = entry.recommender_class()
    data = read_dataset(dataset)
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
    trained = entry.family == "sequential"
    parts = split_dataset(data, split) if trained or on == "train" else None

    def fitted(config: Config, train: SessionDataset, stop: HeldOut | None) -> Recommender:
        with tempfile.TemporaryDirectory() as folder:
            context = FitContext(Path(folder) / "checkpoint", progress, n_threads, device)
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
    }
    return SavedModel(fitted(config, whole, None), data.catalogue, provenance)
