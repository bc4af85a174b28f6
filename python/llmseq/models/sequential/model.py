"""Everything that is trained together, and how the settings put it together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from llmseq.errors import ArtifactError
from llmseq.models.sequential.bert4rec import BERT4Rec
from llmseq.models.sequential.config import (
    BERT4RecConfig,
    GRU4RecConfig,
    SASRecConfig,
    SequentialConfig,
)
from llmseq.models.sequential.gru4rec import GRU4Rec
from llmseq.models.sequential.head import make_head
from llmseq.models.sequential.item_table import make_table
from llmseq.models.sequential.sasrec import SASRec

if TYPE_CHECKING:
    from llmseq.models.sequential.batches import PackedBatch
    from llmseq.models.sequential.head import Head
    from llmseq.models.sequential.item_table import ItemTable
    from llmseq.models.sequential.network import Network
    from llmseq.models.sequential.objectives import Objective

CONFIGS: dict[str, type[SequentialConfig]] = {
    "sasrec": SASRecConfig,
    "bert4rec": BERT4RecConfig,
    "gru4rec": GRU4RecConfig,
}
"""Settings class of each network, by the name that saved models carry."""


class SequentialModel(nn.Module):
    """Item table × network × head: all the weights.

    Parameters
    ----------
    table : ItemTable
        V items of width D.
    network : Network
        Reads sessions.
    head : DotHead or ProjectionHead
        Compares what was read with the items.
    """

    def __init__(self, table: ItemTable, network: Network, head: Head) -> None:
        super().__init__()
        self.table = table
        self.network = network
        self.head = head

    def loss(self, batch: PackedBatch, objective: Objective) -> Tensor:
        """Mean loss of a batch that carries targets."""
        vectors = self.table()
        answers = batch.answers(self.network(vectors, batch))
        return objective(self.head(answers), self.head.outputs(vectors), batch.wanted)


def make_network(config: SequentialConfig, dim: int, generator: torch.Generator) -> Network:
    """Make the network that the settings are of."""
    match config:
        case SASRecConfig():
            return SASRec(dim, config, generator)
        case BERT4RecConfig():
            return BERT4Rec(dim, config, generator)
        case GRU4RecConfig():
            return GRU4Rec(dim, config, generator)
        case _:
            raise ArtifactError(f"no network goes with {type(config).__name__}")


def make_model(
    config: SequentialConfig,
    text: Tensor | None,
    *,
    n_items: int,
    dim: int,
    generator: torch.Generator,
) -> SequentialModel:
    """Make a model with its first weights.

    Parameters
    ----------
    config : SequentialConfig
    text : float32 (n_items, R), optional
        Reduced text vectors, unless the table is random.
    n_items, dim : int
        V and D.
    generator : Generator
        Draws the first weights, and in training the dropout.

    Raises
    ------
    ConfigError
        If the settings do not go with the text.
    """
    with torch.device(generator.device):
        table = make_table(config, text, n_items=n_items, dim=dim, generator=generator)
        network = make_network(config, dim, generator)
        return SequentialModel(table, network, make_head(config.head, dim, n_items, generator))
