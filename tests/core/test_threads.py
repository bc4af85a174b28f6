from __future__ import annotations

import inspect
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import llmseq.core
from llmseq.core import ItemIndex, SessionIndex, evaluate_lists, fuse_lists, pool_sessions, top_k
from llmseq.core.threads import VARIABLE, thread_count
from llmseq.errors import ConfigError
from llmseq.testing import reference
from llmseq.types import Ragged


def everything(n_threads: int) -> list[np.ndarray]:
    """Arrays out of every kernel."""
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(400, 12)).astype(np.float32)
    train = Ragged.from_lists([rng.integers(0, 400, rng.integers(1, 9)) for _ in range(900)])
    prompts = Ragged.from_lists([rng.integers(0, 400, rng.integers(1, 9)) for _ in range(300)])
    pooled = pool_sessions(vectors, prompts.items, prompts.offsets, n_threads=n_threads)
    dense = ItemIndex(vectors, n_threads=n_threads).search(pooled, 9, n_threads=n_threads)
    index = SessionIndex(train.items, train.offsets, 400)
    near = index.search(
        prompts.items, prompts.offsets, 9, k=20, sample_size=30, n_threads=n_threads
    )
    fused = fuse_lists([dense, near], 9, n_threads=n_threads)
    counts = np.bincount(train.items, minlength=400)
    scored = evaluate_lists(fused[0], prompts, (3, 9), counts, 400, n_threads=n_threads)
    means = np.array(list(scored.means.values()))
    return [pooled, *dense, *near, *fused, means, *scored.per_session.values()]


def test_results_do_not_depend_on_threads():
    one = everything(1)
    for n_threads in (2, 3, 7):
        for left, right in zip(one, everything(n_threads), strict=True):
            np.testing.assert_array_equal(left, right)


def test_python_threads_share_an_index():
    vectors = np.random.default_rng(0).normal(size=(2000, 16)).astype(np.float32)
    index = ItemIndex(vectors)
    expected = index.search(vectors[:50], 5)
    with ThreadPoolExecutor(6) as pool:
        for items, scores in pool.map(lambda _: index.search(vectors[:50], 5), range(24)):
            np.testing.assert_array_equal(items, expected[0])
            np.testing.assert_array_equal(scores, expected[1])


def test_the_argument_goes_before_the_variable(monkeypatch):
    monkeypatch.setenv(VARIABLE, "3")
    assert thread_count() == 3
    assert thread_count(2) == 2
    monkeypatch.setenv(VARIABLE, " ")
    assert thread_count() == llmseq.core.thread_count() >= 1


@pytest.mark.parametrize("text", ["0", "two", "-1", "1.5"])
def test_a_wrong_variable_is_named(monkeypatch, text):
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ConfigError, match=f"LLMSEQ_NUM_THREADS must be a whole number .* '{text}'"):
        top_k([[1.0]], [[1.0]], 1)


def test_every_kernel_has_a_twin_of_the_same_signature():
    for name in reference.__all__:
        kernel, twin = getattr(llmseq.core, name), getattr(reference, name)
        assert inspect.signature(kernel) == inspect.signature(twin), name
    for index in ("ItemIndex", "SessionIndex"):
        kernel, twin = getattr(llmseq.core, index), getattr(reference, index)
        assert inspect.signature(kernel.search) == inspect.signature(twin.search)


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"),
    reason="signals reach the main thread",
)
def test_a_signal_stops_a_long_call():
    """About ten seconds of work on one thread end when the handler raises."""
    vectors = np.random.default_rng(0).normal(size=(20_000, 256)).astype(np.float32)

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    start = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            top_k(vectors, vectors, 10, n_threads=1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - start < 3


def test_other_python_threads_go_on_during_a_call():
    vectors = np.random.default_rng(0).normal(size=(6_000, 128)).astype(np.float32)
    ticks, done = [], threading.Event()

    def tick() -> None:
        while not done.wait(0.002):
            ticks.append(time.monotonic())

    ticker = threading.Thread(target=tick)
    ticker.start()
    start = time.monotonic()
    top_k(vectors, vectors, 10, n_threads=1)
    end = time.monotonic()
    done.set()
    ticker.join()
    assert sum(start < at < end for at in ticks) > 5


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_a_forked_process_makes_its_own_threads():
    script = """
import os
from llmseq.core import top_k
top_k([[1.0]], [[1.0]], 1, n_threads=2)
child = os.fork()
if child == 0:
    top_k([[1.0]], [[1.0]], 1, n_threads=2)
    os._exit(7)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    ended = subprocess.run([sys.executable, "-c", script], timeout=30, check=False)
    assert ended.returncode == 7
