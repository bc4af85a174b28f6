"""LLMSeqSim & Sequential: who knows the prompt's last item well enough answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from llmseq.models.hybrid.config import HybridConfig
from llmseq.models.hybrid.member import Member
from llmseq.models.hybrid.places import with_places
from llmseq.recommendations import Recommendations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmseq.data.sessions import Sessions
    from llmseq.models.hybrid.facts import ItemFacts


class SwitchConfig(HybridConfig):
    """Settings of LLMSeqSim & Sequential.

    Parameters
    ----------
    sequential, similarity
        Who answers where the last item is popular, and who elsewhere.
    quantile
        Of the popularity of items (train sessions that hold them) from which on one is popular.
    """

    kind: ClassVar[str] = "sim-sequential"

    sequential: Member = Member(model="llm2sasrec")
    similarity: Member = Member(model="llmseqsim")
    quantile: float = Field(default=0.25, ge=0.0, le=1.0)

    def parts(self) -> Mapping[str, Member]:
        """Give both members."""
        return {"sequential": self.sequential, "similarity": self.similarity}

    def combine(
        self,
        lists: Mapping[str, Recommendations],
        k: int,
        *,
        prompts: Sessions,
        facts: ItemFacts,
    ) -> Recommendations:
        """Take each list whole from one member, scores included; an empty prompt's from text."""
        cut = {name: with_places(made, k) for name, made in self.cut(lists).items()}
        sequential, similarity = cut["sequential"], cut["similarity"]
        last = np.full(len(prompts), -1, dtype=np.int32)
        filled = prompts.lengths > 0
        last[filled] = prompts.items[prompts.offsets[1:][filled] - 1]
        popular = facts.popular(last, self.quantile)[:, np.newaxis]
        return Recommendations(
            np.where(popular, sequential.items, similarity.items),
            np.where(popular, sequential.scores, similarity.scores),
        )
