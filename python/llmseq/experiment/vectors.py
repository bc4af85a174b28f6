"""The stage that gives a run its text vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file, save_file

from llmseq.embeddings.embed import embed_catalogue
from llmseq.embeddings.encoders import get_encoder
from llmseq.embeddings.matrix import ItemEmbeddings
from llmseq.errors import InvalidDataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from llmseq.data.dataset import SessionDataset
    from llmseq.experiment.progress import Tracker
    from llmseq.experiment.spec import CompareSpec
    from llmseq.experiment.stages import StageStore

_FILE = "vectors.safetensors"


def embed_texts(
    spec: CompareSpec, dataset: SessionDataset, store: StageStore, tracker: Tracker
) -> dict[str, ItemEmbeddings]:
    """Make or find the vectors of the spec's encoder, by its name; none if no model takes text.

    They are kept with the run, so that it can be gone on with where the encoder is out of reach.

    Raises
    ------
    InvalidDataError
        If too many items lack a text or a vector.
    """
    if not spec.uses_text:
        return {}
    ids = Path(spec.encoder_ids) if spec.encoder_ids else None
    encoder = get_encoder(spec.encoder, device=spec.device, ids=ids)

    def work(folder: Path, _: Path) -> Mapping[str, Any]:
        try:
            made = embed_catalogue(
                dataset.catalogue,
                encoder,
                template=spec.template or None,
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
        f"embed with {spec.encoder}",
        kind="embed",
        inputs={
            "stage": "embed",
            "dataset": spec.fingerprint,
            "encoder": encoder.fingerprint(),
            "template": spec.template,
        },
        work=work,
    )
    arrays = load_file(stage.folder / _FILE)
    filled = arrays["filled"].astype(np.bool_) if "filled" in arrays else None
    return {spec.encoder: ItemEmbeddings(arrays["vectors"], stage.values["origin"], filled)}
