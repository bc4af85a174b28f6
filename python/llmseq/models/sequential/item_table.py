"""Item tables: one vector an item, read by the network and compared with what it returns.

Every network takes any of them. A table holds the V items that training sees; one with text also
says what it would give for a text alone, from which `UnseenItems` places the items of no session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from llmseq.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmseq.models.sequential.config import SequentialConfig, TableMode

_IDENTITY_STD = 0.02  # of a trained part that joins text: small, so that text speaks first


class ItemTable(nn.Module):
    """Vectors of V items, trained or made from text. Calling it gives the rows, (V, D)."""

    text: Tensor  # what is frozen of the text, where a table has that

    def forward(self) -> Tensor:
        """Rows of all items that training sees, (V, D)."""
        raise NotImplementedError

    def from_text(self, text: Tensor) -> Tensor:
        """Give what texts alone say of items, (n, D), from their reduced vectors (n, R)."""
        raise NotImplementedError

    def constrain(self) -> None:
        """Bring the parameters back to where they are allowed, after each step."""


class RandomTable(ItemTable):
    """Items known by their place alone: Xavier-normal rows times ``scale``, trained."""

    def __init__(self, n_items: int, dim: int, scale: float, generator: torch.Generator) -> None:
        super().__init__()
        rows = torch.empty(n_items, dim)
        self.rows = nn.Parameter(nn.init.xavier_normal_(rows, generator=generator).mul_(scale))

    def forward(self) -> Tensor:
        """Rows of all items, (V, D)."""
        return self.rows


class InitialisedTable(ItemTable):
    """Starts from text vectors (V, D) times ``scale`` and is trained on: the study's way."""

    def __init__(self, text: Tensor, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.rows = nn.Parameter(text * scale)

    def forward(self) -> Tensor:
        """Rows of all items, (V, D)."""
        return self.rows

    def from_text(self, text: Tensor) -> Tensor:
        """Where such an item would have started."""
        return text * self.scale


class AdapterTable(ItemTable):
    """Frozen text vectors (V, R) through a trained network of two layers to D."""

    def __init__(self, text: Tensor, dim: int, scale: float, generator: torch.Generator) -> None:
        super().__init__()
        self.register_buffer("text", text * scale)
        self.scale = scale
        layers = (nn.Linear(text.shape[1], dim), nn.Linear(dim, dim))
        for layer in layers:
            nn.init.xavier_normal_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)
        self.adapter = nn.Sequential(layers[0], nn.GELU(), layers[1])

    def forward(self) -> Tensor:
        """Rows of all items, (V, D)."""
        rows: Tensor = self.adapter(self.text)
        return rows

    def from_text(self, text: Tensor) -> Tensor:
        """Send their texts through the same network."""
        rows: Tensor = self.adapter(text * self.scale)
        return rows


class BoundedDeltaTable(ItemTable):
    """Frozen text vectors (V, D) plus a trained difference no longer than ``max_delta · scale``."""

    def __init__(self, text: Tensor, scale: float, max_delta: float) -> None:
        super().__init__()
        self.scale = scale
        self.longest = max_delta * scale
        self.register_buffer("text", text * scale)
        self.rows = nn.Parameter(torch.zeros_like(text))

    def forward(self) -> Tensor:
        """Rows of all items, (V, D)."""
        return self.text + self.rows

    def from_text(self, text: Tensor) -> Tensor:
        """Take the text vector itself."""
        return text * self.scale

    @torch.no_grad()
    def constrain(self) -> None:
        """Shorten every difference that grew too long."""
        lengths = self.rows.norm(dim=1, keepdim=True)
        self.rows.mul_((self.longest / lengths.clamp_min(1e-12)).clamp_max(1.0))


class NullSpaceTable(ItemTable):
    """The leading D − I directions of the text frozen; trained identity in the last I.

    With principal components the last directions are those in which the texts vary least, so
    identity costs little of what the text says. An item never seen has no identity: zeros.
    """

    def __init__(
        self, text: Tensor, identity_dim: int, scale: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.scale = scale
        self.kept = text.shape[1] - identity_dim
        self.register_buffer("text", text[:, : self.kept] * scale)
        rows = torch.empty(len(text), identity_dim)
        self.rows = nn.Parameter(rows.normal_(0.0, _IDENTITY_STD, generator=generator))

    def forward(self) -> Tensor:
        """Rows of all items, (V, D)."""
        return torch.cat([self.text, self.rows], dim=1)

    def from_text(self, text: Tensor) -> Tensor:
        """Text and no identity."""
        none = text.new_zeros(len(text), self.rows.shape[1])
        return torch.cat([text[:, : self.kept] * self.scale, none], dim=1)


class IdentityPlusTextTable(ItemTable):
    """A trained vector plus a trained linear map of the text: ``rows + text @ W``."""

    def __init__(self, text: Tensor, dim: int, scale: float, generator: torch.Generator) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("text", text * scale)
        self.project = nn.Linear(text.shape[1], dim, bias=False)
        nn.init.xavier_normal_(self.project.weight, generator=generator)
        rows = torch.empty(len(text), dim)
        self.rows = nn.Parameter(rows.normal_(0.0, _IDENTITY_STD, generator=generator))

    def forward(self) -> Tensor:
        """Rows of all items, (V, D)."""
        rows: Tensor = self.rows + self.project(self.text)
        return rows

    def from_text(self, text: Tensor) -> Tensor:
        """Take the text's part alone."""
        rows: Tensor = self.project(text * self.scale)
        return rows


class IdentityBesideTextTable(IdentityPlusTextTable):
    """A trained vector of I dimensions beside a trained linear map of the text to D − I."""

    def __init__(
        self, text: Tensor, dim: int, identity_dim: int, scale: float, generator: torch.Generator
    ) -> None:
        super().__init__(text, dim - identity_dim, scale, generator)
        rows = torch.empty(len(text), identity_dim)
        self.rows = nn.Parameter(rows.normal_(0.0, _IDENTITY_STD, generator=generator))

    def forward(self) -> Tensor:
        """Rows of all items, (V, D)."""
        return torch.cat([self.rows, self.project(self.text)], dim=1)

    def from_text(self, text: Tensor) -> Tensor:
        """Take the text's part and no identity."""
        none = text.new_zeros(len(text), self.rows.shape[1])
        return torch.cat([none, self.project(text * self.scale)], dim=1)


_WITH_TEXT: dict[
    TableMode, Callable[[SequentialConfig, Tensor, int, int, torch.Generator], ItemTable]
] = {
    "llm_init": lambda c, text, _d, _i, _g: InitialisedTable(text, c.table_scale),
    "frozen_adapter": lambda c, text, d, _i, g: AdapterTable(text, d, c.table_scale, g),
    "bounded_delta": lambda c, text, _d, _i, _g: BoundedDeltaTable(
        text, c.table_scale, c.max_delta
    ),
    "null_space": lambda c, text, _d, i, g: NullSpaceTable(text, i, c.table_scale, g),
    "identity_plus_text": lambda c, text, d, _i, g: IdentityPlusTextTable(
        text, d, c.table_scale, g
    ),
    "identity_beside_text": lambda c, text, d, i, g: IdentityBesideTextTable(
        text, d, i, c.table_scale, g
    ),
}


def make_table(
    config: SequentialConfig,
    text: Tensor | None,
    *,
    n_items: int,
    dim: int,
    generator: torch.Generator,
) -> ItemTable:
    """Make the table that the settings name.

    Parameters
    ----------
    config : SequentialConfig
    text : float32 (n_items, R), optional
        Reduced text vectors; R is ``dim`` unless the mode maps them. None for a random table.
    n_items, dim : int
        V and D.
    generator : Generator
        Draws the first values.

    Raises
    ------
    ConfigError
        If the table needs text and there is none, or ``identity_dim`` leaves no room for it.
    """
    if config.item_table == "random":
        return RandomTable(n_items, dim, config.table_scale, generator)
    if text is None:
        raise ConfigError(f'item_table = "{config.item_table}" is made from text vectors')
    identity_dim = config.identity_dim or dim // 2
    if config.item_table in {"null_space", "identity_beside_text"} and not 0 < identity_dim < dim:
        raise ConfigError(
            f"identity_dim = {identity_dim} leaves no room for text in {dim} dimensions; "
            "make it smaller"
        )
    return _WITH_TEXT[config.item_table](config, text, dim, identity_dim, generator)
