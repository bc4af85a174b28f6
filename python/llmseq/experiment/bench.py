"""What all stages of a run share, and the two that every single model goes through."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from safetensors.numpy import load_file, save_file

from llmseq.config import flat
from llmseq.core import evaluate_lists
from llmseq.models.catalog import registry_name
from llmseq.models.persistence import load_recommender
from llmseq.models.protocol import FitContext, Recommender
from llmseq.recommendations import Recommendations
from llmseq.storage import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llmseq.config import Config
    from llmseq.data.dataset import SessionDataset
    from llmseq.data.folds import Fold
    from llmseq.data.sessions import HeldOut, Sessions
    from llmseq.data.split import Split
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.experiment.progress import Tracker
    from llmseq.experiment.spec import CompareSpec
    from llmseq.experiment.stages import Stage, StageStore
    from llmseq.types import BoolArray

FitPart = Literal["fit", "train", "all"]
ListPart = Literal["select", "test"]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A finished fit; the model itself lies in the stage's folder."""

    name: str
    config: Config
    seed: int
    stage: Stage

    @property
    def refit_config(self) -> Config:
        """Settings for a fit on more data, the chosen number of epochs fixed."""
        values = self.stage.values["refit_config"]
        return type(self.config).make(values, what=f"model {self.name}")

    @property
    def summary(self) -> Mapping[str, Any]:
        """Parameters, epochs, history, notes."""
        found: Mapping[str, Any] = self.stage.values["summary"]
        return found

    def load(self) -> Recommender:
        """Read the model."""
        return load_recommender(self.stage.folder / "model")


@dataclass(frozen=True, eq=False, slots=True)
class Bench:
    """One run's data, settings and stages."""

    spec: CompareSpec
    dataset: SessionDataset
    split: Split
    store: StageStore
    tracker: Tracker
    embeddings: Mapping[str, ItemEmbeddings] = field(default_factory=dict)

    def held_out(self, part: ListPart) -> HeldOut:
        """Prompts and targets of a part."""
        return self.split.select if part == "select" else self.split.test

    def candidates(self, part: ListPart) -> BoolArray:
        """Items that lists for a part may hold."""
        return self.split.select_candidates if part == "select" else self.split.test_candidates

    @property
    def scored(self) -> ListPart:
        """The part that the leaderboard is of."""
        return "select" if self.spec.score == "validation" else "test"

    def fit(self, name: str, config: Config, *, seed: int, part: FitPart = "fit") -> Fitted:
        """Fit a model on a part; early stopping only where a stop part is left."""
        entry = self.spec.model(name).entry

        def work(folder: Path, checkpoint: Path) -> Mapping[str, Any]:
            stop = self.split.stop if part == "fit" else None
            train = self._share_of(name, self.train(part), seed)
            model, seconds = self._fitted(name, config, train, stop, seed, checkpoint)
            model.save(folder / "model")
            summary = asdict(model.summary)
            # A fit that went on from a checkpoint knows what it took before it was killed.
            trained = sum(epoch.get("seconds", 0.0) for epoch in summary["history"])
            return {
                "summary": summary,
                "refit_config": model.refit_config().to_dict(),
                "fit_s": max(seconds, trained),
            }

        words = {"fit": "", "train": " on all of train", "all": " on all sessions"}[part]
        stage = self.store.run(
            f"fit {self._point(name, config)}, seed {seed}{words}",
            kind=f"fit {entry.family}",
            inputs=self._fit_inputs("fit", name, config, seed, part),
            work=work,
        )
        return Fitted(name, config, seed, stage)

    def judge(self, name: str, config: Config, fold: Fold) -> float:
        """Fit a model on a fold with the first seed; returns the primary metric on its validation.

        Only that figure is kept.
        """
        k = int(self.spec.primary.split("@")[1])

        def work(folder: Path, checkpoint: Path) -> Mapping[str, Any]:  # noqa: ARG001
            model, _ = self._fitted(name, config, fold.fit, fold.stop, self.spec.seed, checkpoint)
            made = model.recommend(
                fold.validation.prompts,
                k,
                exclude_seen=self.spec.exclude_seen,
                candidates=fold.candidates,
            )
            means = evaluate_lists(made.items, fold.validation.targets, ks=(k,)).means
            return {"value": float(means[self.spec.primary])}

        stage = self.store.run(
            f"try {self._point(name, config)}, {fold.name}",
            kind=f"fit {self.spec.model(name).entry.family}",
            inputs={
                **self._fit_inputs("try", name, config, self.spec.seed, fold.name),
                "seen": self.spec.seen,
                "primary": self.spec.primary,
            },
            work=work,
        )
        return float(stage.values["value"])

    def _fitted(
        self,
        name: str,
        config: Config,
        train: SessionDataset,
        stop: HeldOut | None,
        seed: int,
        checkpoint: Path,
    ) -> tuple[Recommender, float]:
        """Fit a model; the seconds leave out what importing torch takes."""
        entry = self.spec.model(name).entry
        model = entry.recommender_class()(config)  # type: ignore[call-arg]
        if entry.family in {"sequential", "prompt"}:
            _warm_up_torch()
        context = FitContext(checkpoint, self.tracker.within, self.spec.n_threads, self.spec.device)
        started = time.perf_counter()
        model.fit(
            train,
            embeddings=self.vectors_of(name) or None,
            validation=stop,
            rng=np.random.default_rng(seed),
            context=context,
        )
        return model, time.perf_counter() - started

    def _fit_inputs(
        self, stage: str, name: str, config: Config, seed: int, part: str
    ) -> dict[str, Any]:
        share = self.spec.model(name).share
        return {
            "stage": stage,
            "model": registry_name(name),  # variants that differ in their prompts share a fit
            "config": config.to_dict(),
            "seed": seed,
            "part": part,
            "device": self.spec.device,
            **({} if share == 1 else {"share": share}),
            **self.data(self.vectors_of(name)),
        }

    def _share_of(self, name: str, train: SessionDataset, seed: int) -> SessionDataset:
        """Draw the share of the sessions that a model learns from, at least one, in their order."""
        share, n = self.spec.model(name).share, len(train.sessions)
        if share == 1:
            return train
        drawn = np.random.default_rng(seed).permutation(n)[: max(1, round(share * n))]
        return train.take(np.sort(drawn))

    def list_inputs(self, fitted: Fitted, part: ListPart) -> dict[str, Any]:
        """Name everything that lists follow from."""
        return {
            "stage": "lists",
            "fit": fitted.stage.key,
            "part": part,
            "seen": self.spec.seen,
            "length": self.spec.list_length,
            **self._asked(fitted),
        }

    def _asked(self, fitted: Fitted) -> dict[str, Any]:
        """Name what is done to the prompts before a model is asked; nothing for most models."""
        model = self.spec.model(fitted.name)
        shuffled = {"shuffled_by": self.spec.seed} if model.prompts == "shuffled" else {}
        return shuffled if model.newest is None else {**shuffled, "newest": model.newest}

    def _prompts(self, fitted: Fitted, part: ListPart) -> Sessions:
        """Prompts as a model is asked, for every seed alike."""
        asked, prompts = self._asked(fitted), self.held_out(part).prompts
        if "shuffled_by" in asked:
            prompts = prompts.shuffled(np.random.default_rng(asked["shuffled_by"]))
        return prompts.tail(asked["newest"]) if "newest" in asked else prompts

    def lists(self, fitted: Fitted, part: ListPart) -> Stage:
        """Make a model's lists for the prompts of a part."""

        def work(folder: Path, _: Path) -> Mapping[str, Any]:
            model = fitted.load()
            prompts = self._prompts(fitted, part)
            started = time.perf_counter()
            made = model.recommend(
                prompts,
                self.spec.list_length,
                exclude_seen=self.spec.exclude_seen,
                candidates=self.candidates(part),
            )
            seconds = time.perf_counter() - started
            save_file({"items": made.items, "scores": made.scores}, folder / _LISTS)
            return {"recommend_s": seconds}

        return self.store.run(
            f"{part} lists of {self._point(fitted.name, fitted.config)}",
            kind="lists",
            inputs=self.list_inputs(fitted, part),
            work=work,
        )

    def train(self, part: FitPart) -> SessionDataset:
        """Sessions that models of a part are fitted on."""
        if part == "all":
            return self.dataset
        return self.split.fit if part == "fit" else self.split.train

    def vectors_of(self, name: str) -> dict[str, ItemEmbeddings]:
        """Give the text vectors that a model takes, by their encoder; empty: none."""
        encoder = self.spec.encoder_of(self.spec.model(name))
        return {encoder: self.embeddings[encoder]} if encoder in self.embeddings else {}

    @property
    def own_vectors(self) -> dict[str, ItemEmbeddings]:
        """Text vectors of the comparison's own encoder, by its name; empty: none."""
        name = self.spec.encoder
        return {name: self.embeddings[name]} if name in self.embeddings else {}

    def data(self, embeddings: Mapping[str, ItemEmbeddings]) -> dict[str, Any]:
        """Name the data that a fit with these text vectors follows from."""
        vectors = {
            name: fingerprint(made.vectors, _or_empty(made.filled))
            for name, made in embeddings.items()
        }
        return {
            "dataset": self.spec.fingerprint,
            "split": self.spec.split.to_dict(),
            "vectors": vectors,
        }

    def _point(self, name: str, config: Config) -> str:
        """Name a model with the settings that differ from its preset."""
        usual = flat(self.spec.model(name).entry.make_config(what=name).to_dict())
        now = flat(config.to_dict())
        changed = [f"{key} {value}" for key, value in now.items() if usual.get(key) != value]
        words = ", ".join([*changed, *(f"no {key}" for key in usual if key not in now)])
        return f"{name} ({words})" if words else name


_LISTS = "lists.safetensors"


def _warm_up_torch() -> None:
    """Make a first optimiser: torch then imports its compiler, which is no model's cost."""
    import torch

    torch.optim.Adam([torch.zeros(1, requires_grad=True)])


def read_lists(stage: Stage) -> Recommendations:
    """Read lists that a stage keeps."""
    arrays = load_file(stage.folder / _LISTS)
    return Recommendations(arrays["items"], arrays["scores"])


def _or_empty(mask: BoolArray | None) -> BoolArray:
    return np.empty(0, dtype=np.bool_) if mask is None else mask
