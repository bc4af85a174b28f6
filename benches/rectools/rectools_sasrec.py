"""Train RecTools' SASRec with softmax on saved arrays; runs in the peer's environment."""

from __future__ import annotations

import logging
import platform
import time
import warnings
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytorch_lightning
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from rectools.columns import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel
from task import LIST_LENGTH, Answer, Arrays, Settings, peak_mib, settings, side_parser

if TYPE_CHECKING:
    from numpy.typing import NDArray


class EpochTimer(Callback):
    """Seconds of each epoch's steps."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._start = 0.0

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:  # noqa: ARG002
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:  # noqa: ARG002
        self.seconds.append(time.perf_counter() - self._start)


def make_trainer() -> Trainer:
    """Make RecTools' own trainer, with a clock and on the CPU."""
    return Trainer(
        accelerator="cpu",
        devices=1,
        callbacks=[EpochTimer()],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
    )


def make_dataset(items: NDArray[np.int32], lengths: NDArray[np.int64]) -> Dataset:
    """Put sessions in RecTools' form: a session is a user, its events a nanosecond apart."""
    ends = np.cumsum(lengths)
    places = np.arange(items.size) - np.repeat(ends - lengths, lengths)
    table = pd.DataFrame(
        {
            Columns.User: np.repeat(np.arange(lengths.size), lengths),
            Columns.Item: items,
            Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime(places),
        }
    )
    return Dataset.construct(table)


def make_model(given: Settings) -> SASRecModel:
    """Make the model with the settings that both sides share."""
    return SASRecModel(
        n_blocks=given.n_blocks,
        n_heads=given.n_heads,
        n_factors=given.dim,
        dropout_rate=given.dropout,
        session_max_len=given.max_length,
        train_min_user_interactions=2,
        loss="softmax",
        lr=given.learning_rate,
        batch_size=given.batch_size,
        recommend_torch_device="cpu",
        get_trainer_func=make_trainer,
    )


def check_sessions(model: SASRecModel, arrays: Arrays) -> None:
    """Refuse to go on if the peer's data preparation kept other sessions than it was given."""
    prepared = model.data_preparator.get_dataloader_train().dataset.sessions
    known = model.data_preparator.item_id_map
    seen = sorted(known.convert_to_external(session).tolist() for session in prepared)
    cuts = np.cumsum(arrays.session_lengths)[:-1]
    given = sorted(session.tolist() for session in np.split(arrays.session_items, cuts))
    if seen != given:
        raise SystemExit(f"RecTools trained on {len(seen)} sessions that are not the given ones")


def rank(model: SASRecModel, arrays: Arrays) -> list[list[int]]:
    """Make a list for each prompt: its own items left out, candidates only."""
    n_prompts = arrays.prompt_lengths.size
    table = model.recommend(
        users=np.arange(n_prompts),
        dataset=make_dataset(arrays.prompt_items, arrays.prompt_lengths),
        k=LIST_LENGTH,
        filter_viewed=True,
        items_to_recommend=np.flatnonzero(arrays.candidates),
        on_unsupported_targets="ignore",  # no item of the prompt is known: an empty list
    )
    lists = np.full((n_prompts, LIST_LENGTH), -1)
    lists[table[Columns.User], table[Columns.Rank] - 1] = table[Columns.Item]
    return lists.tolist()


def run(given: Settings, arrays: Arrays) -> Answer:
    """Train in one go, stopping for lists where they are asked for."""
    pytorch_lightning.seed_everything(given.seed, verbose=False)
    torch.set_num_threads(given.threads)
    model = make_model(given)
    dataset = make_dataset(arrays.session_items, arrays.session_lengths)
    lists, fit_seconds, peak = {}, 0.0, 0.0
    for done, epochs in zip((0, *given.epochs), given.epochs, strict=False):
        start = time.perf_counter()
        model.fit_partial(dataset, min_epochs=epochs - done, max_epochs=epochs - done)
        fit_seconds += time.perf_counter() - start
        peak = peak or peak_mib()  # before any list is made
        lists[epochs] = rank(model, arrays)
    check_sessions(model, arrays)
    (timer,) = (one for one in model.fit_trainer.callbacks if isinstance(one, EpochTimer))
    return Answer(
        epoch_seconds=timer.seconds,
        fit_seconds=fit_seconds,
        peak_mib=peak,
        lists=lists,
        versions={
            "rectools": version("rectools"),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        notes={"threads": str(torch.get_num_threads()), "precision": model.fit_trainer.precision},
    )


def main() -> None:
    options = side_parser(__doc__).parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning|rectools|pydantic")
    given = settings(options)
    run(given, Arrays.read(given.arrays)).write(given.answer)


if __name__ == "__main__":
    main()
