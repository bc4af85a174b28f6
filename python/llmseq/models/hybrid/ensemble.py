"""EmbeddingEnsemble: the surest places of one model's list, then another's."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from llmseq.config import Config
from llmseq.models.hybrid.config import HybridConfig
from llmseq.models.hybrid.member import Member
from llmseq.models.hybrid.places import in_places

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmseq.data.sessions import Sessions
    from llmseq.models.hybrid.facts import ItemFacts
    from llmseq.recommendations import Recommendations


class Head(Config):
    """Which places the first list gives.

    Parameters
    ----------
    method
        ``rank``: its first ``places``; ``confidence``: those that score at least ``score``.
    """

    method: Literal["rank", "confidence"] = "rank"
    places: int = Field(default=1, ge=0)
    score: float = Field(default=0.8, allow_inf_nan=False)


class EnsembleConfig(HybridConfig):
    """Settings of an EmbeddingEnsemble.

    Parameters
    ----------
    first, second
        Two models, by default LLMSeqSim on whole text vectors and LLMSeqSim as compared.
    head
        The places that the first gives; the second's list follows, without repeats.
    """

    kind: ClassVar[str] = "embedding-ensemble"

    first: Member = Member(
        model="llmseqsim", settings={"reduction": {"method": "none"}, "popularity_weight": 0.0}
    )
    second: Member = Member(model="llmseqsim")
    head: Head = Head()

    def parts(self) -> Mapping[str, Member]:
        """Give both members."""
        return {"first": self.first, "second": self.second}

    def combine(
        self,
        lists: Mapping[str, Recommendations],
        k: int,
        *,
        prompts: Sessions,  # noqa: ARG002 - the lists say it all
        facts: ItemFacts,  # noqa: ARG002
    ) -> Recommendations:
        """List the head of the first, then the second; the score of place p is 1/p."""
        cut = self.cut(lists)
        first, second = cut["first"], cut["second"]
        if self.head.method == "rank":
            head = np.broadcast_to(np.arange(first.k) < self.head.places, first.items.shape)
        else:
            head = first.scores >= np.float32(self.head.score)
        items = np.hstack([np.where(head, first.items, -1), second.items])
        return in_places(items.astype(np.int32), k)
