"""Session-kNN on a large made-up log: time to build, memory an event, time for one prompt.

    python benches/knn_scale.py                       # 20 million events, a minute and 2 GB
    python benches/knn_scale.py --events 2000000

The index is built in a process of its own, whose peak of memory is that of building; a second
process maps the saved file and asks prompts one at a time, as a server does.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmseq.types import Ragged


@dataclass(frozen=True)
class Job:
    """Size of the log, how popularity falls (1 / rank**skew) and what the index keeps."""

    events: int
    items: int
    mean_length: float
    skew: float
    newest: int | None
    seed: int
    file: Path


def make_log(job: Job, n_events: int, seed: int) -> Ragged:
    """Make sessions around topics: items of a session lie near a popular one of them."""
    from llmseq.types import Ragged

    rng = np.random.default_rng([job.seed, seed])
    lengths = 1 + rng.geometric(1 / (job.mean_length - 1), round(n_events / job.mean_length))
    weights = np.arange(1, job.items + 1) ** -job.skew
    centres = rng.choice(job.items, lengths.size, p=weights / weights.sum())
    spread = rng.geometric(0.02, int(lengths.sum())) * rng.choice([-1, 1], int(lengths.sum()))
    items = np.abs(np.repeat(centres, lengths) + spread) % job.items
    return Ragged.from_lengths(items.astype(np.int32), lengths)


def build(job: Job) -> dict[str, Any]:
    """Build the index, save it, and say what that took."""
    from llmseq.core import SessionIndex

    train = make_log(job, job.events, 0)
    before = memory("VmRSS")
    started = time.perf_counter()
    index = SessionIndex(
        train.items, train.offsets, job.items, order=np.arange(len(train)), newest=job.newest
    )
    seconds = time.perf_counter() - started
    held, peak = memory("VmRSS") - before, memory("VmHWM") - before
    index.save(job.file)
    return {
        "events": train.items.size,
        "sessions": len(train),
        "build_s": seconds,
        "bytes_an_event": held / train.items.size,
        "peak_bytes_an_event": peak / train.items.size,
        "file_bytes_an_event": job.file.stat().st_size / train.items.size,
    }


def ask(job: Job, n_prompts: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Map the index and ask prompts one at a time."""
    from llmseq.core import SessionIndex

    started = time.perf_counter()
    index = SessionIndex.open(job.file)
    seconds = time.perf_counter() - started
    prompts = make_log(job, round(n_prompts * job.mean_length), 1)

    def one(row: int) -> None:
        session = prompts[row]
        index.search(session, [0, session.size], 20, n_threads=1, **settings)

    for row in range(200):  # pages of the file come in
        one(row)
    return {"open_s": seconds, **percentiles(one, range(200, min(len(prompts), n_prompts)))}


def percentiles(one: Callable[[int], None], rows: range) -> dict[str, float]:
    """Milliseconds for a prompt: median, 90th and 99th percentile."""
    taken = []
    for row in rows:
        started = time.perf_counter()
        one(row)
        taken.append((time.perf_counter() - started) * 1000)
    return {f"p{share}_ms": float(np.percentile(taken, share)) for share in (50, 90, 99)}


def memory(what: str) -> int:
    """Bytes of this process, from Linux's own account."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(what):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"/proc/self/status holds no {what}: this bench needs Linux")


def alone(call: Callable[..., dict[str, Any]], *arguments: object) -> dict[str, Any]:
    """Call in a process of its own, so that memory is its alone."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(call, *arguments).result()


def main() -> None:
    """Print one line a setting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--mean-length", type=float, default=8.0)
    parser.add_argument("--skew", type=float, default=0.9)
    parser.add_argument("--prompts", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    asked = {"k": 100, "sample_size": 1000, "prompt_decay": "linear"}
    with tempfile.TemporaryDirectory() as folder:
        for newest, sampling in ((500, "recent"), (5_000, "recent"), (None, "recent")):
            job = Job(
                events=given.events,
                items=given.items,
                mean_length=given.mean_length,
                skew=given.skew,
                newest=newest,
                seed=given.seed,
                file=Path(folder) / "index.safetensors",
            )
            found = alone(build, job)
            found |= alone(ask, job, given.prompts, {**asked, "sampling": sampling})
            words = ", ".join(
                f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value:,}"
                for name, value in found.items()
            )
            print(f"newest {newest or 'all'}: {words}", flush=True)


if __name__ == "__main__":
    main()
