"""Item texts to vectors, through the cache; or ready vectors joined to a catalogue by id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars.selectors as cs

from llmseq.data.text import render
from llmseq.embeddings.encoders import (
    AnyEncoder,
    ControlVectors,
    Encoder,
    Progress,
    VectorFile,
    get_encoder,
)
from llmseq.embeddings.matrix import ItemEmbeddings, non_finite_rows
from llmseq.embeddings.store import VectorStore, default_cache
from llmseq.errors import ConfigError, InvalidDataError, ShapeError
from llmseq.storage import fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from llmseq.data.catalogue import Catalogue
    from llmseq.embeddings.encoders.protocol import Share
    from llmseq.types import FloatMatrix, ItemArray

MAX_WITHOUT_TEXT = 0.1
MIN_JOINED = 0.9
SHARD_TEXTS = 512
"""Texts encoded between two writes to the cache: what a kill can cost."""


def embed_catalogue(
    catalogue: Catalogue,
    encoder: str | AnyEncoder = "minilm",
    *,
    template: str | None = None,
    ids: Path | None = None,
    cache: Path | None = None,
    batch_size: int = 64,
    device: str = "cpu",
    progress: Progress | None = None,
) -> ItemEmbeddings:
    """Give every item of a catalogue a vector.

    Equal texts are encoded once. Items without text, at most a tenth, get the mean of the others'
    vectors. Ready vectors (``file:``) are joined by id; at least nine tenths of the items need one.

    Parameters
    ----------
    catalogue : Catalogue
    encoder : str or Encoder
        A name for :func:`~llmseq.embeddings.encoders.get_encoder`, or an object of that form.
    template : str, optional
        For example ``"{title}. {brand}"``; None: the catalogue's own texts.
    ids : Path, optional
        The file of ids of a ``file:`` encoder.
    cache : Path, optional
        Folder of the cache; None: ``LLMSEQ_CACHE``, else the user's cache folder. A run that was
        killed and is started again encodes only what is missing.
    batch_size, device
        For encoders given by name: how they work, not what the vectors mean.
    progress : callable, optional
        Told the share done. The first call says which share the cache held; vectors of a file
        are not told of.

    Returns
    -------
    ItemEmbeddings
        ``origin`` has encoder, encoder_fingerprint, fingerprint (of encoder and texts: the name of
        the entry in the cache), items_fingerprint (of the catalogue's ids), dim, notes; for texts
        template, n_texts, n_without_text; for files joined (share of items), n_without_vector,
        n_unknown_ids.

    Raises
    ------
    ConfigError
        If the encoder, the template or a combination of options is wrong.
    InvalidDataError
        If too many items lack a text or a vector, or a vector holds NaN or infinity.
    ShapeError
        If vectors differ in width or number.
    MissingExtraError
        If the encoder needs packages that are not installed.
    OSError
        If the cache cannot be written.

    Examples
    --------
    >>> import polars as pl, tempfile
    >>> from pathlib import Path
    >>> from llmseq.data.catalogue import Catalogue
    >>> titles = ["red soap", "red balm", "blue balm"]
    >>> table = pl.DataFrame({"item_id": ["a", "b", "c"], "title": titles, "text": titles})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = embed_catalogue(Catalogue(table), "tfidf", cache=Path(folder))
    >>> made.vectors.shape, made.origin["n_texts"]
    ((3, 3), 3)
    """
    if isinstance(encoder, str):
        encoder = get_encoder(encoder, batch_size=batch_size, device=device, ids=ids)
    if isinstance(encoder, ControlVectors):
        made = embed_catalogue(
            catalogue, encoder.base, template=template, cache=cache, progress=progress
        )
        return _without_meaning(made, encoder)
    if isinstance(encoder, VectorFile):
        if template is not None:
            raise ConfigError(f'"{encoder.name}" holds ready vectors; leave out the text template')
        return _join(catalogue, encoder)
    texts, rows, items = _distinct_texts(catalogue, template)
    digits = encoder.fingerprint()
    key = fingerprint(digits, texts)
    store = VectorStore((default_cache() if cache is None else cache) / key)
    vectors = _encode(texts, encoder, store, progress)
    origin = {
        "encoder": encoder.name,
        "encoder_fingerprint": digits,
        "fingerprint": key,
        "dim": int(vectors.shape[1]),
        "template": template,
        "n_texts": len(texts),
        "n_without_text": catalogue.n_items - items.size,
        "notes": list(encoder.notes(int(vectors.shape[1]))),
    }
    return _spread(catalogue, items, vectors[rows], origin)


def _without_meaning(made: ItemEmbeddings, control: ControlVectors) -> ItemEmbeddings:
    """Put control vectors in the place of those of the items that have their own."""
    filled = np.zeros(made.n_items, dtype=np.bool_) if made.filled is None else made.filled
    vectors = made.vectors.copy()
    vectors[~filled] = control.make(made.vectors[~filled])
    origin = {
        **made.origin,
        "encoder": control.name,
        "encoder_fingerprint": control.fingerprint(),
        "fingerprint": fingerprint(control.fingerprint(), made.origin["fingerprint"]),
        "notes": [*made.origin["notes"], control.note()],
    }
    return ItemEmbeddings(vectors, origin, made.filled)


def _distinct_texts(
    catalogue: Catalogue, template: str | None
) -> tuple[list[str], ItemArray, ItemArray]:
    """Distinct texts, longest first; for each item that has one, its place and its index.

    Neighbours of like length waste little padding, and the order does not depend on the
    catalogue's, so that neither do the vectors.
    """
    texts = _texts(catalogue, template)
    items = np.array([item for item, text in enumerate(texts) if text], dtype=np.int32)
    without = len(texts) - items.size
    if without > MAX_WITHOUT_TEXT * len(texts) or items.size == 0:
        first = next(
            (name for name, text in zip(catalogue.ids, texts, strict=True) if not text), ""
        )
        raise InvalidDataError(
            f'{without:,} of {len(texts):,} items have no text (the first is "{first}"), at most '
            f"{MAX_WITHOUT_TEXT:.0%} may; fill them in, or make texts of other columns with a "
            'template such as "{title}. {brand}"'
        )
    known = [text for text in texts if text]
    distinct = sorted(set(known), key=lambda text: (-len(text), text))
    place = {text: row for row, text in enumerate(distinct)}
    rows = np.array([place[text] for text in known], dtype=np.int32)
    return distinct, rows, items


def _texts(catalogue: Catalogue, template: str | None) -> list[str | None]:
    """Texts by item index; None where an item has none."""
    if template is None:
        return [text if text and text.strip() else None for text in catalogue.texts]
    return render(catalogue.table.select(cs.string()), template).to_list()


def _encode(
    texts: list[str], encoder: Encoder, store: VectorStore, progress: Progress | None
) -> FloatMatrix:
    """Encode shard by shard what the cache does not hold, float32 (n_texts, dim)."""
    size = SHARD_TEXTS if encoder.independent else len(texts)
    shards = [texts[start : start + size] for start in range(0, len(texts), size)]
    found = [store.read(number, len(shard)) for number, shard in enumerate(shards)]
    told = _Told(progress, texts)
    told.add([shard for shard, vectors in zip(shards, found, strict=True) if vectors is not None])
    parts: list[FloatMatrix] = []
    for number, (shard, vectors) in enumerate(zip(shards, found, strict=True)):
        if vectors is None:
            vectors = _checked(encoder, shard, told.within(shard))
            store.write(number, vectors)
            told.add([shard])
        parts.append(vectors)
    if len({vectors.shape[1] for vectors in parts}) > 1:
        raise ShapeError(f"{encoder.name}: gave vectors of different width; delete {store.folder}")
    store.describe(
        {
            "schema": 1,
            "encoder": encoder.name,
            "encoder_fingerprint": encoder.fingerprint(),
            "n_texts": len(texts),
            "dim": int(parts[0].shape[1]),
            "n_shards": len(shards),
        }
    )
    return np.concatenate(parts)


class _Told:
    """Progress over shards; a text counts by its letters, for longer ones take longer."""

    def __init__(self, progress: Progress | None, texts: list[str]) -> None:
        self._progress = progress
        self._n_texts, self._letters = len(texts), sum(map(len, texts))
        self._texts_done = self._letters_done = 0.0

    def add(self, shards: list[list[str]]) -> None:
        """Count shards as done."""
        self._texts_done += sum(map(len, shards))
        self._letters_done += sum(len(text) for shard in shards for text in shard)
        self._say(0.0, 0.0)

    def within(self, shard: list[str]) -> Share:
        """Make what an encoder reports to while it encodes a shard."""
        letters = sum(map(len, shard))
        return lambda share: self._say(share * len(shard), share * letters)

    def _say(self, texts: float, letters: float) -> None:
        if self._progress is not None:
            done = round(self._texts_done + texts)
            self._progress(
                (self._letters_done + letters) / self._letters,
                f"{done:,} of {self._n_texts:,} texts",
            )


def _checked(encoder: Encoder, texts: list[str], progress: Share) -> FloatMatrix:
    vectors = np.ascontiguousarray(encoder.encode(texts, progress), dtype=np.float32)
    if vectors.ndim != 2 or len(vectors) != len(texts) or vectors.shape[1] == 0:
        raise ShapeError(
            f"{encoder.name}: gave {vectors.shape} for {len(texts)} texts, "
            f"expected ({len(texts)}, dim)"
        )
    bad = non_finite_rows(vectors)
    if bad.any():
        text = texts[int(np.argmax(bad))]
        raise InvalidDataError(f'{encoder.name}: gave NaN or infinity for the text "{text[:80]}"')
    return vectors


def _join(catalogue: Catalogue, source: VectorFile) -> ItemEmbeddings:
    names, vectors = source.read()
    items = catalogue.index_of(names)
    known = items >= 0
    joined = int(known.sum()) / max(catalogue.n_items, 1)
    if joined < MIN_JOINED:
        has_one = np.zeros(catalogue.n_items, dtype=np.bool_)
        has_one[items[known]] = True
        raise InvalidDataError(
            f"{source.path}: only {joined:.1%} of the {catalogue.n_items:,} items have a vector, "
            f"at least {MIN_JOINED:.0%} must; item "
            f'"{catalogue.ids[int(np.argmin(has_one))]}" has none, the file begins with '
            f'"{names[0]}"'
        )
    origin: dict[str, Any] = {
        "encoder": source.name,
        "encoder_fingerprint": source.fingerprint(),
        "fingerprint": fingerprint(source.fingerprint(), catalogue.ids),
        "dim": int(vectors.shape[1]),
        "joined": joined,
        "n_without_vector": catalogue.n_items - int(known.sum()),
        "n_unknown_ids": len(names) - int(known.sum()),
        "notes": [],
    }
    return _spread(catalogue, items[known], vectors[known], origin)


def _spread(
    catalogue: Catalogue, items: ItemArray, vectors: FloatMatrix, origin: dict[str, Any]
) -> ItemEmbeddings:
    """Vectors of some items (n_known, dim) to all items; the others get the mean."""
    origin["items_fingerprint"] = fingerprint(catalogue.ids)
    filled = np.ones(catalogue.n_items, dtype=np.bool_)
    filled[items] = False
    whole = np.empty((catalogue.n_items, vectors.shape[1]), dtype=np.float32)
    whole[items] = vectors
    whole[filled] = vectors.mean(axis=0, dtype=np.float64)
    return ItemEmbeddings(whole, origin, filled if filled.any() else None)
