"""Time contestants in interleaved rounds: a machine's speed drifts by a third within minutes."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_benchmark.fixture import BenchmarkFixture

SECONDS = 8.0
"""About what the peers of one case may take, so that a slow one gets fewer rounds."""
REST = 0.05
"""Before each turn, repeated while any thread of the process still computes."""
MOST_RESTS = 40


def rest() -> None:
    """Wait until the one before rests: idle threads of OpenMP and OpenBLAS spin for long."""
    for _ in range(MOST_RESTS):
        busy = time.process_time()
        time.sleep(REST)
        if time.process_time() - busy < REST / 50:
            return


def compete(
    benchmark: BenchmarkFixture,
    ours: Callable[[], Any],
    peers: Mapping[str, Callable[[], Any]],
    *,
    rounds: int = 9,
    warm: int = 0,
    notes: Mapping[str, str] | None = None,
    approximate: frozenset[str] = frozenset(),
) -> None:
    """Time ours by pytest-benchmark and each peer once before every round of ours.

    ``extra_info`` of the result gets the peers' seconds, the fastest exact peer and our ratio to
    it, round by round: rounds are compared with themselves only. Each is called ``warm`` times
    before it is timed: then it is timed in the middle of a stream of calls, not after a rest.
    """
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    ours()
    for peer in peers.values():
        peer()  # first calls allocate, start threads, load code

    def begin(contestant: Callable[[], Any]) -> None:
        rest()
        for _ in range(warm):
            contestant()

    def run_peers() -> None:
        for name, peer in peers.items():
            if sum(seconds[name]) < SECONDS or len(seconds[name]) < 2:
                begin(peer)
                start = time.perf_counter()
                peer()
                seconds[name].append(time.perf_counter() - start)
        begin(ours)

    benchmark.pedantic(ours, setup=run_peers, rounds=rounds, warmup_rounds=0)
    mine = list(benchmark.stats.stats.data)
    exact = {name: times for name, times in seconds.items() if name not in approximate}
    fastest = min(exact, key=lambda name: median(exact[name]))
    ratios = sorted(peer / own for peer, own in zip(exact[fastest], mine, strict=False))
    benchmark.extra_info.update(
        seconds={"llmseq": median(mine), **{name: median(t) for name, t in seconds.items()}},
        fastest=fastest,
        ratio=median(ratios),
        ratio_low=ratios[0],
        ratio_high=ratios[-1],
        notes=dict(notes or {}),
        approximate=sorted(approximate),
    )
