"""How far a run is: stages with the share done and the time left. Prints nothing itself."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmseq.experiment.spec import CompareSpec

PRIORS = {
    "embed": 30.0,
    "fit baseline": 0.5,
    "fit neighbours": 1.0,
    "fit similarity": 1.0,
    "fit sequential": 120.0,
    "fit prompt": 1800.0,
    "lists": 1.5,
    "members": 3.0,
    "score": 5.0,
    "count": 0.1,
    "report": 4.0,
}
"""Seconds that a kind of stage is expected to take until one of its kind was measured."""

PRIOR_EVENTS = 200_000
"""The size of dataset that the priors are for."""


@dataclass(frozen=True, slots=True)
class Update:
    """How far a run is.

    Parameters
    ----------
    stage, text
        What is being done, and more about it.
    share
        Of the whole run, 0 to 1; never falls.
    seconds_left
        Estimate, rough until one stage of each kind was measured.
    finished, total
        Stages.
    """

    stage: str
    text: str
    share: float
    seconds_left: float
    finished: int
    total: int


class Observer(Protocol):
    """Whoever wants to know how far a run is."""

    def update(self, update: Update) -> None:
        """Hear of progress; called often."""

    def warn(self, text: str) -> None:
        """Hear of something that the user should know."""


class Silent:
    """Nobody wants to know."""

    def update(self, update: Update) -> None:
        """Do nothing."""

    def warn(self, text: str) -> None:
        """Do nothing."""


class Tracker:
    """Expected and measured times of the stages of one run.

    Parameters
    ----------
    observer
        Told of every change.
    kinds
        Kind of every stage to come, see `PRIORS`.
    n_events
        Of the dataset; the priors are for `PRIOR_EVENTS`.
    """

    def __init__(self, observer: Observer, kinds: Sequence[str], *, n_events: int) -> None:
        self._observer = observer
        self._left = list(kinds)
        self._scale = max(n_events / PRIOR_EVENTS, 0.01)
        self._measured: dict[str, list[float]] = {}
        self._done = 0.0
        self._share = 0.0
        self._finished = 0
        self._running = False
        self._stage, self._kind = "", ""
        self._started = time.monotonic()

    def start(self, stage: str, kind: str) -> None:
        """Begin a stage; one that was not foreseen is added."""
        self._stage, self._kind, self._running = stage, kind, True
        self._started = time.monotonic()
        if kind in self._left:
            self._left.remove(kind)
        self.within(0.0, "")

    def within(self, share: float, text: str) -> None:
        """Tell how far the present stage is."""
        spent = time.monotonic() - self._started
        expected = self._expected(self._kind)
        if (share > 0.05 and spent > 1.0) or (share > 0.0 and spent > expected):
            expected = spent / share
        self._tell(text, self._done + min(share, 1.0) * expected, self._done + expected)

    def finish(self, seconds: float | None = None, *, reused: bool = False) -> None:
        """End the present stage; ``seconds`` is what it took, now or when it was done."""
        if seconds is None:
            seconds = time.monotonic() - self._started
        self._measured.setdefault(self._kind, []).append(seconds)
        self._finished += 1
        self._running = False
        if not reused:
            self._done += seconds
        self._tell("", self._done, self._done)

    def expect(self, kinds: Sequence[str]) -> None:
        """Foresee these stages instead of those that were left."""
        self._left = list(kinds)

    def _tell(self, text: str, done: float, present_end: float) -> None:
        total = present_end + sum(self._expected(kind) for kind in self._left)
        share = min(done / total, 1.0) if total > 0 else 1.0
        self._share = max(self._share, share)  # an estimate that rises takes no work back
        self._observer.update(
            Update(
                stage=self._stage,
                text=text,
                share=self._share,
                seconds_left=max(total - done, 0.0),
                finished=self._finished,
                total=self._finished + len(self._left) + int(self._running),
            )
        )

    def _expected(self, kind: str) -> float:
        measured = self._measured.get(kind)
        return sum(measured) / len(measured) if measured else PRIORS[kind] * self._scale


def planned(spec: CompareSpec) -> list[str]:
    """Kinds of the stages that a run will have; which model wins is not known yet, so all may."""
    kinds = ["embed"] * len(spec.encoders)
    again: list[str] = []
    for model in spec.singles:
        fit, points = f"fit {model.entry.family}", len(list(model.points()))
        more = spec.n_seeds - 1
        if model.space is not None and spec.tuning is not None:
            kinds += [fit] * spec.tuning.foreseen * spec.tuning.n_folds
        kinds += [fit, "lists"] * (points + more)
        if spec.score == "test":
            kinds += ["lists"] * spec.n_seeds
        if spec.refit:
            kinds += [fit, "lists"] * spec.n_seeds
        again.append(fit)
    kinds += ["members"] * len(spec.hybrids) + ["score", "report"]
    for family in _variants(spec):
        kinds += [f"fit {family}", "lists"] * spec.n_seeds
        kinds += ["lists"] * spec.n_seeds if spec.score == "test" else []
    kinds += ["count"] if spec.score == "test" else []
    return kinds + (again if spec.refit_winner else [])


def _variants(spec: CompareSpec) -> Iterator[str]:
    """Families of the models that are fitted for a hybrid alone, each setting once."""
    known = set()
    for hybrid in spec.hybrids:
        for config in hybrid.hybrid_configs():
            for part in (config.parts() or {}).values():
                if part.settings and part.label not in known:
                    known.add(part.label)
                    yield part.entry.family
