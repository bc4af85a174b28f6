"""A language model small enough for tests: two layers of random weights, made on the spot."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from llmseq.models.prompt.base_model import quiet

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<turn>{{ message['role'] }}\n"
    "{{ message['content'] }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<turn>assistant\n{% endif %}"
)


@cache
def tiny_language_model(
    *, chat: bool = True, window: int | None = None, width: int = 32, seed: int = 0
) -> Path:
    """Make a folder that transformers loads as a causal language model; kept until the end.

    Parameters
    ----------
    chat
        Whether its tokenizer has a chat template.
    window
        Makes it a Gemma 3 whose first layer sees so many tokens only; None: a Llama.
    width
        Of its hidden states.
    seed
        Of its weights.
    """
    folder = Path(tempfile.mkdtemp(prefix="llmseq-tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with quiet():
        _write_tokenizer(folder, chat=chat)
        _write_model(folder, window=window, width=width, seed=seed)
    return folder


def _write_tokenizer(folder: Path, *, chat: bool) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    words = ["Item", "Bought in order", "rose soap", "hand cream", "next, best first", "On offer"]
    texts = [f"- {word} {number}\n" for number in range(60) for word in words]
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=["<s>", "</s>", "<turn>", "<end>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    if chat:
        fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(str(folder))


def _write_model(folder: Path, *, window: int | None, width: int, seed: int) -> None:
    import torch
    from transformers import (
        Gemma3ForCausalLM,
        Gemma3TextConfig,
        LlamaConfig,
        LlamaForCausalLM,
    )

    shape = {
        "vocab_size": 440,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": width // 2,
        "max_position_embeddings": 2048,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
        "initializer_range": 0.3,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if window is None:
            model = LlamaForCausalLM(LlamaConfig(**shape))
        else:
            kinds = ["sliding_attention", "full_attention"]
            model = Gemma3ForCausalLM(
                Gemma3TextConfig(**shape, layer_types=kinds, sliding_window=window)
            )
        model.eval().save_pretrained(str(folder))
