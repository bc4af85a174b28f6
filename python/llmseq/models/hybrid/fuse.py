"""Fusion: several models' lists made into one, by rank or by score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from llmseq.core import fuse_lists
from llmseq.errors import ConfigError
from llmseq.models.hybrid.ballot import Ballot
from llmseq.models.hybrid.choose import choose_members, fit_weights
from llmseq.models.hybrid.config import HybridConfig
from llmseq.models.hybrid.member import Member
from llmseq.recommendations import Recommendations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmseq.data.sessions import HeldOut, Sessions
    from llmseq.models.hybrid.facts import ItemFacts
    from llmseq.types import OffsetArray


class FusionConfig(HybridConfig):
    """Settings of a fusion.

    Parameters
    ----------
    method
        ``rrf``: the sum of weight / (c + rank); ``zscore``: the weighted sum of each list's
        scores less their mean, over their standard deviation.
    c
        How flat reciprocal ranks fall.
    n_members
        How many models are chosen; where there are fewer, all.
    weighting
        ``equal``, or ``fitted`` on the lists that members are chosen by.
    members
        Names of models; None: chosen.
    weights
        By member's name; a member without one weighs 1. None: as ``weighting`` says.
    """

    kind: ClassVar[str] = "fusion"

    method: Literal["rrf", "zscore"] = "rrf"
    c: float = Field(default=10.0, ge=0.0, allow_inf_nan=False)
    n_members: int = Field(default=3, ge=1)
    weighting: Literal["equal", "fitted"] = "equal"
    members: tuple[str, ...] | None = Field(default=None, min_length=1)
    weights: dict[str, Annotated[float, Field(ge=0.0, allow_inf_nan=False)]] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.members is not None:
            if len(set(self.members)) < len(self.members):
                raise ConfigError(f"fusion: a member is named twice: {', '.join(self.members)}")
            self.parts()
            self._check_weights(self.members)
        return self

    def _check_weights(self, members: tuple[str, ...]) -> None:
        unknown = [name for name in self.weights or {} if name not in members]
        if unknown:
            raise ConfigError(
                f'fusion: weights name "{unknown[0]}", but the members are {", ".join(members)}'
            )

    def parts(self) -> Mapping[str, Member] | None:
        """Give the members, each by its name, once they are chosen."""
        if self.members is None:
            return None
        return {name: Member(model=name) for name in self.members}

    def combine(
        self,
        lists: Mapping[str, Recommendations],
        k: int,
        *,
        prompts: Sessions,  # noqa: ARG002 - the lists say it all
        facts: ItemFacts,  # noqa: ARG002
    ) -> Recommendations:
        """Fuse the members' lists."""
        return self.fused(lists, k)

    def fused(self, lists: Mapping[str, Recommendations], k: int) -> Recommendations:
        """Fuse lists; equal scores: lower item index first.

        Lists are short where the members together name fewer items. No item comes from beyond
        ``list_length`` places of every member, so that the first places do not depend on ``k``.

        Raises
        ------
        ConfigError
            If no list is given, or a weight is for a name that is not among them.
        ShapeError
            If the lists are not for equally many sessions.
        """
        cut = self.cut(lists)
        self._check_weights(tuple(lists))
        given = self.weights or {}
        items, scores = fuse_lists(
            [(made.items, made.scores) for made in cut.values()],
            k,
            method=self.method,
            weights=[given.get(name, 1.0) for name in cut],
            c=self.c,
        )
        return Recommendations(items, scores)

    def chooser(
        self, lists: Mapping[str, Recommendations], held_out: HeldOut, *, metric: str
    ) -> Callable[[OffsetArray], Self]:
        """Prepare the choice of members, and of weights where they are to be fitted."""
        lists = self.cut(lists)
        if self.members is not None and (self.weighting == "equal" or self.weights is not None):
            return super().chooser(lists, held_out, metric=metric)
        ballot = Ballot(lists, held_out, method=self.method, c=self.c, metric=metric)
        return lambda rows: self._chosen(ballot, rows)

    def _chosen(self, ballot: Ballot, rows: OffsetArray) -> Self:
        members = tuple(range(len(ballot.names)))
        if self.members is None:
            members = choose_members(ballot, rows, self.n_members)
        names = [ballot.names[at] for at in members]
        weights = self.weights
        if weights is None and self.weighting == "fitted":
            given = fit_weights(ballot, rows, members)
            weights = {ballot.names[at]: float(given[at]) for at in members}
        return self.replace(members=names, weights=weights)

    def without(self, member: str) -> Self | None:
        """Leave out a member; the others keep their weights."""
        rest = tuple(name for name in self.members or () if name != member)
        if not rest:
            return None
        weights = {name: given for name, given in (self.weights or {}).items() if name in rest}
        return self.replace(members=rest, weights=weights or None)
