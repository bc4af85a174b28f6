from __future__ import annotations

from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import torch

from llmseq.errors import ArtifactError, ConfigError
from llmseq.models.protocol import FitContext
from llmseq.models.sequential import trainer as trainer_module
from llmseq.models.sequential.checkpoint import Checkpoint
from llmseq.models.sequential.config import ObjectiveKind
from llmseq.models.sequential.model import CONFIGS, make_model
from llmseq.models.sequential.objectives import make_objective
from llmseq.models.sequential.trainer import Trainer, torch_threads


class Killed(Exception):
    pass


class Setup:
    """One training with its own generator, ready to run."""

    def __init__(self, config, circle, *, scores=None, progress=None, checkpoint=None):
        generator = torch.Generator().manual_seed(7)
        self.model = make_model(
            config, None, n_items=12, dim=config.embedding_dim, generator=generator
        )
        windows = self.model.network.windows(circle.sessions.events)
        counts = torch.from_numpy(windows.target_counts(12))
        self.trainer = Trainer(
            self.model,
            make_objective(config, counts, generator),
            windows,
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


def require_same_after_a_kill(config, circle, folder, *, kill_at, scores=None):
    whole = Setup(config, circle, scores=scores)
    whole.trainer.run()

    def kill(share, _):
        if share >= kill_at:
            raise Killed

    checkpoint = Checkpoint(folder / "training.safetensors", "key")
    with pytest.raises(Killed):
        Setup(config, circle, scores=scores, progress=kill, checkpoint=checkpoint).trainer.run()
    resumed = Setup(config, circle, scores=scores, checkpoint=checkpoint)
    resumed.trainer.run()
    require_same(resumed.weights(), whole.weights())
    assert resumed.trainer.best_epoch == whole.trainer.best_epoch
    without_time = [
        [{name: value for name, value in record.items() if name != "seconds"} for record in history]
        for history in (resumed.trainer.history, whole.trainer.history)
    ]
    assert without_time[0] == without_time[1]


@pytest.mark.parametrize(
    "scores", [None, [0.1, 0.5, 0.2, 0.3, 0.4, 0.1]], ids=["plain", "stopping"]
)
@pytest.mark.parametrize("kill_at", [0.1, 0.4, 0.7, 0.99])
def test_a_killed_training_ends_with_the_same_weights(tiny, circle, tmp_path, scores, kill_at):
    require_same_after_a_kill(tiny, circle, tmp_path, kill_at=kill_at, scores=scores)


@pytest.mark.parametrize("objective", get_args(ObjectiveKind))
@pytest.mark.parametrize("network", CONFIGS)
def test_every_network_and_objective_goes_on_after_a_kill(
    small, circle, tmp_path, network, objective
):
    config = small(network, objective=objective, head="projection", n_epochs=3)
    require_same_after_a_kill(config, circle, tmp_path, kill_at=0.5)


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


def one_step(config, circle):
    """A training of one step over all sessions; its weights before and after, and its gradient."""
    setup = Setup(config.replace(batch_size=64, n_epochs=1, dropout=0.0), circle)
    before = setup.weights()
    setup.trainer.run()
    gradients = [parameter.grad.flatten() for parameter in setup.model.parameters()]
    return before, setup.weights(), torch.cat(gradients)


def test_clip_norm_limits_the_gradient_of_a_step(tiny, circle):
    *_, free = one_step(tiny, circle)
    *_, short = one_step(tiny.replace(clip_norm=0.01), circle)
    *_, roomy = one_step(tiny.replace(clip_norm=1e3), circle)
    assert free.norm() > 0.1
    assert short.norm().item() == pytest.approx(0.01, rel=1e-3)
    torch.testing.assert_close(short / short.norm(), free / free.norm())  # shorter, not turned
    assert torch.equal(roomy, free)


def test_weight_decay_shrinks_every_weight_beside_the_step(tiny, circle):
    before, plain, _ = one_step(tiny, circle)
    same, decayed, _ = one_step(tiny.replace(weight_decay=0.5), circle)
    require_same(before, same)
    for name, value in before.items():
        shrunk = plain[name] - tiny.learning_rate * 0.5 * value
        torch.testing.assert_close(decayed[name], shrunk, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("clip_norm", "advice"),
    [(None, r"\(now 0\.02\) or set clip_norm$"), (1.0, r"\(now 0\.02\)$")],
)
@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_names_the_settings(
    tiny, circle, monkeypatch, loss, clip_norm, advice
):
    setup = Setup(tiny.replace(clip_norm=clip_norm), circle)
    plain, steps = setup.model.loss, []

    def lost(batch, objective):
        steps.append(batch)
        return plain(batch, objective) * (loss if len(steps) == 6 else 1.0)

    monkeypatch.setattr(setup.model, "loss", lost)
    says = rf"the loss is {loss} in epoch 2, batch 2; lower learning_rate {advice}"
    with pytest.raises(ConfigError, match=says):
        setup.trainer.run()


def test_a_weight_that_is_no_number_after_the_last_step_is_noticed(tiny, circle, monkeypatch):
    setup = Setup(tiny.replace(n_epochs=1), circle)
    plain, steps = setup.model.table.constrain, []

    def overflow():
        plain()
        steps.append(0)
        if len(steps) == 4:  # of four in the epoch: no further loss would show it
            with torch.no_grad():
                setup.model.table.rows[3, 2] = torch.inf

    monkeypatch.setattr(setup.model.table, "constrain", overflow)
    with pytest.raises(
        ConfigError, match=r"a weight is not a finite number after epoch 1; lower learning_rate"
    ):
        setup.trainer.run()


def test_the_time_left_is_told_from_the_second_epoch_on(tiny, circle, monkeypatch):
    clock = iter(range(0, 10_000, 40))  # read at the start and the end of an epoch: 40 s each
    monkeypatch.setattr(
        trainer_module, "time", SimpleNamespace(perf_counter=lambda: float(next(clock)))
    )
    news = []
    Setup(tiny, circle, progress=lambda _, text: news.append(text)).trainer.run()
    assert len(news) == 6 * 4
    assert not any("left" in text for text in news[:4])
    assert news[4].endswith(", at most 3 min left")  # 40 s · 4.75 epochs
    assert news[-2].endswith(", at most 10 s left")  # a quarter of an epoch
    assert news[-1].endswith(", at most 0 s left")


def test_the_best_epoch_so_far_is_told(tiny, circle):
    news = []
    scores = [0.1, 0.3, 0.2, 0.1, 0.1, 0.1]
    Setup(tiny, circle, scores=scores, progress=lambda _, text: news.append(text)).trainer.run()
    assert "best ndcg@20" not in news[3]
    assert "best ndcg@20 0.1000 (epoch 1)" in news[4]
    assert "best ndcg@20 0.3000 (epoch 2)" in news[-1]


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
