"""What one comparison is: written as spec.toml, enough to run it again."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from llmseq.config import Config
from llmseq.data.split import SplitConfig
from llmseq.errors import ConfigError
from llmseq.models.catalog import MODELS, ModelEntry
from llmseq.models.hybrid.config import HybridConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_ENCODER = "none"
MIN_LIST_LENGTH = 100
PRIMARY_METRICS = ("ndcg", "hr", "mrr", "recall", "precision", "map")


class ModelSpec(Config):
    """One model of a comparison.

    ``settings`` differ from the registry's; ``grid`` holds the values to try for each setting, the
    best point is chosen on the select part.
    """

    name: str
    settings: dict[str, Any] = Field(default_factory=dict)
    grid: dict[str, list[Any]] = Field(default_factory=dict)

    @property
    def entry(self) -> ModelEntry:
        """What the registry holds under the name."""
        return MODELS[self.name]

    def points(self) -> Iterator[dict[str, Any]]:
        """Give the settings of every point of the grid, the last setting varying fastest."""
        for values in itertools.product(*self.grid.values()):
            yield {**self.settings, **dict(zip(self.grid, values, strict=True))}

    def configs(self) -> list[Config]:
        """Validate the settings of every point.

        Raises
        ------
        ConfigError
            If the name or a setting is unknown or a value is out of range.
        """
        entry = self.entry
        return [entry.make_config(point, what=f"model {self.name}") for point in self.points()]

    @property
    def uses_text(self) -> bool:
        """Whether it may use text: a hybrid of named members where one does."""
        named = [config.uses_text for config in self.hybrid_configs()]
        return self.entry.uses_text if not named or None in named else any(named)

    def hybrid_configs(self) -> list[HybridConfig]:
        """Give the points of a hybrid; none of another model."""
        return [config for config in self.configs() if isinstance(config, HybridConfig)]


class CompareSpec(Config):
    """Everything that a comparison follows from.

    Parameters
    ----------
    dataset, fingerprint
        The dataset folder and the fingerprint of its content.
    models
        In the order in which they are fitted; hybrids are made of the others.
    ks
        Cut-offs of every metric.
    primary
        The metric that settings, members and the winner are chosen by.
    encoder, encoder_ids, template
        Where text vectors come from ("none" leaves text out), the file of ids that goes with
        vectors without them, and the texts if not the dataset's own.
    seed, n_seeds
        Fits use the seeds ``seed``, ``seed + 1``, …; choices are made with the first.
    score
        "validation" scores the select part and makes no list for the test part.
    seen
        "exclude" leaves the items of the prompt out of every list.
    refit
        Also score models fitted again on all of train with what was chosen.
    refit_winner
        Fit the winner again on all sessions and save it as ``models/winner``.
    baseline
        What all are tested against; empty: the best model without text on validation.
    """

    version: Literal[1] = 1
    dataset: str
    fingerprint: str
    models: tuple[ModelSpec, ...] = Field(min_length=1)
    ks: tuple[int, ...] = (10, 20)
    primary: str = "ndcg@20"
    encoder: str = "minilm"
    encoder_ids: str = ""
    template: str = ""
    seed: int = Field(default=0, ge=0)
    n_seeds: int = Field(default=1, ge=1)
    score: Literal["test", "validation"] = "test"
    seen: Literal["exclude", "keep"] = "exclude"
    refit: bool = False
    refit_winner: bool = True
    baseline: str = ""
    n_threads: int | None = Field(default=None, ge=1)
    device: str = "cpu"
    split: SplitConfig = SplitConfig()

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_cutoffs(self.ks)
        check_primary(self.primary, self.ks)
        names = [model.name for model in self.models]
        for model in self.models:
            if names.count(model.name) > 1:
                raise ConfigError(f'the model "{model.name}" is named twice')
            model.configs()
        if self.baseline and self.baseline not in names:
            raise ConfigError(
                f'the baseline "{self.baseline}" is not among the models: {", ".join(names)}'
            )
        if self.refit and self.score == "validation":
            raise ConfigError(
                "refit fits models on all of train, the validation part included, and scores them "
                'on test: it needs score "test"'
            )
        self._check_texts()
        self._check_hybrids()
        return self

    def _check_texts(self) -> None:
        from llmseq.embeddings.encoders import get_encoder

        if self.encoder != NO_ENCODER:
            get_encoder(self.encoder, ids=Path(self.encoder_ids) if self.encoder_ids else None)
            return
        texts = [model.name for model in self.models if model.uses_text]
        if texts:
            raise ConfigError(
                f"{', '.join(texts)} need text vectors, but the encoder is "
                f'"{NO_ENCODER}": name an encoder, or leave those models out with --models'
            )

    def _check_hybrids(self) -> None:
        for model in self.hybrids:
            choices = [member.name for member in self.members_of(model)]
            for config in model.hybrid_configs():
                parts = config.parts()
                taken = choices if parts is None else list(parts)
                if len(taken) < config.fewest_members:
                    kind = "models" if model.entry.uses_text else "models without text"
                    raise ConfigError(
                        f"{model.name} is made of at least two of the compared {kind}, got "
                        f"{', '.join(taken) or 'none'}: add models, or leave {model.name} out"
                    )
                for role, part in (parts or {}).items():
                    if not part.settings and part.model not in choices:
                        raise ConfigError(
                            f"{model.name} takes {part.model} as its {role}, which is not among "
                            f"the compared models that it may take ({', '.join(choices)}): compare "
                            f"{part.model} too, name another, or leave {model.name} out"
                        )

    @property
    def singles(self) -> tuple[ModelSpec, ...]:
        """The models that are fitted themselves."""
        return tuple(model for model in self.models if model.entry.family != "hybrid")

    @property
    def hybrids(self) -> tuple[ModelSpec, ...]:
        """The models that are made of others' lists."""
        return tuple(model for model in self.models if model.entry.family == "hybrid")

    def members_of(self, hybrid: ModelSpec) -> tuple[ModelSpec, ...]:
        """Models that a hybrid may choose from: all others, or those without text."""
        return tuple(
            model for model in self.singles if hybrid.entry.uses_text or not model.entry.uses_text
        )

    @property
    def uses_text(self) -> bool:
        """Whether any model needs text vectors."""
        inside = [config for model in self.hybrids for config in model.hybrid_configs()]
        return any(model.uses_text for model in self.singles) or any(
            config.uses_text for config in inside
        )

    @property
    def exclude_seen(self) -> bool:
        """Whether the items of a prompt are left out of its list."""
        return self.seen == "exclude"

    @property
    def list_length(self) -> int:
        """Places in the lists that are made: enough for every cut-off and for fusion."""
        inside = [config for model in self.hybrids for config in model.hybrid_configs()]
        return max(MIN_LIST_LENGTH, *self.ks, *(config.list_length for config in inside))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the fits."""
        return tuple(range(self.seed, self.seed + self.n_seeds))


def check_cutoffs(ks: tuple[int, ...]) -> None:
    """Refuse cut-offs below 1, repeated or missing."""
    if not ks or min(ks) < 1:
        raise ConfigError(f"k must be at least 1, got {', '.join(str(k) for k in ks) or 'nothing'}")
    if len(set(ks)) < len(ks):
        raise ConfigError(f"a cut-off k is named twice: {', '.join(str(k) for k in ks)}")


def check_primary(primary: str, ks: tuple[int, ...]) -> None:
    """Refuse a primary metric that is unknown or has another cut-off."""
    match = re.fullmatch(r"([a-z_]+)@(\d+)", primary)
    if match is None or match[1] not in PRIMARY_METRICS:
        raise ConfigError(
            f'unknown primary metric "{primary}"; choose from '
            f"{', '.join(f'{name}@{max(ks)}' for name in PRIMARY_METRICS)}"
        )
    if int(match[2]) not in ks:
        raise ConfigError(
            f"the primary metric {primary} has a cut-off that is not among k = "
            f"{', '.join(str(k) for k in ks)}"
        )
