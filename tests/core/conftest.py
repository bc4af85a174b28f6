"""Every test that takes ``kernels`` runs on the compiled core and on its NumPy twin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import llmseq.core
import llmseq.testing.reference

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture(params=["compiled", "reference"])
def kernels(request: pytest.FixtureRequest) -> ModuleType:
    return llmseq.core if request.param == "compiled" else llmseq.testing.reference
