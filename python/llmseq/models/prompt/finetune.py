"""Fine-tuning: steps within a budget, looks at validation, checkpoints that resume exactly."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from llmseq.errors import ConfigError
from llmseq.models.prompt.adapter import adapter_weights, set_adapter
from llmseq.models.prompt.loss import batch_loss

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from llmseq.models.prompt.config import TrainingSettings
    from llmseq.models.prompt.decode import OutputTokens
    from llmseq.models.prompt.examples import Example, ExampleMaker
    from llmseq.models.prompt.language_model import LanguageModel
    from llmseq.models.prompt.tasks import Question
    from llmseq.models.protocol import FitContext
    from llmseq.models.sequential.checkpoint import Checkpoint

SECONDS_BETWEEN_CHECKPOINTS = 120.0
_LAST_RATE = 0.1  # of the learning rate, at the end of the schedule
_BUCKET = 64  # batches whose examples are sorted by length together


class FineTuner:
    """Trains a model's adapter in place; `run` leaves the best weights in it.

    Parameters
    ----------
    lm : LanguageModel
        With an adapter.
    output : OutputTokens
    maker : ExampleMaker
    questions : sequence of Question
    settings : TrainingSettings
    seed : int
        Of the order of the examples and of dropout.
    score : callable, optional
        NDCG@20 of a validation sample; None: the last weights are kept.
    context : FitContext
        Progress.
    checkpoint : Checkpoint, optional
        Written every two minutes and at each look; where it exists, training goes on from it.
    memory : int
        Bytes that it is expected to need, for what is told before it starts.
    """

    def __init__(
        self,
        lm: LanguageModel,
        output: OutputTokens,
        maker: ExampleMaker,
        questions: Sequence[Question],
        settings: TrainingSettings,
        *,
        seed: int,
        score: Callable[[], float] | None,
        context: FitContext,
        checkpoint: Checkpoint | None,
        memory: int,
    ) -> None:
        self._memory = memory
        self._lm = lm
        self._output = output
        self._maker = maker
        self._questions = questions
        self._settings = settings
        self._seed = seed
        self._score = score if settings.evaluate_every else None
        self._context = context
        self._checkpoint = checkpoint
        self._weights = adapter_weights(lm)
        # Small changes would be lost in bfloat16: these are learnt, the model gets them rounded.
        self._exact = {n: w.detach().to(torch.float32, copy=True) for n, w in self._weights.items()}
        self._optimiser = torch.optim.AdamW(
            list(self._exact.values()),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self._lengths = np.array([maker.length(question) for question in questions])
        self._n_steps = self._steps_in_all()
        self._best: dict[str, Tensor] = {}
        self._losses: list[float] = []
        self._before = 0.0  # seconds of the processes before this one
        self._started = time.monotonic()
        self._saved = time.monotonic()
        self.step = 0
        self.best_step = 0
        self.history: list[dict[str, Any]] = []

    @property
    def seconds(self) -> float:
        """Spent so far, earlier processes included."""
        return self._before + time.monotonic() - self._started

    def run(self) -> None:
        """Train until the steps or the seconds are used up, or validation sees no more gain.

        Raises
        ------
        ConfigError
            If the loss is no longer a finite number.
        ArtifactError
            If the checkpoint is damaged or belongs to another training.
        """
        self._resume()
        self._foretell()
        batches = self._batches(self.step * self._settings.accumulate)
        while not self._finished():
            self._update([next(batches) for _ in range(self._settings.accumulate)])
            if self._settings.evaluate_every and self.step % self._settings.evaluate_every == 0:
                self._look()
                self._save()
            elif time.monotonic() - self._saved >= SECONDS_BETWEEN_CHECKPOINTS:
                self._save()
        if not self.history or self.history[-1]["step"] != self.step:
            self._look()
        if self._best:
            set_adapter(self._lm, self._best)
        self._lm.model.eval()

    def _steps_in_all(self) -> int | None:
        """Give the steps asked for; one pass over the data where nothing is asked for."""
        if self._settings.n_steps is not None or self._settings.budget_seconds is not None:
            return self._settings.n_steps
        return max(1, len(self._epoch(0)) // self._settings.accumulate)

    def _foretell(self) -> None:
        """Time a step without an update and tell how long it will all take, before it starts."""
        if self._finished():
            return
        batch = [self._example(place, 0) for place in self._epoch(0)[0]]
        self._lm.model.train()
        with torch.random.fork_rng(devices=[]):
            for part in (batch[:1], batch):  # the first pass makes buffers and code
                started = time.monotonic()
                batch_loss(self._lm, self._output, part).backward()  # type: ignore[no-untyped-call]
            each = (time.monotonic() - started) * self._settings.accumulate
        self._forget_gradients()
        budget = self._settings.budget_seconds
        times = [] if budget is None else [max(budget - self.seconds, 0.0)]
        if self._n_steps is not None:
            times.append((self._n_steps - self.step) * each)
        whole = min(times)
        self._context.report(
            self._share(),
            f"about {each:.2g} s an update: some {whole / each:,.0f} updates in {duration(whole)}, "
            f"{self._memory / 2**30:.1f} GiB of memory",
        )

    def _share(self) -> float:
        """How much of the training is done, 0 to 1."""
        if self._n_steps == 0:
            return 1.0
        if self.step == 0:  # at least one update, however small the budget
            return 0.0
        steps = 0.0 if self._n_steps is None else self.step / self._n_steps
        budget = self._settings.budget_seconds
        return min(max(steps, 0.0 if budget is None else self.seconds / budget), 1.0)

    def _finished(self) -> bool:
        patience = self._settings.patience
        looks = [record["step"] for record in self.history if "ndcg@20" in record]
        waited = sum(step > self.best_step for step in looks)
        stopped = self._score is not None and 0 < patience <= waited
        return stopped or self._share() >= 1.0

    def _epoch(self, epoch: int) -> list[list[int]]:
        """Batches of one pass: examples of like length, in an order of chance."""
        rng = np.random.default_rng([self._seed, epoch])
        order = rng.permutation(len(self._questions))
        limit = self._settings.tokens_per_step
        mean = max(float(self._lengths.mean()), 1.0)
        size = max(int(_BUCKET * limit / mean), 1)
        batches: list[list[int]] = []
        for start in range(0, order.size, size):
            bucket = order[start : start + size]
            bucket = bucket[np.argsort(self._lengths[bucket], kind="stable")]
            batch: list[int] = []
            for place in bucket.tolist():
                if batch and (len(batch) + 1) * self._lengths[place] > limit:
                    batches.append(batch)
                    batch = []
                batch.append(place)
            batches.append(batch)
        return [batches[place] for place in rng.permutation(len(batches))]

    def _batches(self, start: int) -> Iterator[list[Example]]:
        """Give batches without end, from the one with the number ``start``."""
        epoch = 0
        while True:
            batches = self._epoch(epoch)
            for number, batch in enumerate(batches):
                if number >= start:
                    yield [self._example(place, epoch) for place in batch]
            start = max(start - len(batches), 0)
            epoch += 1

    def _example(self, place: int, epoch: int) -> Example:
        """Make the example of a question, its choices in another order each epoch."""
        question = self._questions[place]
        if question.choices is not None:
            rng = np.random.default_rng([self._seed, epoch, place])
            question = replace(question, choices=rng.permutation(question.choices))
        return self._maker.make(question)

    def _update(self, batches: list[list[Example]]) -> None:
        """Learn from some batches with one change of the weights."""
        self._lm.model.train()
        share = self._share()
        for group in self._optimiser.param_groups:
            group["lr"] = self._settings.learning_rate * self._rate(share)
        self._forget_gradients()
        value = 0.0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed + 1_000_003 * self.step)  # of dropout
            for batch in batches:
                loss = batch_loss(self._lm, self._output, batch) / len(batches)
                loss.backward()  # type: ignore[no-untyped-call]
                value += float(loss.detach())
        if not math.isfinite(value):
            raise ConfigError(
                f"fine-tuning diverged: the loss is {value} at step {self.step + 1}; lower "
                f"training.learning_rate (now {self._settings.learning_rate:g})"
            )
        for name, exact in self._exact.items():
            gradient = self._weights[name].grad
            exact.grad = None if gradient is None else gradient.float()
        nn.utils.clip_grad_norm_(self._exact.values(), self._settings.clip_norm)
        self._optimiser.step()
        set_adapter(self._lm, self._exact)
        self.step += 1
        self._losses.append(value)
        self._context.report(*self._news(value))

    def _forget_gradients(self) -> None:
        for weight in self._weights.values():
            weight.grad = None

    def _rate(self, share: float) -> float:
        """Of the learning rate: rises during the warm-up, then falls in a line."""
        warm = self._settings.warm_up
        if share < warm:
            return (share + 0.1 * warm) / (1.1 * warm)
        return 1.0 - (1.0 - _LAST_RATE) * (share - warm) / (1.0 - warm)

    def _look(self) -> None:
        """Note loss and NDCG; keep the weights if they are the best so far."""
        record: dict[str, Any] = {
            "step": self.step,
            "loss": float(np.mean(self._losses)) if self._losses else None,
        }
        if self._score is not None:
            self._lm.model.eval()
            best = max((r["ndcg@20"] for r in self.history), default=-math.inf)
            record["ndcg@20"] = self._score()
            if record["ndcg@20"] > best:
                self.best_step = self.step
                self._best = {name: weight.clone() for name, weight in self._exact.items()}
        else:
            self.best_step = self.step
        record["at_seconds"] = round(self.seconds, 1)
        record["seconds"] = round(
            self.seconds - (self.history[-1]["at_seconds"] if self.history else 0.0), 1
        )
        self.history.append(record)
        self._losses = []

    def _news(self, loss: float) -> tuple[float, str]:
        share = self._share()
        text = f"step {self.step}{f' of {self._n_steps}' if self._n_steps else ''}, loss {loss:.2f}"
        scores = [record["ndcg@20"] for record in self.history if "ndcg@20" in record]
        if scores:
            text += f", best ndcg@20 {max(scores):.4f} (step {self.best_step})"
        if 0 < share < 1:
            left = self.seconds * (1 - share) / share
            text += f", {duration(left)} left"
        return share, text

    def _save(self) -> None:
        self._saved = time.monotonic()
        if self._checkpoint is None:
            return
        tensors = {f"weights.{name}": weight for name, weight in self._exact.items()}
        tensors |= {f"best.{name}": w for name, w in self._best.items()}
        for index, slots in self._optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": value for name, value in slots.items()}
        self._checkpoint.write(
            tensors,
            {
                "step": self.step,
                "best_step": self.best_step,
                "seconds": self.seconds,
                "losses": self._losses,
                "history": self.history,
            },
        )

    def _resume(self) -> None:
        saved = None if self._checkpoint is None else self._checkpoint.read()
        if saved is None:
            return
        tensors, state = saved
        for name, weight in _below("weights.", tensors).items():
            self._exact[name].copy_(weight)
        set_adapter(self._lm, self._exact)
        self._best = _below("best.", tensors)
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimiser.", tensors).items():
            index, slot = name.split(".")
            slots.setdefault(int(index), {})[slot] = value
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": slots, "param_groups": groups})
        self.step, self.best_step = state["step"], state["best_step"]
        self.history, self._losses = state["history"], state["losses"]
        self._before = state["seconds"]


def duration(seconds: float) -> str:
    """Say how long something takes.

    Examples
    --------
    >>> duration(12.3), duration(300)
    ('12 s', '5 min')
    """
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): value for n, value in tensors.items() if n.startswith(prefix)}
