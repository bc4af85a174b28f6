from __future__ import annotations

import pytest
from pydantic import field_validator

from llmseq.config import Config
from llmseq.errors import ConfigError


class Owned(Config):
    dim: int = 3
    name: str = "LLM"

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name != "LLM":
            raise ValueError("must be LLM")
        return name


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"dim": "x"}, "thing: dim = 'x': input should be a valid integer"),
        ({"name": "other"}, "thing: name = 'other': must be LLM$"),
        ({"dims": 3}, 'thing: unknown setting "dims"; choose from dim, name'),
    ],
)
def test_the_first_wrong_setting_is_named(values: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=f"^{says}"):
        Owned.make(values, what="thing")


def test_a_copy_is_checked_too() -> None:
    assert Owned().replace(dim=4) == Owned(dim=4)
    with pytest.raises(ConfigError, match="Owned: name = 'x'"):
        Owned().replace(name="x")
