"""Where a training stands, in one file that is replaced whole: tensors, and JSON in its header."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from llmseq.errors import ArtifactError
from llmseq.storage import atomic_file

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One training's file.

    Parameters
    ----------
    path : Path
        The file; its folder is made when needed.
    key : str
        Hash of everything that the training follows from. A file with another key is refused.
    """

    path: Path
    key: str

    def write(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Replace the file; a kill at any moment leaves the old one or the new one."""
        header = {"key": self.key, "state": json.dumps(state)}
        with atomic_file(self.path) as temporary:
            save_file(tensors, temporary, metadata=header)

    def read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Read what was written last; None where nothing was.

        Raises
        ------
        ArtifactError
            If the file is damaged or belongs to another training.
        """
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                header = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            state = json.loads(header["state"])
        except (SafetensorError, KeyError, json.JSONDecodeError) as error:
            raise ArtifactError(
                f"{self.path}: damaged checkpoint ({error}); delete it to train from the start"
            ) from error
        if header.get("key") != self.key:
            raise ArtifactError(
                f"{self.path}: a checkpoint of a training with other data or settings; "
                "delete it or give another folder"
            )
        return tensors, state
