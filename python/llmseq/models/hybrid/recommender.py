"""A model made of fitted models: their lists, combined as the settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from llmseq.errors import ArtifactError, ConfigError
from llmseq.models.catalog import MODELS
from llmseq.models.hybrid.config import HybridConfig
from llmseq.models.hybrid.facts import ItemFacts
from llmseq.models.persistence import load_members, read_manifest, read_model, write_model
from llmseq.models.protocol import FitContext, FitSummary, Recommender
from llmseq.models.request import check_request, fitted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import HeldOut, Sessions
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.recommendations import Recommendations
    from llmseq.types import BoolArray


class HybridRecommender:
    """Combines the lists of fitted models.

    Parameters
    ----------
    config : HybridConfig
        Of any kind of hybrid.
    members : mapping
        Fitted models, by the names that ``config.parts()`` has; of a fusion whose members are not
        named any, and all of them are fused.

    Raises
    ------
    ConfigError
        If there is no member, one is a hybrid, or the names are not those of the settings.
    """

    def __init__(self, config: HybridConfig, members: Mapping[str, Recommender]) -> None:
        self.config = config
        self.members = dict(members)
        parts = config.parts()
        if not self.members:
            raise ConfigError(f"{config.kind} needs at least one member")
        if parts is not None and set(parts) != set(self.members):
            raise ConfigError(
                f"{config.kind} is made of {', '.join(parts)}, got {', '.join(self.members)}"
            )
        for name, member in self.members.items():
            if isinstance(member, HybridRecommender):
                raise ConfigError(
                    f'{config.kind}: the member "{name}" is a hybrid itself; give the models that '
                    "it is made of"
                )
        self._facts: ItemFacts | None = None

    @property
    def summary(self) -> FitSummary:
        """Parameters of all members together."""
        return FitSummary(parameters=sum(m.summary.parameters for m in self.members.values()))

    def refit_config(self) -> HybridConfig:
        """Return the settings: nothing is chosen while fitting."""
        return self.config

    def fit(
        self,
        train: SessionDataset,
        *,
        embeddings: Mapping[str, ItemEmbeddings] | None = None,
        validation: HeldOut | None = None,  # noqa: ARG002 - nothing to stop
        rng: np.random.Generator,
        context: FitContext | None = None,  # noqa: ARG002 - done at once
    ) -> Self:
        """Count what combining needs; members come fitted, on a catalogue of this size.

        Raises
        ------
        NotFittedError
            If a member is not fitted.
        ShapeError
            If a member or the embeddings are of another catalogue.
        """
        nobody = train.sessions.take(np.empty(0, dtype=np.int64))
        every_item = np.ones(train.n_items, dtype=np.bool_)
        for member in self.members.values():
            member.recommend(nobody, 1, candidates=every_item)
        self._facts = self.config.facts(train, embeddings, rng=rng)
        return self

    def recommend(
        self,
        prompts: Sessions,
        k: int,
        *,
        exclude_seen: bool = True,
        candidates: BoolArray | None = None,
    ) -> Recommendations:
        """Rank as the Protocol says; no list is longer than the members' ``list_length`` allow."""
        facts = fitted(self._facts, self.config.kind)
        mask = check_request(prompts, k, candidates, n_items=facts.n_items)
        lists = {
            name: member.recommend(
                prompts, self.config.list_length, exclude_seen=exclude_seen, candidates=mask
            )
            for name, member in self.members.items()
        }
        return self.config.combine(lists, k, prompts=prompts, facts=facts)

    def save(self, path: Path) -> None:
        """Write the settings, what was counted, and each member into its own folder."""
        facts = fitted(self._facts, self.config.kind)
        arrays: dict[str, NDArray[Any]] = {
            "n_sessions": facts.n_sessions,
            "vectors": facts.vectors,
            "cosines": facts.cosines,
        }
        write_model(
            path, kind=self.config.kind, config=self.config, arrays=arrays, members=self.members
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote, members included."""
        kind = read_manifest(path)["kind"]
        if kind not in MODELS or not issubclass(MODELS[kind].config_class(), HybridConfig):
            raise ArtifactError(f'{path / "manifest.json"}: holds a "{kind}", which is no hybrid')
        values, arrays, _ = read_model(path, kind=kind)
        config = MODELS[kind].config_class().make(values, what=str(path / "config.json"))
        model = cls(config, load_members(path))  # type: ignore[arg-type]  # checked above
        model._facts = ItemFacts(arrays["n_sessions"], arrays["vectors"], arrays["cosines"])
        return model
