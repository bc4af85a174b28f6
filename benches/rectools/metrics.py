"""``evaluate_lists`` beside RecTools' metrics: eight at two cut-offs over 200,000 lists of 20.

    python benches/rectools/metrics.py --work FOLDER --rounds 5

The arrays are saved into the folder. RecTools 0.19 needs numpy below 2, so it runs in an
environment of its own, which uv makes and keeps; both take turns, round after round.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

from llmseq.core import evaluate_lists

HERE = Path(__file__).resolve().parent
N, LENGTH, N_ITEMS = 200_000, 20, 12_101
KS = (10, 20)


def make_arrays(folder: Path) -> dict[str, np.ndarray]:
    """Lists of different items; three in ten hold their session's only target."""
    rng = np.random.default_rng(0)
    lists = ((rng.integers(0, N_ITEMS, (N, 1)) + 7 * np.arange(LENGTH)) % N_ITEMS).astype(np.int32)
    in_list = lists[np.arange(N), rng.integers(0, LENGTH, N)]
    targets = np.where(rng.random(N) < 0.3, in_list, rng.integers(0, N_ITEMS, N))
    arrays = {
        "lists": lists,
        "targets": targets.astype(np.int32),
        "before": rng.integers(0, N_ITEMS, N).astype(np.int32),  # what made items popular
        "n_items": np.array(N_ITEMS),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return arrays


def start_peer(folder: Path) -> subprocess.Popen[str]:
    """RecTools in its environment; it answers every line."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        raise SystemExit("uv is missing: pip install uv")
    environment = {
        "UV_SYSTEM_CERTS": "1",
        **os.environ,
        "UV_CONSTRAINT": str(HERE / "requirements.txt"),
    }
    run = [uv, "run", "--quiet", "--no-project", "--isolated", "--python", "3.11"]
    script = [str(HERE / "rectools_metrics.py"), str(folder), *map(str, KS)]
    return subprocess.Popen(
        [*run, "--with", "rectools==0.19.0", "python", "-W", "ignore", *script],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    arrays = make_arrays(options.work)
    counts = np.bincount(arrays["before"], minlength=N_ITEMS)
    rows = (arrays["targets"], np.arange(N + 1))

    def ours() -> dict[str, float]:
        return evaluate_lists(arrays["lists"], rows, KS, counts, N_ITEMS).means

    means = ours()
    peer = start_peer(options.work)
    assert peer.stdin is not None
    assert peer.stdout is not None
    seconds: dict[str, list[float]] = {"llmseq": [], "RecTools": []}
    for _ in range(options.rounds):
        peer.stdin.write("\n")
        peer.stdin.flush()
        answer = json.loads(peer.stdout.readline())
        seconds["RecTools"].append(answer["seconds"])
        start = time.perf_counter()
        ours()
        seconds["llmseq"].append(time.perf_counter() - start)
    peer.stdin.close()
    peer.wait()
    for name, value in answer["values"].items():
        # RecTools leaves the normalisation by counts to users: novelty is not the same number.
        if not name.startswith("novelty"):
            np.testing.assert_allclose(value, means[name], rtol=1e-9, err_msg=name)
    ratios = [
        theirs / mine for theirs, mine in zip(seconds["RecTools"], seconds["llmseq"], strict=True)
    ]
    for name, values in seconds.items():
        print(f"{name}: {median(values) * 1e3:,.1f} ms")
    print(f"times faster: {median(ratios):,.0f} [{min(ratios):,.0f}, {max(ratios):,.0f}]")


if __name__ == "__main__":
    main()
