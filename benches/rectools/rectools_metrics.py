"""The peer's side of ``metrics.py``: RecTools' metrics on saved arrays, timed for every line read.

Runs in an environment of its own, which has neither llmseq nor numpy 2.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from rectools import Columns
from rectools.metrics import (
    MAP,
    MRR,
    NDCG,
    CatalogCoverage,
    HitRate,
    MeanInvUserFreq,
    Precision,
    Recall,
    calc_metrics,
)


def main() -> None:
    folder, ks = Path(sys.argv[1]), [int(k) for k in sys.argv[2:]]
    lists, targets = np.load(folder / "lists.npy"), np.load(folder / "targets.npy")
    n, length = lists.shape
    users = np.arange(n)
    columns = {Columns.User: users.repeat(length), Columns.Item: lists.ravel()}
    listed = pd.DataFrame({**columns, Columns.Rank: np.tile(np.arange(1, length + 1), n)})
    wanted = pd.DataFrame({Columns.User: users, Columns.Item: targets})
    before = pd.DataFrame({Columns.User: users, Columns.Item: np.load(folder / "before.npy")})
    catalog = np.arange(int(np.load(folder / "n_items.npy")))
    metrics = {}
    for k in ks:
        metrics |= {
            f"ndcg@{k}": NDCG(k, divide_by_achievable=True),
            f"hr@{k}": HitRate(k),
            f"mrr@{k}": MRR(k),
            f"recall@{k}": Recall(k),
            f"precision@{k}": Precision(k),
            f"map@{k}": MAP(k),
            f"coverage@{k}": CatalogCoverage(k, normalize=True),
            f"novelty@{k}": MeanInvUserFreq(k),
        }
    for _ in sys.stdin:
        start = time.perf_counter()
        values = calc_metrics(metrics, listed, wanted, before, catalog)
        seconds = time.perf_counter() - start
        found = {name: float(value) for name, value in values.items()}
        print(json.dumps({"seconds": seconds, "values": found}), flush=True)


if __name__ == "__main__":
    main()
