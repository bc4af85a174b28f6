"""Constrained lists and re-ranking beside what transformers offers, on a real language model.

    python benches/prompt_decode.py MODEL.gguf DATASET [--sessions 8]

Both sides use the same weights, precision, threads and prompts. Beside constrained top-20 stands
`generate` with 10 beams for 20 tokens, a session at a time; beside re-ranking 20 candidates stands
scoring each candidate alone with the whole prompt before it.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np
import torch

from llmseq.core import thread_count
from llmseq.data.folder import read_dataset
from llmseq.data.split import split_dataset
from llmseq.models.prompt.config import PromptConfig
from llmseq.models.prompt.language_model import LanguageModel
from llmseq.models.prompt.layout import Layout
from llmseq.models.prompt.lists import ListMaker
from llmseq.models.prompt.score import score_tokens
from llmseq.models.prompt.titles import Titles

K, BEAMS, TOKENS = 20, 10, 20


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--sessions", default=8, show_default=True)
def main(model: Path, dataset: Path, sessions: int) -> None:
    """Time both sides and print how many times quicker ours is."""
    torch.set_num_threads(thread_count())
    parts = split_dataset(read_dataset(dataset))
    titles = Titles.of(parts.fit.catalogue.titles, parts.fit.item_counts())
    config = PromptConfig(base_model=str(model), max_history=10, max_title_tokens=24)
    lm = LanguageModel.load(config.base_model)
    layout = Layout.make(lm, config, titles, k=K)
    maker = ListMaker(lm, layout, titles, config)
    rows = np.random.default_rng(0).choice(len(parts.select), sessions, replace=False)
    histories = [
        parts.select.prompts[row][titles.titled[parts.select.prompts[row]]] for row in rows
    ]
    prompts = [layout.prompt(history.tolist()) for history in histories]
    allowed = []
    for history in histories:
        mask = parts.select_candidates & titles.titled
        mask[history] = False
        allowed.append(mask)
    print(
        f"{model.name}, {lm.model.dtype}, {torch.get_num_threads()} threads, "
        f"{sessions} sessions of {np.mean([len(p) for p in prompts]):.0f} tokens"
    )
    maker.make(histories[:1], allowed[:1])  # warm up
    constrained = _seconds(lambda: maker.make(histories, allowed)) / sessions
    generated = _seconds(lambda: [_generate(lm, prompt) for prompt in prompts]) / sessions
    _show("top-20, constrained", constrained, "generate, 10 beams × 20 tokens", generated)

    drawn = np.random.default_rng(1)
    items = [drawn.choice(np.flatnonzero(mask), K, replace=False) for mask in allowed]
    answers = [
        [[*layout.answers.tokens[item], layout.answers.end] for item in some] for some in items
    ]
    trie = _seconds(lambda: maker.rerank(histories, items)) / sessions
    shared = _seconds(lambda: score_tokens(lm, prompts, answers)) / sessions
    alone = (
        _seconds(
            lambda: [
                [_score_alone(lm, prompt, answer) for answer in some]
                for prompt, some in zip(prompts, answers, strict=True)
            ]
        )
        / sessions
    )
    _show("re-rank 20, among titles", trie, "each candidate alone", alone)
    _show("re-rank 20, among all tokens", shared, "each candidate alone", alone)
    _check(lm, prompts[0], answers[0])


def _seconds(work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _generate(lm: LanguageModel, prompt: list[int]) -> None:
    lm.model.generate(
        input_ids=torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        num_beams=BEAMS,
        num_return_sequences=BEAMS,
        max_new_tokens=TOKENS,
        do_sample=False,
    )


def _score_alone(lm: LanguageModel, prompt: list[int], answer: list[int]) -> float:
    with torch.no_grad():
        logits = lm.model(
            torch.tensor([[*prompt, *answer[:-1]]]), logits_to_keep=len(answer)
        ).logits
    logs = logits[0].float().log_softmax(dim=1)
    return float(logs[torch.arange(len(answer)), torch.tensor(answer)].sum())


def _check(lm: LanguageModel, prompt: list[int], answers: list[list[int]]) -> None:
    """Both ways must give the same likelihoods, to the precision."""
    shared = score_tokens(lm, [prompt], [answers])[0]
    alone = np.array([_score_alone(lm, prompt, answer) for answer in answers])
    print(f"largest difference of log-likelihoods {np.abs(shared - alone).max():.3f} nats")


def _show(ours: str, our_seconds: float, theirs: str, their_seconds: float) -> None:
    print(
        f"{ours:<30} {our_seconds:7.3f} s a session   {theirs:<30} {their_seconds:7.3f} s   "
        f"{their_seconds / our_seconds:5.1f} times"
    )


if __name__ == "__main__":
    main()
