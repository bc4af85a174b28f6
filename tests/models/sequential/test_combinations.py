"""Every network with every item table, objective, block and head: they go together, and learn."""

from __future__ import annotations

from typing import get_args

import pytest

from llmseq.models.sequential.config import BlockKind, ObjectiveKind, TableMode
from llmseq.testing.conformance import (
    Subject,
    check_candidates,
    check_checkerboard,
    check_lists,
    check_planted_groups,
    check_save_and_load,
)

NETWORKS = ("sasrec", "bert4rec", "gru4rec")
TABLES, OBJECTIVES, BLOCKS = map(get_args, (TableMode, ObjectiveKind, BlockKind))
CHECKS = (check_lists, check_candidates, check_save_and_load, check_planted_groups)


def with_objective(network, objective, *settings):
    """A yes or no says less at a time than a softmax, a cloze asks less: they take more epochs."""
    n_epochs = 120 if network == "bert4rec" else 60
    more = (("n_negatives", 4), ("n_epochs", n_epochs)) if objective in {"bce", "gbce"} else ()
    return Subject(network, (*settings, ("objective", objective), *more))


WITH_OBJECTIVES = [
    with_objective(network, objective, ("item_table", table))
    for network in NETWORKS
    for table in TABLES
    for objective in OBJECTIVES
]
WITH_PARTS = [
    Subject(network, (("item_table", table), ("head", "projection")))
    for network in NETWORKS
    for table in ("random", "llm_init", "null_space")
] + [
    Subject(network, (("block", block), ("n_heads", 2)))
    for network in ("sasrec", "bert4rec")
    for block in BLOCKS
]

WITH_REDUCTIONS = [
    Subject("sasrec", (("item_table", table), ("embedding_dim", 5), *reduction))
    for table in TABLES
    if table != "random"
    for reduction in (
        (("reduction.method", "autoencoder"),),
        (("reduction.method", "lda"), ("reduction.classes", "kind")),  # six kinds: five dimensions
    )
]


@pytest.mark.parametrize("subject", WITH_OBJECTIVES + WITH_PARTS + WITH_REDUCTIONS, ids=str)
def test_goes_together_and_finds_the_groups(subject):
    for check in CHECKS:
        check(subject)


@pytest.mark.parametrize(
    "subject",
    [with_objective(network, objective) for network in NETWORKS for objective in OBJECTIVES]
    + WITH_PARTS,
    ids=str,
)
def test_finds_the_withheld_diagonal(subject):
    check_checkerboard(subject)
