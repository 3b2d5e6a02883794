"""Bars for crashes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rig_bars import made_bars


@pytest.fixture(scope="session")
def gappy_bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made bars with outages."""
    return made_bars(tmp_path_factory.mktemp("bars"), "2020-12-01", "2021-03-20")
