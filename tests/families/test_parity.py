"""The first promise over the families that only `make families` installs: the bot is the backtest run forward by one hour."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contracts.forecaster_contract import APART
from tests.parity.test_families_parity import MISSING, params_of_family, ticks_write_the_lines_of_the_backtest
from tests.parity.test_replay_is_the_backtest import twins_of
from tests.support.bars_made import bars_made
from tests.support.twins import told
from trader.forecasters.registry import installed

# A term that `trader explain` shows of a model.
SHOWN = {"arima": "order", "prophet": "trend"}


def test_every_family_apart_is_compared() -> None:
    """All of them are installed where this is tested; tests/parity compares the others."""
    assert set(APART) <= set(installed())


@pytest.mark.parametrize("horizon_hours", [1, 3])
@pytest.mark.parametrize("family", APART)
def test_replay_writes_the_lines_of_the_backtest(tmp_path: Path, family: str, horizon_hours: int) -> None:
    """Days with outages, refits within, the next hour and three hours ahead: equal lines, and orders in them."""
    bars = bars_made(1_000, 3, missing=MISSING)
    twins = twins_of(bars, "2021-02-02", 120, params_of_family(family, horizon_hours=horizon_hours))
    backtest = twins.backtest()
    assert twins.replay(tmp_path / "store") == backtest
    assert told(backtest)["orders"] >= 2


@pytest.mark.parametrize("family", APART)
def test_a_loop_of_ticks_writes_the_same_lines(tmp_path: Path, family: str) -> None:
    """Seven hours with an outage among them, a process of its own each hour, by the two commands; `trader explain` shows what
    the model is made of."""
    explained = ticks_write_the_lines_of_the_backtest(tmp_path, family, 7)
    assert len(explained["quantiles"]) == 7
    assert family not in SHOWN or SHOWN[family] in explained["terms"]
