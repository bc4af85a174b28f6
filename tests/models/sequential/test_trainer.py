from __future__ import annotations

import numpy as np
import pytest
import torch

from llmseq.errors import ArtifactError, ConfigError
from llmseq.models.protocol import FitContext
from llmseq.models.sequential.batches import TrainingWindows
from llmseq.models.sequential.checkpoint import Checkpoint
from llmseq.models.sequential.item_table import ItemTable
from llmseq.models.sequential.objectives import FullSoftmax
from llmseq.models.sequential.sasrec import SASRec
from llmseq.models.sequential.trainer import SequentialModel, Trainer, torch_threads


class Killed(Exception):
    pass


class Setup:
    """One training with its own generator, ready to run."""

    def __init__(self, config, circle, *, scores=None, progress=None, checkpoint=None):
        generator = torch.Generator().manual_seed(7)
        table = ItemTable.random(12, config.embedding_dim, scale=1.0, generator=generator)
        network = SASRec(config.embedding_dim, config, generator)
        self.model = SequentialModel(table, network, FullSoftmax())
        self.trainer = Trainer(
            self.model,
            TrainingWindows(circle.sessions.events, config.max_length),
            config,
            generator=generator,
            score=self._score if scores else None,
            context=FitContext(progress=progress),
            checkpoint=checkpoint,
        )
        self._scores = scores
        self.weights_at = {}

    def _score(self):
        epoch = len(self.trainer.history) + 1
        self.weights_at[epoch] = self.weights()
        return self._scores[epoch - 1]

    def weights(self):
        return {name: value.clone() for name, value in self.model.state_dict().items()}


def require_same(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_the_loss_falls(tiny, circle):
    setup = Setup(tiny, circle)
    setup.trainer.run()
    losses = [record["loss"] for record in setup.trainer.history]
    assert losses[0] == pytest.approx(np.log(12), abs=0.5)  # knows nothing: one of 12
    assert losses[-1] < 0.7 * losses[0]


def test_without_validation_every_epoch_is_trained(tiny, circle):
    setup = Setup(tiny.replace(n_epochs=3, patience=1), circle)
    setup.trainer.run()
    assert [record["epoch"] for record in setup.trainer.history] == [1, 2, 3]
    assert setup.trainer.best_epoch == 3
    assert "ndcg@20" not in setup.trainer.history[0]


def test_stops_after_patience_and_keeps_the_best_weights(tiny, circle):
    setup = Setup(tiny.replace(patience=2), circle, scores=[0.1, 0.3, 0.3, 0.2, 0.9, 0.9])
    setup.trainer.run()
    assert [record["ndcg@20"] for record in setup.trainer.history] == [0.1, 0.3, 0.3, 0.2]
    assert setup.trainer.best_epoch == 2  # an equal score later is no gain
    require_same(setup.weights(), setup.weights_at[2])
    assert not setup.model.training


def test_patience_zero_never_stops(tiny, circle):
    setup = Setup(tiny.replace(patience=0), circle, scores=[0.5, 0.4, 0.3, 0.2, 0.1, 0.0])
    setup.trainer.run()
    assert len(setup.trainer.history) == 6
    assert setup.trainer.best_epoch == 1


@pytest.mark.parametrize(
    "scores", [None, [0.1, 0.5, 0.2, 0.3, 0.4, 0.1]], ids=["plain", "stopping"]
)
@pytest.mark.parametrize("kill_at", [0.1, 0.4, 0.7, 0.99])
def test_a_killed_training_ends_with_the_same_weights(tiny, circle, tmp_path, scores, kill_at):
    whole = Setup(tiny, circle, scores=scores)
    whole.trainer.run()

    def kill(share, _):
        if share >= kill_at:
            raise Killed

    checkpoint = Checkpoint(tmp_path / "training.safetensors", "key")
    with pytest.raises(Killed):
        Setup(tiny, circle, scores=scores, progress=kill, checkpoint=checkpoint).trainer.run()
    resumed = Setup(tiny, circle, scores=scores, checkpoint=checkpoint)
    resumed.trainer.run()
    require_same(resumed.weights(), whole.weights())
    assert resumed.trainer.best_epoch == whole.trainer.best_epoch
    without_time = [
        [{name: value for name, value in record.items() if name != "seconds"} for record in history]
        for history in (resumed.trainer.history, whole.trainer.history)
    ]
    assert without_time[0] == without_time[1]


def test_finished_epochs_are_not_trained_again(tiny, circle, tmp_path):
    checkpoint = Checkpoint(tmp_path / "training.safetensors", "key")
    first = Setup(tiny, circle, checkpoint=checkpoint)
    first.trainer.run()
    news = []
    again = Setup(tiny, circle, checkpoint=checkpoint, progress=lambda *args: news.append(args))
    again.trainer.run()
    assert news == []
    require_same(again.weights(), first.weights())


def test_a_checkpoint_of_another_training_is_refused(tiny, circle, tmp_path):
    path = tmp_path / "training.safetensors"
    Setup(tiny, circle, checkpoint=Checkpoint(path, "one")).trainer.run()
    with pytest.raises(ArtifactError, match=r"training\.safetensors: .*other data or settings"):
        Setup(tiny, circle, checkpoint=Checkpoint(path, "two")).trainer.run()


@pytest.mark.parametrize("keep", [0, 40, 2000])
def test_a_damaged_checkpoint_is_named(tiny, circle, tmp_path, keep):
    checkpoint = Checkpoint(tmp_path / "training.safetensors", "key")
    Setup(tiny.replace(n_epochs=1), circle, checkpoint=checkpoint).trainer.run()
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:keep])
    with pytest.raises(ArtifactError, match=r"training\.safetensors: damaged checkpoint .*delete"):
        checkpoint.read()


def test_divergence_names_the_setting(tiny, circle):
    setup = Setup(tiny.replace(learning_rate=1e30), circle)
    with pytest.raises(
        ConfigError, match=r"loss is (nan|inf).* lower learning_rate \(now 1e\+30\)"
    ):
        setup.trainer.run()


def test_progress_rises_to_the_end(tiny, circle):
    news = []
    Setup(tiny, circle, progress=lambda *args: news.append(args)).trainer.run()
    shares = [share for share, _ in news]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert news[-1][1].startswith("epoch 6 of at most 6, loss ")


def test_threads_are_put_back():
    before = torch.get_num_threads()
    inside = []

    def die():
        with torch_threads(before + 1):
            inside.append(torch.get_num_threads())
            raise Killed

    with pytest.raises(Killed):
        die()
    assert inside == [before + 1]
    assert torch.get_num_threads() == before
