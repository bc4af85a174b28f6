"""A model inside another: one of the compared models, or a variant with settings of its own."""

from __future__ import annotations

from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from llmseq.config import Config
from llmseq.errors import ConfigError
from llmseq.models.catalog import MODELS, ModelEntry, registry_name


class Member(Config):
    """Which model a hybrid takes.

    A plain name stands for itself: ``"llmseqsim"`` is ``{"model": "llmseqsim"}``.

    Parameters
    ----------
    model
        Registry name, with ``@`` the compared model with vectors of its own; no hybrid.
    settings
        That differ from the registry's. Without any, it is the compared model of that name with
        the settings chosen for it.

    Raises
    ------
    ConfigError
        If the model is unknown or a hybrid, or a setting is wrong.

    Examples
    --------
    >>> Member.make({"model": "v-sknn", "settings": {"k": 20}}, what="member").label
    'V-SKNN (k 20)'
    >>> Member(model="v-sknn").to_plain()
    'v-sknn'
    """

    model: str
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        return {"model": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check(self) -> Member:
        if self.entry.family == "hybrid":
            raise ConfigError(
                f'a hybrid cannot be made of "{self.model}", which is a hybrid itself: name the '
                "models that it is made of"
            )
        self.config()
        return self

    @model_serializer(mode="wrap")
    def _to_name(self, handler: SerializerFunctionWrapHandler) -> Any:  # noqa: ANN401 - str or dict
        return handler(self) if self.settings else self.model

    def to_plain(self) -> str | dict[str, Any]:
        """Write as settings hold it: the name alone, or with settings."""
        plain: str | dict[str, Any] = self.model_dump(mode="json")
        return plain

    @property
    def entry(self) -> ModelEntry:
        """What the registry has of the model."""
        return MODELS[registry_name(self.model)]

    def config(self) -> Config:
        """Preset and settings, validated."""
        return self.entry.make_config(self.settings, what=f"member {self.model}")

    @property
    def label(self) -> str:
        """Name with its own settings, as a report shows it."""
        words = ", ".join(f"{_words(key)} {_plain(self.settings[key])}" for key in self.settings)
        label = self.entry.label
        return f"{label} ({words})" if words else label


def _words(key: str) -> str:
    return key.replace("_", " ")


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(_plain(each) for each in value.values())
    return f"{value:g}" if isinstance(value, float) else str(value)
