"""``llmseq embed``: item texts to vectors."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llmseq.cli import options
from llmseq.cli.console import duration, note, progress, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmseq.embeddings.matrix import ItemEmbeddings

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("dataset", type=_PATH)
@click.option(
    "--encoder",
    default="minilm",
    show_default=True,
    help='minilm, "hf:<model name or folder>", tfidf, "remote:<model name>", or "file:<vectors>" '
    "(.parquet with item_id and vector; .npy or .safetensors with ids).",
)
@options.item_template
@options.ids
@click.option("--out", type=_PATH, help="Also write them as .parquet, .npy or .safetensors.")
@click.option("--batch-size", default=64, show_default=True, help="Texts at once.")
@click.option("--device", default="cpu", show_default=True, help="Where a model runs, e.g. cuda.")
@click.option("--cache", type=_PATH, help="Folder of the cache; else LLMSEQ_CACHE, else yours.")
def command(
    dataset: Path,
    encoder: str,
    template: str | None,
    ids: Path | None,
    out: Path | None,
    batch_size: int,
    device: str,
    cache: Path | None,
) -> None:
    """Turn the item texts of DATASET into vectors.

    Vectors are kept in a cache by their content, so that `llmseq compare` finds them; a run that
    was stopped goes on where it was.
    """
    from llmseq.data.folder import read_dataset
    from llmseq.embeddings.embed import embed_catalogue
    from llmseq.embeddings.files import kind_of, write_vectors
    from llmseq.embeddings.store import default_cache

    if out is not None:
        kind_of(out)  # before the work, not after
    cache = default_cache() if cache is None else cache
    catalogue = read_dataset(dataset).catalogue
    started = time.monotonic()
    with progress(f"texts to vectors ({encoder})") as update:
        watched = _Watched(update)
        embeddings = embed_catalogue(
            catalogue,
            encoder,
            template=template,
            ids=ids,
            cache=cache,
            batch_size=batch_size,
            device=device,
            progress=watched,
        )
    seconds = time.monotonic() - started
    say(
        f"{embeddings.n_items:,} items, {embeddings.dim} dimensions, {encoder}, "
        f"{duration(seconds)}{watched.cached()}"
    )
    for line in _remarks(embeddings):
        say(line)
    if watched.first is not None:
        say(f"in the cache: {cache / embeddings.origin['fingerprint']}")
    if out is not None:
        written = write_vectors(out, catalogue.ids.tolist(), embeddings.vectors)
        say(f"written: {', '.join(str(path) for path in written)}")
    elif watched.first is None:
        note('nothing written; to change the kind of file, add for example "--out vectors.npy"')


class _Watched:
    """Passes progress on and remembers what share the cache held."""

    def __init__(self, update: Callable[[float, str], None]) -> None:
        self._update = update
        self.first: float | None = None

    def __call__(self, share: float, text: str) -> None:
        if self.first is None:
            self.first = share
        self._update(share, text)

    def cached(self) -> str:
        """Say how much was there already."""
        if not self.first:
            return ""
        return ", all from the cache" if self.first == 1.0 else f", {self.first:.0%} from the cache"


def _remarks(embeddings: ItemEmbeddings) -> list[str]:
    origin = embeddings.origin
    remarks = list(origin["notes"])
    if "joined" in origin:
        remarks.append(
            f"{origin['joined']:.1%} of the items joined by id; {origin['n_without_vector']:,} "
            f"without a vector got the mean; {origin['n_unknown_ids']:,} ids of the file are "
            "not in the catalogue"
        )
    else:
        remarks.append(f"{origin['n_texts']:,} different texts")
        if origin["n_without_text"]:
            remarks.append(f"{origin['n_without_text']:,} items without text got the mean vector")
    return remarks
