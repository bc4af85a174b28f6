"""The training loop: epochs, early stopping, checkpoints, and a word when it diverges."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from llmseq.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from llmseq.models.protocol import FitContext
    from llmseq.models.sequential.batches import PackedBatch
    from llmseq.models.sequential.checkpoint import Checkpoint
    from llmseq.models.sequential.config import SequentialConfig
    from llmseq.models.sequential.model import SequentialModel
    from llmseq.models.sequential.objectives import Objective
    from llmseq.models.sequential.windows import Windows


class Trainer:
    """Trains a model in place; `run` leaves the weights of its best epoch in it.

    Parameters
    ----------
    model : SequentialModel
        With its first weights.
    objective : Objective
        What is minimised.
    windows : Windows
        What it learns from.
    config : SequentialConfig
        Learning rate, weight decay, clipping, batch size, epochs, patience.
    generator : Generator
        The one source of chance: order of the sessions and, inside the model, dropout.
    score : callable, optional
        NDCG@20 of the model as it is, higher is better. None: train exactly ``n_epochs``.
    context : FitContext
        Progress and device.
    checkpoint : Checkpoint, optional
        Written after each epoch; where it exists already, training goes on from it and ends
        with the weights that it would have had without the interruption.
    """

    def __init__(
        self,
        model: SequentialModel,
        objective: Objective,
        windows: Windows,
        config: SequentialConfig,
        *,
        generator: torch.Generator,
        score: Callable[[], float] | None,
        context: FitContext,
        checkpoint: Checkpoint | None,
    ) -> None:
        self._model = model
        self._objective = objective
        self._windows = windows
        self._config = config
        self._generator = generator
        self._score = score
        self._context = context
        self._checkpoint = checkpoint
        self._optimiser = torch.optim.AdamW(
            model.parameters(),
            lr=config.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=config.weight_decay,
            fused=True,
        )
        self._best_weights: dict[str, Tensor] = {}
        self.best_epoch = 0
        self.history: list[dict[str, Any]] = []

    def run(self) -> None:
        """Train until the epochs are used up or ``patience`` of them brought no gain.

        Raises
        ------
        ConfigError
            If the loss is no longer a finite number.
        ArtifactError
            If the checkpoint is damaged or belongs to another training.
        """
        self._resume()
        while not self._finished():
            self._epoch(len(self.history) + 1)
            self._save()
        if self._best_weights:
            self._model.load_state_dict(self._best_weights)
        self._model.eval()

    def _finished(self) -> bool:
        done, patience = len(self.history), self._config.patience
        waited = done - self.best_epoch
        stopped = self._score is not None and patience > 0 and done > 0 and waited >= patience
        return stopped or done >= self._config.n_epochs

    def _epoch(self, epoch: int) -> None:
        start = time.perf_counter()
        record = {"epoch": epoch, "loss": self._train(epoch)}
        if self._score is not None:
            self._model.eval()
            record["ndcg@20"] = self._score()
        if self._score is None or record["ndcg@20"] > self._best_score():
            self.best_epoch = epoch
            if self._score is not None:
                weights = self._model.state_dict()
                self._best_weights = {name: value.clone() for name, value in weights.items()}
        self.history.append({**record, "seconds": round(time.perf_counter() - start, 3)})

    def _best_score(self) -> float:
        return max((record["ndcg@20"] for record in self.history), default=-math.inf)

    def _train(self, epoch: int) -> float:
        """One pass over the windows; returns the mean loss of a target."""
        self._model.train()
        size, device = self._config.batch_size, self._context.device
        n_batches = -(-len(self._windows) // size)
        total, n_targets = 0.0, 0
        batches = self._windows.batches(size, self._generator, device=device)
        for done, batch in enumerate(batches, start=1):
            value = self._step(batch)
            if not math.isfinite(value):
                raise self._diverged(f"the loss is {value} in epoch {epoch}, batch {done}")
            total += value * batch.wanted.numel()
            n_targets += batch.wanted.numel()
            self._context.report(*self._news(epoch, done / n_batches, value))
        if not all(torch.isfinite(value).all() for value in self._model.parameters()):
            raise self._diverged(f"a weight is not a finite number after epoch {epoch}")
        return total / n_targets

    def _step(self, batch: PackedBatch) -> float:
        """Learn from one batch; returns its mean loss before the step."""
        self._optimiser.zero_grad()
        loss = self._model.loss(batch, self._objective)
        loss.backward()  # type: ignore[no-untyped-call]
        if self._config.clip_norm is not None:
            nn.utils.clip_grad_norm_(self._model.parameters(), self._config.clip_norm)
        self._optimiser.step()
        self._model.table.constrain()
        return float(loss.detach())

    def _diverged(self, what: str) -> ConfigError:
        clipped = "" if self._config.clip_norm is not None else " or set clip_norm"
        return ConfigError(
            f"training diverged: {what}; lower learning_rate "
            f"(now {self._config.learning_rate:g}){clipped}"
        )

    def _news(self, epoch: int, share: float, loss: float) -> tuple[float, str]:
        """Share of the longest possible training that is done, and a text about it."""
        most = self._config.n_epochs
        text = f"epoch {epoch} of at most {most}, loss {loss:.2f}"
        if self._score is not None and self.history:
            text += f", best ndcg@20 {self._best_score():.4f} (epoch {self.best_epoch})"
        if self.history:
            each = sum(record["seconds"] for record in self.history) / len(self.history)
            text += f", at most {_duration(each * (most - epoch + 1 - share))} left"
        return (epoch - 1 + share) / most, text

    def _save(self) -> None:
        if self._checkpoint is None:
            return
        tensors = {f"model.{name}": value for name, value in self._model.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self._best_weights.items()}
        for index, slots in self._optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": value for name, value in slots.items()}
        tensors["generator"] = self._generator.get_state()
        self._checkpoint.write(tensors, {"best_epoch": self.best_epoch, "history": self.history})

    def _resume(self) -> None:
        saved = None if self._checkpoint is None else self._checkpoint.read()
        if saved is None:
            return
        tensors, state = saved
        self._model.load_state_dict(_below("model.", tensors))
        self._best_weights = _below("best.", tensors)
        self._generator.set_state(tensors["generator"])
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimiser.", tensors).items():
            index, slot = name.split(".")
            slots.setdefault(int(index), {})[slot] = value
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": slots, "param_groups": groups})
        self.best_epoch, self.history = state["best_epoch"], state["history"]


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): value for n, value in tensors.items() if n.startswith(prefix)}


@contextmanager
def torch_threads(n_threads: int) -> Iterator[None]:
    """Let torch use so many threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
