"""A loaded causal language model: hidden states under any mask, and logits of chosen tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from llmseq.errors import ConfigError
from llmseq.models.prompt.base_model import BaseModel, find_base_model, load_base_model
from llmseq.models.sequential.objectives.full import find_precision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from llmseq.models.sequential.objectives.full import Precision

_ATTENTION = {"full_attention", "sliding_attention"}
_CHECK_TOKENS = 4


@dataclass(frozen=True, eq=False, slots=True)
class LanguageModel:
    """What fine-tuning and decoding need of a model.

    Parameters
    ----------
    base : BaseModel
        Where it came from.
    model, tokenizer
        Of transformers.
    digest
        Hash of the base model's weights.
    """

    base: BaseModel
    model: Any
    tokenizer: Any
    digest: str

    @classmethod
    def load(
        cls, name: str, *, precision: Precision = "auto", device: str = "cpu"
    ) -> LanguageModel:
        """Load a base model.

        Raises
        ------
        ConfigError
            If it has layers whose state cannot be shared among the continuations of a prompt, or
            an output layer that does more than multiply.
        ArtifactError
            If it is not there or cannot be loaded.
        """
        base = find_base_model(name)
        dtype = find_precision(precision, torch.device(device))
        if precision == "auto" and torch.device(device).type == "cuda":
            dtype = torch.bfloat16
        model, tokenizer = load_base_model(base, dtype, device)
        made = cls(base, model, tokenizer, base.digest())
        made._check()
        return made

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        device: torch.device = self.model.device
        return device

    @property
    def body(self) -> Any:  # noqa: ANN401 - a module of transformers
        """The model below its output layer."""
        return self.model.base_model

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Texts to token ids, special tokens left out even where a text spells one."""
        if not texts:
            return []
        added = self.tokenizer.added_tokens_decoder.items()
        special = {*self.tokenizer.all_special_ids, *(i for i, token in added if token.special)}
        found = self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return [[token for token in row if token not in special] for row in found]

    def encode_form(self, text: str) -> list[int]:
        """Text of a template to token ids, special tokens understood."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def beginning(self) -> list[int]:
        """Tokens that the model wants at the start of a text."""
        bos = self.tokenizer.bos_token_id
        found: list[int] = self.tokenizer("a")["input_ids"]
        return [bos] if bos is not None and found[:1] == [bos] else []

    def hidden(
        self,
        tokens: Tensor,
        positions: Tensor,
        visible: Tensor,
        key_positions: Tensor,
        cache: Any = None,  # noqa: ANN401 - a cache of transformers
    ) -> Tensor:
        """Last hidden states.

        Parameters
        ----------
        tokens : int64 (B, Q)
        positions : int64 (B, Q)
            Of the tokens in their text.
        visible : bool (B, Q, K)
            What each token may look at: the keys of the cache, then the tokens themselves.
        key_positions : int64 (B, K)
        cache
            Of earlier tokens; the keys of these are added to it.

        Returns
        -------
        float (B, Q, D)
        """
        output = self.body(
            input_ids=tokens,
            attention_mask=self._masks(visible, positions, key_positions),
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        hidden: Tensor = output.last_hidden_state
        return hidden

    def _masks(self, visible: Tensor, positions: Tensor, key_positions: Tensor) -> Any:  # noqa: ANN401 - one mask or one a kind of layer
        """Make the attention mask of transformers: added to the scores, (B, 1, Q, K)."""
        config = self.model.config
        kinds = set(getattr(config, "layer_types", None) or ())
        window = getattr(config, "sliding_window", None)
        masks = {"full_attention": _added(visible, self.model.dtype)}
        if window is not None:
            near = positions[:, :, None] - key_positions[:, None, :] < window  # (B, Q, K)
            masks["sliding_attention"] = (
                masks["full_attention"]
                if bool((near | ~visible).all())
                else _added(visible & near, self.model.dtype)
            )
        if len(kinds) > 1:
            return {kind: masks[kind] for kind in kinds}
        only = next(iter(kinds), "full_attention" if window is None else "sliding_attention")
        return masks[only]

    def output_rows(
        self, tokens: NDArray[np.integer] | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Rows of the output layer (V, D) and its bias (V,), of the given tokens or of all."""
        layer = self.model.get_output_embeddings()
        bias = getattr(layer, "bias", None)
        if tokens is None:
            return layer.weight, bias
        rows = torch.as_tensor(tokens, dtype=torch.long, device=self.device)
        return layer.weight[rows], None if bias is None else bias[rows]

    def logits(self, hidden: Tensor, rows: tuple[Tensor, Tensor | None]) -> Tensor:
        """Scores of tokens whose output rows are given, float32 (..., V)."""
        weight, bias = rows
        scores = functional.linear(hidden.to(weight.dtype), weight, bias).float()
        cap = getattr(self.model.config, "final_logit_softcapping", None)
        return scores if cap is None else torch.tanh(scores / cap) * cap

    def _check(self) -> None:
        config = self.model.config
        odd = set(getattr(config, "layer_types", None) or ()) - _ATTENTION
        if odd:
            raise ConfigError(
                f"{self.base.name}: has layers of the kind {', '.join(sorted(odd))}; only models "
                "made of attention layers can share a prompt among its continuations"
            )
        if self.model.get_output_embeddings() is None:
            raise ConfigError(f"{self.base.name}: is no language model, it has no output layer")
        tokens = torch.arange(1, 1 + _CHECK_TOKENS, device=self.device)[None]  # (1, L)
        n_tokens = int(self.model.get_input_embeddings().weight.shape[0])
        tokens = tokens % n_tokens
        with torch.no_grad():
            whole = self.model(input_ids=tokens).logits.float()
            ours = self.logits(self.hidden(*causal(tokens, [_CHECK_TOKENS])), self.output_rows())
        span = float(whole.abs().max())
        if not torch.allclose(whole, ours, rtol=0.0, atol=0.02 * max(span, 1.0)):
            raise ConfigError(
                f"{self.base.name}: its scores are not the product of hidden states and output "
                "layer; models of this kind are not supported"
            )


def causal(tokens: Tensor, lengths: Sequence[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Give what `LanguageModel.hidden` takes for texts padded on the right: tokens (B, L)."""
    n_rows, width = tokens.shape
    places = torch.arange(width, device=tokens.device)
    ends = torch.as_tensor(list(lengths), device=tokens.device)
    visible = (places[None, :] <= places[:, None])[None] & (
        places[None, None] < ends[:, None, None]
    )
    positions = places[None].expand(n_rows, width)
    return tokens, positions, visible, positions


def padded(rows: Sequence[Sequence[int]], device: torch.device, *, multiple_of: int = 1) -> Tensor:
    """Put lists of tokens into int64 (B, L), zeros on the right; L is a multiple."""
    width = max((len(row) for row in rows), default=0)
    width = -(-width // multiple_of) * multiple_of
    whole = np.zeros((len(rows), width), dtype=np.int64)
    for place, row in enumerate(rows):
        whole[place, : len(row)] = row
    return torch.from_numpy(whole).to(device)


def _added(visible: Tensor, dtype: torch.dtype) -> Tensor:
    """Zero where visible, else so low that nothing is left of it: (B, 1, Q, K)."""
    mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return mask.masked_fill_(~visible, torch.finfo(dtype).min)[:, None]
