"""The stage that gives a run its text vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file, save_file

from llmseq.embeddings.embed import embed_catalogue
from llmseq.embeddings.encoders import VectorFile
from llmseq.embeddings.matrix import ItemEmbeddings
from llmseq.errors import InvalidDataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from llmseq.data.dataset import SessionDataset
    from llmseq.experiment.progress import Tracker
    from llmseq.experiment.spec import CompareSpec
    from llmseq.experiment.stages import StageStore

_FILE = "vectors.safetensors"


def embed_texts(
    spec: CompareSpec, dataset: SessionDataset, store: StageStore, tracker: Tracker
) -> dict[str, ItemEmbeddings]:
    """Make or find the vectors of the spec's encoders, by their names; none if none is needed.

    They are kept with the run, so that it can be gone on with where an encoder is out of reach.

    Raises
    ------
    InvalidDataError
        If too many items lack a text or a vector.
    """
    return {name: _embed(name, spec, dataset, store, tracker) for name in spec.encoders}


def _embed(
    name: str, spec: CompareSpec, dataset: SessionDataset, store: StageStore, tracker: Tracker
) -> ItemEmbeddings:
    encoder = spec.make_encoder(name)
    ready = isinstance(encoder, VectorFile) and len(spec.encoders) > 1
    template = "" if ready else spec.template  # which is for the encoders beside it

    def work(folder: Path, _: Path) -> Mapping[str, Any]:
        try:
            made = embed_catalogue(
                dataset.catalogue,
                encoder,
                template=template or None,
                progress=tracker.within,
            )
        except InvalidDataError as error:
            raise InvalidDataError(
                f"{error}; or compare only models without text: --encoder none"
            ) from error
        arrays: dict[str, NDArray[Any]] = {"vectors": made.vectors}
        if made.filled is not None:
            arrays["filled"] = made.filled
        save_file(arrays, folder / _FILE)
        return {"origin": dict(made.origin)}

    stage = store.run(
        f"embed with {name}",
        kind="embed",
        inputs={
            "stage": "embed",
            "dataset": spec.fingerprint,
            "encoder": encoder.fingerprint(),
            "template": template,
        },
        work=work,
    )
    arrays = load_file(stage.folder / _FILE)
    filled = arrays["filled"].astype(np.bool_) if "filled" in arrays else None
    return ItemEmbeddings(arrays["vectors"], stage.values["origin"], filled)
