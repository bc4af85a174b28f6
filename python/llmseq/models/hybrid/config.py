"""What every hybrid's settings can do: name members, choose what is left open, combine lists."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field

from llmseq.config import Config
from llmseq.errors import ConfigError, ShapeError
from llmseq.models.hybrid.facts import ItemFacts
from llmseq.models.protocol import MayNeedTimes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import HeldOut, Sessions
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.models.hybrid.member import Member
    from llmseq.recommendations import Recommendations
    from llmseq.types import OffsetArray


class HybridConfig(Config):
    """Settings of a model that is made of others' lists.

    A comparison needs no more than this to run any hybrid: which models it takes (``parts``), what
    it learns from held-out lists (``chooser``), and how it makes one list of theirs (``combine``).

    Parameters
    ----------
    list_length
        Places of each member's list that count.
    """

    kind: ClassVar[str]
    """Registry name under which it is saved."""
    fewest_members: ClassVar[int] = 2
    """Of which it is still a hybrid."""

    list_length: int = Field(default=100, ge=1)

    @abstractmethod
    def parts(self) -> Mapping[str, Member] | None:
        """Members by the name that ``combine`` knows them by; None: ``chooser`` chooses."""

    @abstractmethod
    def combine(
        self,
        lists: Mapping[str, Recommendations],
        k: int,
        *,
        prompts: Sessions,
        facts: ItemFacts,
    ) -> Recommendations:
        """Make one list of the members' for each prompt.

        Parameters
        ----------
        lists
            By member's name, for the same prompts; cut at ``list_length``.
        k
            Places of the combined lists.
        prompts
            Whom the lists are for.
        facts
            Of the items that the members were fitted on.
        """

    def chooser(
        self,
        lists: Mapping[str, Recommendations],  # noqa: ARG002 - nothing is left open
        held_out: HeldOut,  # noqa: ARG002
        *,
        metric: str,  # noqa: ARG002
    ) -> Callable[[OffsetArray], Self]:
        """Prepare to fill in what is left open, by lists whose targets are known.

        Parameters
        ----------
        lists
            Of every model that may be a member, for the prompts of ``held_out``.
        metric
            What to raise, such as "ndcg@20".

        Returns
        -------
        callable
            Given rows of ``held_out`` it looks at those alone, and returns settings that leave
            nothing open.
        """
        return lambda rows: self  # noqa: ARG005 - the same for all

    def without(self, member: str) -> Self | None:  # noqa: ARG002 - a role must be filled
        """Give the settings of the same hybrid without a member; None where it needs all."""
        return None

    def facts(
        self,
        train: SessionDataset,
        embeddings: Mapping[str, ItemEmbeddings] | None,  # noqa: ARG002 - only counts
        *,
        rng: np.random.Generator,  # noqa: ARG002 - nothing is drawn
    ) -> ItemFacts:
        """Count what ``combine`` needs to know of the items."""
        return ItemFacts.count(train)

    @property
    def needs_vectors(self) -> bool:
        """Whether ``facts`` takes text vectors."""
        return False

    @property
    def uses_text(self) -> bool | None:
        """Whether vectors or a member's text are used; None where members are not named."""
        parts = self.parts()
        if parts is None:
            return None
        inside = any(member.entry.uses_text for member in parts.values())
        return inside or self.needs_vectors

    @property
    def needs_times(self) -> tuple[str, ...]:
        """Settings of its members that ask for session times."""
        configs = [member.config() for member in (self.parts() or {}).values() if member.settings]
        return tuple(
            name
            for config in configs
            if isinstance(config, MayNeedTimes)
            for name in config.needs_times
        )

    def cut(self, lists: Mapping[str, Recommendations]) -> dict[str, Recommendations]:
        """Check the members' lists and cut them at ``list_length``.

        Raises
        ------
        ConfigError
            If there is no list, or not one for each member.
        ShapeError
            If the lists are not for equally many sessions.
        """
        if not lists:
            raise ConfigError(f"{self.kind} needs at least one member")
        parts = self.parts()
        if parts is not None and set(parts) != set(lists):
            raise ConfigError(
                f"{self.kind} is made of {', '.join(parts)}, but lists are given of "
                f"{', '.join(lists)}"
            )
        sizes = {name: len(made) for name, made in lists.items()}
        if len(set(sizes.values())) > 1:
            raise ShapeError(f"members' lists are for different numbers of sessions: {sizes}")
        return {name: made.top(self.list_length) for name, made in lists.items()}
