"""Bars for parity."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.rig_bars import REAL, made_bars


@pytest.fixture(scope="session")
def gappy_bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made bars with outages, one of them over a retrain."""
    return made_bars(tmp_path_factory.mktemp("bars"), "2020-12-01", "2021-03-20")


@pytest.fixture(scope="session")
def btc_over_years(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real BTCUSDT where it is at hand, else made bars over the same years."""
    real = REAL / "BTCUSDT-1h.parquet"
    if real.exists():
        return real
    return made_bars(tmp_path_factory.mktemp("long"), "2019-10-01", "2022-03-05", seed=2)
