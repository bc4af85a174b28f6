"""details.json: what a report shows besides the leaderboard."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from llmseq.errors import ArtifactError
from llmseq.storage import read_json

if TYPE_CHECKING:
    from pathlib import Path


class Part(BaseModel):
    """Base: frozen; fields that a later version adds are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class GroupRow(Part):
    """The primary metric of every model on one group of test sessions."""

    group: str
    n_sessions: int
    models: dict[str, float | None]


class Listed(Part):
    """One place of a sample list."""

    title: str
    hit: bool = False


class Sample(Part):
    """One test session with the lists of several models."""

    session_id: str = ""
    prompt: list[str]
    target: str
    lists: dict[str, list[Listed]]


class MemberPart(Part):
    """What one member has to do with a hybrid's hits; ``role`` where it has one."""

    name: str
    label: str
    role: str = ""
    uses_text: bool = False
    had: float
    only: float
    mean_rank: float | None = None
    adds: float | None = None
    interval: tuple[float, float] | None = None


class Attribution(Part):
    """Whose a hybrid's hits in its first ``k`` places are; ``nobody``: no member's own."""

    k: int
    value: float
    n_hits: int
    nobody: float
    members: list[MemberPart]


class ChoiceMade(Part):
    """The primary metric on validation of what was chosen there, and without that advantage."""

    in_sample: float
    cross_fitted: float
    n_folds: int


class Trial(Part):
    """One point of a grid."""

    settings: dict[str, Any]
    validation: float | None = None


class Stage(Part):
    """One stage of the run."""

    name: str
    seconds: float | None = None


class Details(Part):
    """The whole file; every part may be missing.

    Parameters
    ----------
    split, embeddings
        What the split reports about itself, and where each set of text vectors comes from.
    test_scorings
        How often the dataset's test part was scored, over all runs.
    breakdown
        For each way of grouping sessions, its groups in order.
    fusion_members, attribution, choices, history, grids
        By model name: members, what each adds, how far the choice flatters itself, one row an
        epoch, points tried.
    """

    title: str = ""
    dataset: dict[str, Any] = {}
    split: dict[str, Any] = {}
    embeddings: dict[str, Any] = {}
    warnings: list[str] = []
    test_scorings: int | None = None
    exclude_seen: bool | None = None
    breakdown: dict[str, list[GroupRow]] = {}
    samples: list[Sample] = []
    fusion_members: dict[str, list[str]] = {}
    attribution: dict[str, Attribution] = {}
    choices: dict[str, ChoiceMade] = {}
    history: dict[str, list[dict[str, float | None]]] = {}
    grids: dict[str, list[Trial]] = {}
    stages: list[Stage] = []


def read_details(run_folder: Path) -> Details:
    """Read details.json; a missing file has no parts. One setting comes from spec.toml beside it.

    Raises
    ------
    ArtifactError
        If the file is there and damaged.
    """
    path = run_folder / "details.json"
    if not path.exists():
        return Details()
    values = read_json(path)
    try:
        details = Details.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ArtifactError(
            f"{path}: damaged: {f'{where}: ' if where else ''}{first['msg']}"
        ) from error
    return details.model_copy(update={"exclude_seen": _exclude_seen(run_folder / "spec.toml")})


def _exclude_seen(spec: Path) -> bool | None:
    """Whether lists left out the items of their prompts; None where the run does not say."""
    try:
        seen = tomllib.loads(spec.read_text(encoding="utf-8")).get("seen")
    except (OSError, ValueError):  # the report says less, it does not fail
        return None
    return None if seen is None else seen == "exclude"
