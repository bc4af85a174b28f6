"""What every sequential network offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    import torch

    from llmseq.models.sequential.batches import PackedBatch
    from llmseq.models.sequential.windows import Windows
    from llmseq.types import Ragged


class Network(nn.Module):
    """From the items of sessions to vectors that the next item's vector should resemble.

    The item table is not part of a network: `forward` takes its rows, so that any table goes with
    any network.
    """

    def forward(self, vectors: Tensor, batch: PackedBatch) -> Tensor:
        """Read a batch.

        Parameters
        ----------
        vectors : (N, D)
            Rows of the item table.
        batch : PackedBatch
            As `windows` or `prompts` made it, M events in all.

        Returns
        -------
        (M, D)
            Its dot product with an item's vector scores that item.
        """
        raise NotImplementedError

    def windows(self, sessions: Ragged) -> Windows:
        """Cut sessions into what the network learns from."""
        raise NotImplementedError

    def prompts(self, sessions: Ragged, *, device: torch.device | str = "cpu") -> PackedBatch:
        """Pack sessions so that the newest event's hidden state names what comes next."""
        raise NotImplementedError

    def draw_weights(self, generator: torch.Generator) -> None:
        """Give all parameters their first values: Xavier-normal matrices, zero biases."""
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                nn.init.xavier_normal_(parameter, generator=generator)
            elif "bias" in name:
                nn.init.zeros_(parameter)
