from __future__ import annotations

import mmap
import time

from llmseq.experiment.cost import measure
from llmseq.experiment.progress import PRIOR_EVENTS, PRIORS, Tracker, Update, planned
from llmseq.experiment.spec import CompareSpec, ModelSpec


class Heard:
    def __init__(self) -> None:
        self.updates: list[Update] = []

    def update(self, update: Update) -> None:
        self.updates.append(update)

    def warn(self, text: str) -> None:
        raise AssertionError(text)


def test_time_left_follows_from_what_stages_of_a_kind_took() -> None:
    heard = Heard()
    tracker = Tracker(heard, ["lists", "lists", "lists"], n_events=PRIOR_EVENTS)
    tracker.start("first", "lists")
    assert heard.updates[-1].seconds_left == 3 * PRIORS["lists"]
    tracker.finish(4.0)
    last = heard.updates[-1]
    assert (last.finished, last.total, last.seconds_left, last.share) == (1, 3, 8.0, 4 / 12)
    tracker.start("second", "lists")
    tracker.within(0.5, "half")
    assert heard.updates[-1].seconds_left == 6.0
    tracker.finish(4.0)
    tracker.start("third", "lists")
    tracker.finish(4.0)
    assert heard.updates[-1].share == 1.0


def test_a_stage_that_outlasts_what_was_expected_tells_by_its_own_share(monkeypatch) -> None:
    heard, now = Heard(), 0.0
    monkeypatch.setattr("llmseq.experiment.progress.time.monotonic", lambda: now)
    tracker = Tracker(heard, ["fit sequential", "lists"], n_events=PRIOR_EVENTS)
    tracker.start("long", "fit sequential")
    now = PRIORS["fit sequential"] / 2
    tracker.within(0.01, "early")
    early = heard.updates[-1]
    assert early.seconds_left < PRIORS["fit sequential"] + PRIORS["lists"]
    now = 10 * PRIORS["fit sequential"]
    tracker.within(0.02, "late")
    late = heard.updates[-1]
    assert late.seconds_left == 49 * now + PRIORS["lists"]
    tracker.within(0.5, "soon over")
    tracker.within(0.4, "other news")
    assert heard.updates[-1].share == heard.updates[-2].share


def test_reused_stages_teach_the_time_but_do_not_count_as_work() -> None:
    heard = Heard()
    tracker = Tracker(heard, ["lists", "lists"], n_events=1)
    tracker.start("first", "lists")
    tracker.finish(10.0, reused=True)
    assert (heard.updates[-1].share, heard.updates[-1].seconds_left) == (0.0, 10.0)


def test_the_plan_counts_grids_seeds_and_refits() -> None:
    model = ModelSpec(name="v-sknn", grid={"k": [1, 2, 3]})
    spec = CompareSpec(dataset="shop", fingerprint="0", models=(model,), n_seeds=2)
    kinds = planned(spec.replace(refit=True))
    assert kinds.count("fit neighbours") == 3 + 1 + 2 + 1  # grid, second seed, refits, winner
    assert kinds.count("lists") == 3 + 1 + 2 + 2  # select, second seed, test, test of refits
    assert planned(spec.replace(score="validation")).count("lists") == 3 + 1
    assert "embed" not in kinds


def test_cost_sees_time_and_memory() -> None:
    with measure() as idle:
        pass
    with measure() as busy:
        held = mmap.mmap(-1, 30_000_000)  # fresh pages, not room that the process freed before
        held.write(b"x" * len(held))
        time.sleep(0.02)
    held.close()
    assert busy.seconds >= 0.02 > idle.seconds
    assert busy.peak_memory_mib - idle.peak_memory_mib > 20
