"""One hierarchy of errors; every message says what is wrong, where, and what to do."""

from __future__ import annotations


class LlmseqError(Exception):
    """Base of every error that llmseq raises on purpose."""


class InvalidDataError(LlmseqError):
    """The content of a file or an array cannot be used."""


class ShapeError(LlmseqError):
    """Arrays do not fit together."""


class ConfigError(LlmseqError):
    """A setting, an option or a name is not one of those that exist."""


class NotFittedError(LlmseqError):
    """A model was asked for recommendations before it was fitted."""


class MissingExtraError(LlmseqError):
    """A feature needs packages that an extra installs.

    Parameters
    ----------
    feature
        What was asked for, as the user would say it.
    extra
        The extra that brings it, for example ``"train"``.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f'{feature} needs the extra "{extra}": pip install "llmseq[{extra}]"')
        self.feature = feature
        self.extra = extra


class GenerationError(LlmseqError):
    """A language model could not produce what was asked of it."""


class ArtifactError(LlmseqError):
    """A saved model, a run folder or a dataset folder is damaged, in use or of another version."""


class LlmseqWarning(UserWarning):
    """Something was put right on the way and the work goes on; the user should know."""
