"""Free decoding, as published: completions drawn by temperature and top-p."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from llmseq.models.prompt.tree import TokenTrees

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from llmseq.models.prompt.language_model import LanguageModel


def sample_completions(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    n_each: int,
    *,
    temperature: float,
    top_p: float,
    max_tokens: int,
    end: int,
    n_titles: int,
    seeds: Sequence[int],
) -> list[list[list[int]]]:
    """Draw completions.

    Parameters
    ----------
    n_each
        Completions of each prompt.
    end
        The token that ends a title.
    n_titles
        Titles after which a completion ends; also the model's own end of text ends it.
    seeds
        One a prompt: what is drawn for it does not depend on the others.

    Returns
    -------
    list
        For each prompt its completions, as tokens.
    """
    trees = TokenTrees(lm, prompts)
    draws = [np.random.default_rng([seed, 1]) for seed in seeds]
    texts: list[list[list[int]]] = [[[] for _ in range(n_each)] for _ in prompts]
    last = [[int(root)] * n_each for root in trees.roots]
    live = [(tree, place) for tree in range(len(prompts)) for place in range(n_each)]
    hidden = trees.root_hidden[torch.tensor([tree for tree, _ in live])]
    weights = lm.output_rows()
    stop = lm.tokenizer.eos_token_id
    for length in range(1, max_tokens + 1):
        uniform = np.array([draws[tree].random() for tree, _ in live])
        with torch.no_grad():
            drawn = _draw(lm.logits(hidden, weights) / temperature, top_p, uniform)
        more = []
        for (tree, place), token in zip(live, drawn, strict=True):
            texts[tree][place].append(token)
            if token != stop and texts[tree][place].count(end) < n_titles:
                more.append((tree, place))
        live = more
        if not live or length == max_tokens:
            break
        parents: list[list[int]] = [[] for _ in prompts]
        tokens: list[list[int]] = [[] for _ in prompts]
        first, where = trees.size, []
        for tree, place in live:
            parents[tree].append(last[tree][place])
            tokens[tree].append(texts[tree][place][-1])
            where.append(len(tokens[tree]) - 1)
            last[tree][place] = first + where[-1]
        _, grown = trees.grow(parents, tokens)
        hidden = grown[torch.tensor([tree for tree, _ in live]), torch.tensor(where)]
    return texts


def _draw(logits: Tensor, top_p: float, uniform: np.ndarray) -> list[int]:
    """Draw a token for each row from the likeliest ones that together have ``top_p``."""
    likelihoods = logits.softmax(dim=1)
    ranked, tokens = likelihoods.sort(dim=1, descending=True, stable=True)
    before = ranked.cumsum(dim=1) - ranked
    ranked = ranked.masked_fill(before >= top_p, 0.0)
    reached = ranked.double().cumsum(dim=1)
    wanted = torch.from_numpy(uniform).to(reached.device)[:, None] * reached[:, -1:]
    chosen = torch.searchsorted(reached, wanted, right=True).clamp(max=reached.shape[1] - 1)
    found: list[int] = tokens.gather(1, chosen)[:, 0].tolist()
    return found
