"""A fitted prompt model as arrays and plain values, and back."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from llmseq.errors import ArtifactError
from llmseq.models.persistence import load_members, read_manifest, read_model, write_model
from llmseq.models.prompt.config import PromptConfig
from llmseq.models.prompt.tasks import Clusters
from llmseq.models.prompt.titles import Titles
from llmseq.models.protocol import FitSummary
from llmseq.models.seq_sim import SeqSimRecommender

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from llmseq.models.prompt.language_model import LanguageModel

_ADAPTER = "adapter."
_MEMBER = "llmseqsim"


@dataclass(frozen=True, eq=False, slots=True)
class Parts:
    """What makes a fitted model besides its settings; see `PromptRecommender`.

    ``adapter`` is empty where nothing was trained; ``digest`` is the base model's.
    """

    titles: Titles
    seq_sim: SeqSimRecommender | None
    clusters: Clusters | None
    adapter: Mapping[str, NDArray[Any]]
    digest: str
    summary: FitSummary

    def with_fit(
        self, adapter: Mapping[str, NDArray[Any]], digest: str, summary: FitSummary
    ) -> Parts:
        """Add what was trained."""
        return replace(self, adapter=adapter, digest=digest, summary=summary)


def kind_of(config: PromptConfig) -> str:
    """Registry name whose class reads the folder again."""
    return f"llmseqprompt-{config.task}"


def write(path: Path, config: PromptConfig, parts: Parts) -> None:
    """Write a model's folder; texts are bytes in its arrays, for a catalogue may be large."""
    known = [text.encode() for text in parts.titles.texts if text is not None]
    arrays: dict[str, NDArray[Any]] = {
        "titled": parts.titles.titled,
        "title_bytes": np.frombuffer(b"".join(known), dtype=np.uint8),
        "title_lengths": np.array([len(text) for text in known], dtype=np.int64),
        "counts": parts.titles.counts,
        **{f"{_ADAPTER}{name}": array for name, array in parts.adapter.items()},
    }
    if parts.clusters is not None:
        arrays |= {"heads": parts.clusters.heads, "nearest": parts.clusters.nearest}
    members = {} if parts.seq_sim is None else {_MEMBER: parts.seq_sim}
    extra = {
        "summary": asdict(parts.summary),
        "base_model": config.base_model,
        "base_model_hash": parts.digest,
    }
    write_model(
        path, kind=kind_of(config), config=config, arrays=arrays, extra=extra, members=members
    )


def read(path: Path) -> tuple[PromptConfig, Parts]:
    """Read what `write` wrote.

    Raises
    ------
    ArtifactError
        If the folder is damaged.
    """
    kind = read_manifest(path)["kind"]
    values, arrays, extra = read_model(path, kind=kind)
    config = PromptConfig.make(values, what=str(path / "config.json"))
    if kind != kind_of(config):
        raise ArtifactError(f'{path}: manifest.json says "{kind}", config.json "{kind_of(config)}"')
    ends = np.cumsum(arrays["title_lengths"])
    whole = arrays["title_bytes"].tobytes()
    starts = np.concatenate([[0], ends[:-1]]) if ends.size else ends
    texts = iter(whole[a:b].decode() for a, b in zip(starts, ends, strict=True))
    titles = Titles(
        tuple(next(texts) if has else None for has in arrays["titled"]), arrays["counts"]
    )
    clusters = Clusters(arrays["heads"], arrays["nearest"]) if config.task == "classify" else None
    member = load_members(path).get(_MEMBER)
    summary = extra["summary"]
    done = FitSummary(
        parameters=summary["parameters"],
        epochs=summary["epochs"],
        history=tuple(summary["history"]),
        notes=tuple(summary["notes"]),
    )
    adapter = {
        name.removeprefix(_ADAPTER): np.array(array)
        for name, array in arrays.items()
        if name.startswith(_ADAPTER)
    }
    return config, Parts(
        titles,
        member if isinstance(member, SeqSimRecommender) else None,
        clusters,
        adapter,
        extra["base_model_hash"],
        done,
    )


def check_digest(lm: LanguageModel, digest: str) -> None:
    """Refuse a base model that is another than the one an adapter was trained on.

    Raises
    ------
    ArtifactError
        If the hash of its weights differs.
    """
    if digest and lm.digest != digest:
        raise ArtifactError(
            f"{lm.base.name}: not the base model that the adapter was trained on (its hash is "
            f"{lm.digest}, wanted is {digest}); put that model there"
        )
