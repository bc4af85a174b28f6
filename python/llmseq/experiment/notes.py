"""What a user should know about a run: said once, kept in the log and shown in the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmseq.experiment.presets import PRESETS, preset_model, preset_values, without_times

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmseq.data.dataset import SessionDataset
    from llmseq.data.split import Split
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.experiment.artifacts import RunFolder
    from llmseq.experiment.contender import Contender
    from llmseq.experiment.progress import Observer
    from llmseq.experiment.spec import CompareSpec

MAX_HIDDEN_TARGETS = 0.05


class Notes:
    """Collects texts, each once, and passes them on."""

    def __init__(self, run: RunFolder, observer: Observer) -> None:
        self._run = run
        self._observer = observer
        self.texts: list[str] = []

    def add(self, texts: Iterator[str], *, quiet: bool = False) -> None:
        """Add texts; quiet ones are for the report only."""
        for text in texts:
            if text not in self.texts:
                self.texts.append(text)
                self._run.write_log("note" if quiet else "warning", text=text)
                if not quiet:
                    self._observer.warn(text)


def about_split(spec: CompareSpec, split: Split) -> Iterator[str]:
    """Targets that exclusion hides, cut-offs beyond the candidates, a split that leaks."""
    hidden = float(split.report["seen_targets"])
    if spec.exclude_seen and hidden > MAX_HIDDEN_TARGETS:
        yield (
            f"{hidden:.1%} of the validation targets are already in their own prompt and can "
            "never be listed, because seen items are excluded; a shop that sells repeats wants "
            "--seen keep"
        )
    n_candidates = int(split.test_candidates.sum())
    beyond = [k for k in spec.ks if k > n_candidates]
    if beyond:
        yield (
            f"k = {', '.join(str(k) for k in beyond)} is above the {n_candidates:,} items that "
            "can be listed: lists are short"
        )
    if split.report["method"] == "leave-last-out":
        yield "the leave-last-out split lets models learn from events later than the targets"


def about_times(
    dataset: SessionDataset,
    preset: str,
    models: Sequence[str] | None = None,
    encoder: str | None = None,
) -> Iterator[str]:
    """Say what a preset lost on a log without session times."""
    if preset not in PRESETS:  # a file means what it says
        return
    if models is None:
        wanted = preset_values(preset, encoder=encoder)["models"]
    else:
        wanted = [preset_model(name, preset) for name in models]
    yield from without_times(wanted, dataset, named=models or ())[1]


def about_vectors(made: dict[str, ItemEmbeddings]) -> Iterator[str]:
    """Items without text or vector."""
    for embeddings in made.values():
        without = embeddings.origin.get("n_without_text") or embeddings.origin.get(
            "n_without_vector"
        )
        if without:
            yield f"{without:,} items have no text vector of their own and take the mean vector"


def about_substitutions(
    made: dict[str, ItemEmbeddings], contenders: Sequence[Contender]
) -> Iterator[str]:
    """Say what encoder and fits did otherwise than their settings say."""
    for name, embeddings in made.items():
        for text in embeddings.origin.get("notes", ()):
            yield f"{name}: {text}"
    for contender in contenders:
        for each in contender.fitted():
            for fitted in each.fits[:1]:
                for text in fitted.summary.get("notes", ()):
                    yield f"{each.name}: {text}"
