from __future__ import annotations

import sys

import pytest

from llmseq.device import check_device
from llmseq.errors import ConfigError, MissingExtraError


def test_devices_that_torch_cannot_use_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_device("cpu")
    with pytest.raises(ConfigError, match=r'torch cannot use the device "gpu7" here: \w'):
        check_device("gpu7")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match='the device "cpu" needs the extra "train"'):
        check_device("cpu")
