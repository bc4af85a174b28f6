"""What fine-tuning on titles does to a language model: LoRA on all blocks and on the last ones.

    python benches/forgetting.py MODEL.gguf beauty-data --steps 300 --sessions 200

Prints, for the base model and after each fine-tuning, NDCG@20 on sampled validation prompts and the
mean loss of plain English text (the help pages that come with Python) in nats a token: what the
model forgets of it.
"""

from __future__ import annotations

import time
from pathlib import Path
from pydoc_data.topics import topics
from typing import TYPE_CHECKING

import click
import numpy as np
import torch

from llmseq.core import evaluate_lists
from llmseq.data.folder import read_dataset
from llmseq.data.sessions import HeldOut
from llmseq.data.split import split_dataset
from llmseq.models.prompt.config import PromptConfig
from llmseq.models.prompt.recommender import PromptRecommender

if TYPE_CHECKING:
    from llmseq.models.prompt.language_model import LanguageModel

CUT_OFF, LENGTH, N_TEXTS = 20, 256, 40


@torch.no_grad()
def text_loss(lm: LanguageModel) -> float:
    """Mean loss of plain text, nats a token."""
    losses = []
    for name in sorted(topics)[:N_TEXTS]:
        tokens = lm.tokenizer(topics[name])["input_ids"][:LENGTH]
        if len(tokens) < LENGTH:
            continue
        text = torch.tensor([tokens], device=lm.device)  # (1, LENGTH)
        logits = lm.model(text).logits[0, :-1].float()  # (LENGTH − 1, V)
        losses.append(torch.nn.functional.cross_entropy(logits, text[0, 1:]).item())
    return float(np.mean(losses))


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--steps", default=300, show_default=True, help="Updates of the weights.")
@click.option("--sessions", default=200, show_default=True, help="Validation prompts.")
@click.option("--last", default=6, show_default=True, help="Blocks, where not all are trained.")
def main(model: Path, dataset: Path, steps: int, sessions: int, last: int) -> None:
    """Fine-tune MODEL on DATASET in two ways and print what each gains and forgets."""
    split = split_dataset(read_dataset(dataset))
    drawn = np.random.default_rng(0).permutation(len(split.select))[:sessions]
    rows = np.sort(drawn)
    asked = HeldOut(split.select.prompts.take(rows), split.select.targets.take(rows))
    click.echo("| trained | updates | seconds | NDCG@20 | loss of plain text |")
    click.echo("|---|---|---|---|---|")
    for name, n_steps, n_layers in (
        ("nothing", 0, None),
        ("all blocks", steps, None),
        (f"the last {last}", steps, last),
    ):
        config = PromptConfig(
            base_model=str(model),
            lora={"n_layers": n_layers},
            training={"n_steps": n_steps, "learn_from": "every"},
        )
        recommender = PromptRecommender(config)
        started = time.perf_counter()
        recommender.fit(split.fit, rng=np.random.default_rng(0))
        seconds = time.perf_counter() - started
        lists = recommender.recommend(asked.prompts, CUT_OFF, candidates=split.select_candidates)
        value = evaluate_lists(lists.items, asked.targets, ks=(CUT_OFF,)).means[f"ndcg@{CUT_OFF}"]
        lm = recommender._ready()._lm
        click.echo(f"| {name} | {n_steps} | {seconds:.0f} | {value:.4f} | {text_loss(lm):.3f} |")


if __name__ == "__main__":
    main()
