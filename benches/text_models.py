"""Write text models of several sizes, to see how large one must be.

    python benches/text_models.py 2 4 --language-model model.gguf --out runs/text-models
    llmseq compare beauty-data --spec configs/ablations/encoders.toml

writes ``minilm-2`` and ``minilm-4``, all-MiniLM-L6-v2 with two and four of its six layers, its
weights unchanged and not trained again, and ``language-model``, a causal model whose token states
the encoder averages.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click
import torch

from llmseq.embeddings.encoders.minilm import MiniLmEncoder
from llmseq.embeddings.encoders.protocol import EncoderOptions
from llmseq.models.prompt.base_model import find_base_model, load_base_model


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


def unpack(source: Path, out: Path) -> None:
    """Write a causal language model, from a GGUF file say, as a folder that encoders read."""
    model, tokenizer = load_base_model(find_base_model(str(source)), torch.bfloat16, "cpu")
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


@click.command()
@click.argument("layers", type=int, nargs=-1, required=True)
@click.option("--language-model", type=click.Path(path_type=Path), help="To unpack as well.")
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(layers: tuple[int, ...], language_model: Path | None, out: Path) -> None:
    """Write a copy of MiniLM for each number of LAYERS, and a language model."""
    source = MiniLmEncoder(EncoderOptions()).find()
    for n_layers in layers:
        cut(source, n_layers, out / f"minilm-{n_layers}")
        click.echo(f"{out / f'minilm-{n_layers}'}")
    if language_model is not None:
        unpack(language_model, out / "language-model")
        click.echo(f"{out / 'language-model'}")


if __name__ == "__main__":
    main()
