"""What one comparison is: written as spec.toml, enough to run it again."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from llmseq.config import Config
from llmseq.data.split import SplitConfig
from llmseq.errors import ConfigError
from llmseq.models.catalog import MODELS, ModelEntry, registry_name
from llmseq.models.hybrid.config import HybridConfig
from llmseq.tuning.budget import TuningConfig
from llmseq.tuning.points import Searched
from llmseq.tuning.space import Space

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmseq.embeddings.encoders import AnyEncoder

NO_ENCODER = "none"
MIN_LIST_LENGTH = 100
PRIMARY_METRICS = ("ndcg", "hr", "mrr", "recall", "precision", "map")


class ModelSpec(Config):
    """One model of a comparison.

    ``settings`` differ from the registry's; ``grid`` holds the values to try for each setting, the
    best point is chosen on the select part. ``space`` in its place is searched as `TuningConfig`
    says.

    Parameters
    ----------
    name
        A registry name. With vectors of its own the model is called ``name@vectors``, for example
        ``llmseqsim@tfidf``, so that one model may take part with several.
    encoder
        Where its text vectors come from; None: where the comparison's come from. Without it, what
        follows the ``@`` names the encoder: ``llmseqsim@hf:org/some-model`` is
        ``llmseqsim@some-model`` with the encoder ``hf:org/some-model``.
    variant
        What sets it apart where a model takes part several times: with the variant "d 64" it is
        called ``llm2sasrec@d-64``, and what follows the ``@`` names no encoder.
    share
        Of the sessions to learn from, a random share, drawn anew with every seed.
    prompts
        "shuffled" puts the items of every prompt but the last into random order.
    newest
        It is asked with only so many of the newest items of every prompt; None: all.
    against
        A model that it is tested against besides the baseline: LLM2SASRec against SASRec.
    at
        Where it stands on the comparison's ``axis``.
    published
        Figures that others published for it, by metric, to stand beside the run's own.
    substitutions
        What differs from the settings that those figures were made with.
    """

    name: str
    encoder: str | None = None
    variant: str | None = None
    share: float = Field(default=1.0, gt=0, le=1)
    prompts: Literal["ordered", "shuffled"] = "ordered"
    newest: int | None = Field(default=None, ge=1)
    against: str | None = None
    at: float | None = Field(default=None, allow_inf_nan=False)
    published: dict[str, float] = Field(default_factory=dict)
    substitutions: tuple[str, ...] = ()
    settings: dict[str, Any] = Field(default_factory=dict)
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    space: Space | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_the_vectors(cls, values: Any) -> Any:  # noqa: ANN401 - pydantic hands over anything
        if not isinstance(values, Mapping) or not isinstance(values.get("name"), str):
            return values
        name, at, vectors = values["name"].partition("@")
        if values.get("variant"):
            word = vectors_name(values["variant"])
            if at and vectors != word:
                raise ConfigError(
                    f'{values["name"]}: the variant "{values["variant"]}" names it {name}@{word}; '
                    "leave out what follows the @"
                )
            return {**values, "name": f"{name}@{word}"}
        encoder = values.get("encoder") or vectors
        if not encoder and not at:
            return values
        word = vectors_name(vectors or encoder)
        return {**values, "name": f"{name}@{word}", "encoder": encoder}

    @property
    def entry(self) -> ModelEntry:
        """What the registry holds under the name."""
        return MODELS[registry_name(self.name)]

    @property
    def label(self) -> str:
        """As a report shows it, with what sets it apart or the vectors that are its own."""
        apart = self.variant or self.name.partition("@")[2]
        return f"{self.entry.label} ({apart})" if apart else self.entry.label

    @property
    def searched(self) -> Searched | None:
        """The search of the space; None where there is none."""
        if self.space is None:
            return None
        return Searched(registry_name(self.name), self.space, self.settings)

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


def vectors_name(encoder: str) -> str:
    """Name an encoder's vectors in a word that fits into file names and settings.

    Raises
    ------
    ConfigError
        If nothing is left of it.

    Examples
    --------
    >>> vectors_name("tfidf"), vectors_name("hf:org/some-model-v1.5")
    ('tfidf', 'some-model-v1-5')
    >>> vectors_name("file:vectors/mine.parquet"), vectors_name("permuted:minilm")
    ('mine', 'permuted-minilm')
    """
    from llmseq.embeddings.encoders.control import CONTROLS

    kind, _, argument = encoder.partition(":")
    if kind in CONTROLS:
        return f"{kind}-{vectors_name(argument)}"
    last = argument.rstrip("/").rpartition("/")[2] or kind
    if kind == "file":
        last = last.partition(".")[0]
    word = re.sub(r"[^A-Za-z0-9_]+", "-", last).strip("-")
    if not word:
        raise ConfigError(
            f'"{encoder}" cannot follow the @ of a model: an encoder or a variant needs a letter'
        )
    return word


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
        Where text vectors come from ("none" leaves text out) for models that name no encoder of
        their own, the file of ids that goes with vectors without them, and the texts if not the
        dataset's own.
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
    tuning
        How the models' spaces are searched, each with this same budget; None: nothing is searched.
    axis
        What models with a place ``at`` differ in, for example "dimensions"; the report draws it.
    substitutions
        What differs, for all models, from how their published figures were made.
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
    tuning: TuningConfig | None = None
    axis: str = ""
    substitutions: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_cutoffs(self.ks)
        check_primary(self.primary, self.ks)
        names = [model.name for model in self.models]
        for model in self.models:
            if names.count(model.name) > 1:
                raise ConfigError(f'the model "{model.name}" is named twice')
            model.configs()
            self._check_space(model)
            self._check_variant(model, names)
        if self.baseline and self.baseline not in names:
            raise ConfigError(
                f'the baseline "{self.baseline}" is not among the models: {", ".join(names)}'
            )
        if self.refit and self.score == "validation":
            raise ConfigError(
                "refit fits models on all of train, the validation part included, and scores them "
                'on test: it needs score "test"'
            )
        self._check_encoders()
        self._check_hybrids()
        return self

    def _check_space(self, model: ModelSpec) -> None:
        if model.searched is None:
            return
        if model.entry.family == "hybrid" or model.grid or self.tuning is None:
            wrong = "a hybrid takes no space"
            if model.grid:
                wrong = "give either a grid or a space"
            elif self.tuning is None:
                wrong = "a space is searched only with a [tuning] table"
            raise ConfigError(f"model {model.name}: {wrong}")
        model.searched.check()

    def _check_variant(self, model: ModelSpec, names: list[str]) -> None:
        if model.against is not None and model.against not in set(names) - {model.name}:
            raise ConfigError(
                f'{model.name} is tested against "{model.against}", which is not among the other '
                f"models: {', '.join(names)}"
            )
        own = model.share < 1 or model.prompts == "shuffled" or model.newest is not None
        if own and model.entry.family == "hybrid":
            raise ConfigError(
                f"{model.name} is made of others' lists: give share, prompts and newest to its "
                "members"
            )
        if model.share < 1 and (self.refit or model.space is not None):
            raise ConfigError(
                f"{model.name} learns from a share of the sessions: leave out "
                f"{'refit' if self.refit else 'its space'}, which is for all of them"
            )

    def _check_encoders(self) -> None:
        for model in self.models:
            if model.encoder and (not model.entry.uses_text or model.entry.family == "hybrid"):
                raise ConfigError(
                    f"{model.name}: {registry_name(model.name)} takes no text vectors of its own; "
                    "leave out what follows the @"
                )
        texts = [m.name for m in self.singles if self.encoder_of(m) == NO_ENCODER]
        if self.encoder == NO_ENCODER and not set(self.encoders) - {NO_ENCODER}:
            texts += [m.name for m in self.hybrids if m.uses_text]
        if texts:
            raise ConfigError(
                f"{', '.join(texts)} need text vectors, but the encoder is "
                f'"{NO_ENCODER}": name an encoder, or leave those models out with --models'
            )
        every = dict.fromkeys((self.encoder, *self.encoders))
        every.pop(NO_ENCODER, None)
        for encoder in every:
            self.make_encoder(encoder)
        if self.encoder_ids and sum(name.startswith("file:") for name in every) != 1:
            raise ConfigError(
                f'the file of ids {self.encoder_ids} goes with just one encoder "file:", got '
                f"{', '.join(every) or NO_ENCODER}"
            )

    def make_encoder(self, encoder: str) -> AnyEncoder:
        """Make one of the encoders; loads nothing yet.

        Raises
        ------
        ConfigError
            If it is unknown.
        """
        from llmseq.embeddings.encoders import get_encoder

        has_ids = self.encoder_ids and encoder.startswith("file:")
        ids = Path(self.encoder_ids) if has_ids else None
        return get_encoder(encoder, device=self.device, ids=ids)

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

    def model(self, name: str) -> ModelSpec:
        """Give the model of that name; one that is not compared is as the registry has it."""
        named = (model for model in self.models if model.name == name)
        return next(named, None) or ModelSpec(name=name)

    def encoder_of(self, model: ModelSpec) -> str:
        """Where a model's text vectors come from; empty: it takes none, or its members do."""
        takes = model.entry.uses_text and model.entry.family != "hybrid"
        return (model.encoder or self.encoder) if takes else ""

    @property
    def encoders(self) -> tuple[str, ...]:
        """Every encoder whose vectors some model takes, the comparison's own first."""
        taken = [self.encoder_of(model) for model in self.singles]
        inside = [config for model in self.hybrids for config in model.hybrid_configs()]
        if any(config.uses_text for config in inside):
            taken.append(self.encoder)
        named = dict.fromkeys(filter(None, taken))
        return tuple(sorted(named, key=lambda encoder: encoder != self.encoder))

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
