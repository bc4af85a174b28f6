"""A small autoencoder: a network that writes a vector down in few numbers and reads it back.

Only fitting needs torch; a fitted one is plain arrays like every other reduction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llmseq.embeddings.reduce.projections import check_enough, kept_dim
from llmseq.embeddings.reduce.reducer import HiddenLayer, Reducer
from llmseq.errors import MissingExtraError

try:
    import torch
    from torch import nn
except ModuleNotFoundError as missing:
    raise MissingExtraError('reduction.method = "autoencoder"', "train") from missing

if TYPE_CHECKING:
    from torch import Tensor

    from llmseq.embeddings.reduce.config import ReductionConfig
    from llmseq.types import FloatMatrix

_N_EPOCHS = 200
_PATIENCE = 5  # epochs without a gain of a thousandth on the vectors held out
_GAIN = 1e-3
_HELD_OUT = 0.1
_SMALLEST_BATCH, _LARGEST_BATCH = 16, 512
_STEPS_AN_EPOCH = 20  # at least so many, but for the smallest catalogues
_LEARNING_RATE = 3e-3


def fit_autoencoder(config: ReductionConfig, vectors: FloatMatrix) -> Reducer:
    """Train width → 2·dim → dim → 2·dim → width, tanh in the hidden layers, squared error.

    A tenth of the vectors is held out and says when to stop. The reduced vectors have mean zero.
    Trains on one thread, so that the weights depend on the vectors and the seed alone.

    Parameters
    ----------
    config : ReductionConfig
    vectors : float32 (n_rows, width)

    Raises
    ------
    InvalidDataError
        If there are fewer than two vectors, or all are equal.
    """
    check_enough(vectors, "an autoencoder")
    dim, notes = kept_dim(config, vectors.shape[1], "the vectors have no more")
    mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = vectors - mean
    scale = float(centred.std(dtype=np.float64))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.enable_grad():
            hidden, last = _train(torch.from_numpy(centred / scale), dim, config.seed)
    finally:
        torch.set_num_threads(threads)
    layer = HiddenLayer(
        (hidden.weight.detach().numpy() / scale).astype(np.float32),
        hidden.bias.detach().numpy().copy(),
        np.zeros(hidden.out_features, dtype=np.float32),
    )
    activations = layer(centred.astype(np.float64)).mean(axis=0).astype(np.float32)
    layer = HiddenLayer(layer.weights, layer.bias, activations)
    return Reducer(config, mean, last.weight.detach().numpy().copy(), layer, notes)


def _train(vectors: Tensor, dim: int, seed: int) -> tuple[nn.Linear, nn.Linear]:
    """Give the two layers of the trained encoder."""
    generator = torch.Generator().manual_seed(seed)
    width, n_hidden = vectors.shape[1], 2 * dim
    hidden, last = _linear(width, n_hidden, generator), _linear(n_hidden, dim, generator)
    encoder = nn.Sequential(hidden, nn.Tanh(), last)
    decoder = nn.Sequential(
        _linear(dim, n_hidden, generator), nn.Tanh(), _linear(n_hidden, width, generator)
    )
    network = nn.Sequential(encoder, decoder)
    order = torch.randperm(len(vectors), generator=generator)
    n_held_out = max(int(_HELD_OUT * len(vectors)), 1)
    held_out, learnt = vectors[order[:n_held_out]], vectors[order[n_held_out:]]
    size = min(max(len(learnt) // _STEPS_AN_EPOCH, _SMALLEST_BATCH), _LARGEST_BATCH)
    optimiser = torch.optim.Adam(network.parameters(), lr=_LEARNING_RATE)
    best, kept, waited = float("inf"), network.state_dict(), 0
    for _ in range(_N_EPOCHS):
        for rows in torch.split(torch.randperm(len(learnt), generator=generator), size):
            optimiser.zero_grad()
            loss = nn.functional.mse_loss(network(learnt[rows]), learnt[rows])
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own
            optimiser.step()
        with torch.no_grad():
            error = float(nn.functional.mse_loss(network(held_out), held_out))
        waited = 0 if error < best * (1 - _GAIN) else waited + 1
        if waited == 0:
            best = error
            kept = {name: value.clone() for name, value in network.state_dict().items()}
        elif waited == _PATIENCE:
            break
    network.load_state_dict(kept)
    return hidden, last


def _linear(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    layer = nn.Linear(n_in, n_out)
    nn.init.xavier_normal_(layer.weight, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer
