"""A model that a hostile or broken writer left: refused by name or predicting, but never the end of the process."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from trader.forecasters.registry import installed


@pytest.mark.parametrize("count", [250, pytest.param(10_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("family", installed())
def test_no_mutated_model_ends_the_process(family: str, count: int) -> None:
    """Bytes, lengths and values of a genuine model are changed, its digest fits. In a process of its own, each is refused with a
    DataError or gives P(up) in [0, 1]; none ends the process and none takes long."""
    command = [sys.executable, "-m", "tests.support.model_mutants", family, str(count), "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    told = json.loads(done.stdout)
    assert told.keys() == {"refused", "taken"}, told
    assert sum(told.values()) == count
    assert told["refused"] > count // 2
