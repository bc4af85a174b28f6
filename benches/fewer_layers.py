"""Cut a sentence model to its first layers, to see how large a text model must be.

    python benches/fewer_layers.py 2 4 --out runs/layers
    llmseq compare beauty-data --spec configs/ablations/encoders.toml

writes ``runs/layers/minilm-2`` and ``minilm-4``: all-MiniLM-L6-v2 with two and four of its six
layers, its weights unchanged and not trained again.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click

from llmseq.embeddings.encoders.minilm import MiniLmEncoder
from llmseq.embeddings.encoders.protocol import EncoderOptions


def cut(source: Path, n_layers: int, out: Path) -> None:
    """Copy a model folder; only the first layers are loaded from the copy."""
    shutil.copytree(source, out, dirs_exist_ok=True)
    config = out / "config.json"
    values = json.loads(config.read_text(encoding="utf-8"))
    if not 0 < n_layers <= values["num_hidden_layers"]:
        raise click.UsageError(
            f"{source} has {values['num_hidden_layers']} layers, cannot keep {n_layers}"
        )
    config.write_text(json.dumps({**values, "num_hidden_layers": n_layers}), encoding="utf-8")


@click.command()
@click.argument("layers", type=int, nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(layers: tuple[int, ...], out: Path) -> None:
    """Write a copy of MiniLM for each number of LAYERS."""
    source = MiniLmEncoder(EncoderOptions()).find()
    for n_layers in layers:
        cut(source, n_layers, out / f"minilm-{n_layers}")
        click.echo(f"{out / f'minilm-{n_layers}'}")


if __name__ == "__main__":
    main()
