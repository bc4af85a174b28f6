"""One fine-tuning from start to end: memory, questions, adapter, training, what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from llmseq.core import evaluate_lists
from llmseq.errors import ConfigError, InvalidDataError
from llmseq.models.prompt.adapter import adapter_weights, add_adapter
from llmseq.models.prompt.base_model import find_base_model
from llmseq.models.prompt.estimate import (
    Shape,
    free_bytes,
    require_memory,
    training_bytes,
    weight_bytes,
)
from llmseq.models.prompt.examples import ExampleMaker
from llmseq.models.prompt.finetune import FineTuner
from llmseq.models.prompt.language_model import LanguageModel
from llmseq.models.prompt.lists import ListMaker
from llmseq.models.prompt.saving import Parts
from llmseq.models.prompt.tasks import Questions
from llmseq.models.protocol import FitSummary
from llmseq.models.sequential.checkpoint import Checkpoint
from llmseq.models.sequential.objectives.full import find_precision
from llmseq.storage import fingerprint

if TYPE_CHECKING:
    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import HeldOut, Sessions
    from llmseq.models.prompt.config import PromptConfig
    from llmseq.models.prompt.layout import Layout
    from llmseq.models.prompt.titles import Titles
    from llmseq.models.protocol import FitContext
    from llmseq.recommendations import Recommendations

MakeLists = Callable[[Parts, ListMaker, "Sessions"], "Recommendations"]


def tune(
    config: PromptConfig,
    train: SessionDataset,
    parts: Parts,
    lists: MakeLists,
    *,
    validation: HeldOut | None,
    seed: int,
    context: FitContext,
    near: str,
) -> tuple[ListMaker, Parts]:
    """Load the base model, give it an adapter and train that.

    Parameters
    ----------
    parts
        Titles and what the task leans on.
    lists
        Makes lists of 20 for prompts with the model as it is.
    near
        Hash of the text vectors that the task leans on; empty if it needs none.

    Returns
    -------
    ListMaker, Parts
        The tuned model, and the parts with its adapter.
    """
    _require_room(config, context)
    lm = LanguageModel.load(config.base_model, precision=config.precision, device=context.device)
    maker = ListMaker.load(lm, parts.titles, config)
    layout = maker.layout
    config = _with_places(config, layout)
    questions, n_left_out = Questions(config, parts.titles, parts.seq_sim, parts.clusters).of(
        train.sessions, np.random.default_rng([seed, 1])
    )
    if not questions and n_left_out < len(train.sessions):
        raise InvalidDataError(
            "LLMSeqSim lists no session's last item, so that Rank has nothing to learn: raise "
            "n_choices, or set put_in = true"
        )
    if not questions:
        raise InvalidDataError(
            "no session has two items with a title; LLMSeqPrompt learns from titles"
        )
    if config.training.learn_from == "every" and not layout.lines_are_answers:
        raise ConfigError(
            'training.learn_from = "every" needs a plain template that ends with what stands '
            "before a title in a line, and answers that end like a line; use "
            'learn_from = "last" with this template'
        )
    add_adapter(lm, config.lora, seed=seed)
    needed = _require_memory(config, lm, maker)
    tuner = FineTuner(
        lm,
        maker.output,
        ExampleMaker(layout, config),
        questions,
        config.training,
        seed=seed,
        score=_score(config, parts, maker, lists, validation, seed) if validation else None,
        context=context,
        checkpoint=_checkpoint(config, context, train, validation, [seed, lm.digest, near]),
        memory=needed,
    )
    tuner.run()
    weights = adapter_weights(lm)
    notes = title_notes(parts.titles, layout.named.n_cut)
    if n_left_out:
        notes += (f"{n_left_out:,} sessions have nothing with a title to learn from",)
    summary = FitSummary(
        parameters=sum(weight.numel() for weight in weights.values()),
        epochs=tuner.best_step,
        history=tuple(tuner.history),
        notes=notes,
    )
    kept = {name: weight.detach().float().cpu().numpy().copy() for name, weight in weights.items()}
    return maker, parts.with_fit(kept, lm.digest, summary)


def title_notes(titles: Titles, n_cut: int) -> tuple[str, ...]:
    """Say which items are never listed, and how many titles were cut."""
    untitled = int((~titles.titled).sum())
    notes: list[str] = []
    if untitled:
        notes.append(f"{untitled:,} items have no title and are never listed")
    if n_cut:
        notes.append(f"{n_cut:,} titles are longer than max_title_tokens and were cut")
    return tuple(notes)


def _with_places(config: PromptConfig, layout: Layout) -> PromptConfig:
    """Say what ``learn_from = "auto"`` means here: whole sessions where that is possible."""
    if config.training.learn_from != "auto":
        return config
    whole = config.task in {"genitem", "rank"} and config.form == "plain"
    learn_from = "every" if whole and layout.lines_are_answers else "last"
    return config.replace(training={**config.training.model_dump(), "learn_from": learn_from})


def _require_room(config: PromptConfig, context: FitContext) -> None:
    """Refuse a base model whose weights alone are too many, before it is loaded."""
    base = find_base_model(config.base_model)
    dtype = find_precision(config.precision, torch.device(context.device))
    if torch.device(context.device).type == "cpu":
        require_memory(
            weight_bytes(base.n_parameters(), dtype.itemsize),
            f"loading {base.name}",
            free=free_bytes(),
            advice="take a smaller base model, or a machine with more memory",
        )


def _require_memory(config: PromptConfig, lm: LanguageModel, maker: ListMaker) -> int:
    """Refuse what the steps would need too much of; returns the need in bytes."""
    of_model = lm.model.config
    n_outputs = maker.output.tokens.size
    if config.training.loss == "vocabulary":
        n_outputs = int(lm.model.get_output_embeddings().weight.shape[0])
    width = int(of_model.hidden_size)
    shape = Shape(
        n_parameters=sum(weight.numel() for weight in lm.model.parameters()),
        n_trained=sum(weight.numel() for weight in adapter_weights(lm).values()),
        n_layers=int(of_model.num_hidden_layers),
        n_heads=int(of_model.num_attention_heads),
        width=width,
        inner=int(getattr(of_model, "intermediate_size", None) or 4 * width),
        n_outputs=n_outputs,
        bytes_each=lm.model.dtype.itemsize,
    )
    needed = training_bytes(shape, config)
    loaded = weight_bytes(shape.n_parameters, shape.bytes_each)
    if lm.device.type == "cpu":
        require_memory(
            needed - loaded,
            f"a step of {config.training.tokens_per_step} tokens",
            free=free_bytes(),
            advice="lower training.tokens_per_step (and raise training.accumulate), or train "
            "fewer blocks with lora.n_layers",
        )
    return needed


def _score(
    config: PromptConfig,
    parts: Parts,
    maker: ListMaker,
    lists: MakeLists,
    validation: HeldOut,
    seed: int,
) -> Callable[[], float]:
    """Make what gives NDCG@20 on a sample of the validation prompts, drawn once."""
    n = min(config.training.evaluation_sessions, len(validation))
    rows = np.sort(np.random.default_rng([seed, 2]).choice(len(validation), n, replace=False))
    prompts, targets = validation.prompts.take(rows), validation.targets.take(rows)

    def score() -> float:
        items = lists(parts, maker, prompts).items
        return evaluate_lists(items, targets, ks=(20,)).means["ndcg@20"]

    return score


def _checkpoint(
    config: PromptConfig,
    context: FitContext,
    train: SessionDataset,
    validation: HeldOut | None,
    given: list[object],
) -> Checkpoint | None:
    if context.checkpoint is None:
        return None
    followed: list[object] = [config.to_dict(), *given, train.catalogue.titles]
    followed += [train.sessions.items, train.sessions.offsets]
    if validation is not None:
        followed += [validation.prompts.items, validation.targets.items]
    return Checkpoint(context.checkpoint / "training.safetensors", fingerprint(*followed))
