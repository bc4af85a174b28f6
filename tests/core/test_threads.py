from __future__ import annotations

import inspect
import os
import re
import runpy
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import llmseq.core
from llmseq.core import cpu, cpu_path, cpu_paths, top_k
from llmseq.core.threads import VARIABLE, thread_count
from llmseq.errors import ConfigError
from llmseq.testing import reference

EXERCISE = Path(__file__).with_name("exercise.py")


@pytest.fixture(scope="module")
def exercise() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(EXERCISE)))


@pytest.fixture(scope="module")
def kernels(exercise, tmp_path_factory):
    return exercise.Kernels(tmp_path_factory.mktemp("indexes"))


@pytest.mark.parametrize("path", cpu_paths())
def test_results_depend_neither_on_threads_nor_on_the_path(exercise, kernels, monkeypatch, path):
    expected = kernels.everything(1)
    monkeypatch.setenv(cpu.VARIABLE, path)
    assert cpu_path() == path
    for n_threads in (1, 2, 3, 7):
        exercise.check_same(kernels.everything(n_threads), expected)


@pytest.mark.parametrize("path", cpu_paths())
def test_indexes_made_on_any_path_are_the_same(exercise, kernels, monkeypatch, tmp_path, path):
    expected = kernels.everything(1)
    monkeypatch.setenv(cpu.VARIABLE, path)
    for n_threads in (1, 2):
        made = exercise.Kernels(tmp_path, n_threads)
        exercise.check_same(made.everything(1), expected)


def test_python_threads_share_everything(exercise, kernels):
    expected = kernels.everything(1)
    with ThreadPoolExecutor(6) as pool:
        for found in pool.map(kernels.everything, [1, 2, None] * 6):
            exercise.check_same(found, expected)


def test_memory_is_used_as_it_must(exercise):
    """Every kernel under CPython's debug allocator, which pads blocks and overwrites freed ones."""
    environment = os.environ | {"PYTHONMALLOC": "debug"}
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", str(EXERCISE)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_path_that_is_not_here_is_named(kernels, monkeypatch):
    monkeypatch.setenv(cpu.VARIABLE, "z80")
    for call in (cpu_path, lambda: kernels.everything(1)):
        with pytest.raises(ConfigError, match=r"LLMSEQ_CPU must be .*portable.* got \"z80\""):
            call()
    monkeypatch.setenv(cpu.VARIABLE, " ")
    assert cpu_path() == cpu_paths()[-1]


def test_the_argument_goes_before_the_variable(monkeypatch):
    monkeypatch.setenv(VARIABLE, "3")
    assert thread_count() == 3
    assert thread_count(2) == 2
    monkeypatch.setenv(VARIABLE, " ")
    assert thread_count() == llmseq.core.thread_count() >= 1


@pytest.mark.parametrize("text", ["0", "two", "-1", "+3", "1.5", "4294967296"])
def test_a_wrong_variable_is_named(monkeypatch, text):
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(
        ConfigError, match=rf"LLMSEQ_NUM_THREADS must be a whole number .* '{re.escape(text)}'"
    ):
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
