"""The first promise, family by family: the bot is the backtest run forward by one hour, whatever predicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.forecaster_contract import APART, QUICK
from tests.parity.test_replay_is_the_backtest import twins_of
from tests.support.bars_made import bars_made
from tests.support.rig import command, quick_params, venue
from tests.support.twins import told
from trader.adapters.files import write_bars
from trader.core.model_params import FAMILIES
from trader.core.types import HOUR_MS, parse_hour
from trader.forecasters.registry import installed

OTHERS = sorted(set(installed()) - {"xgboost"})  # whose parity the other files show
MISSING = (790, 791, 850, 851, 852, 880)


def params_of_family(family: str, **changes: Any) -> dict[str, Any]:
    """Eager to trade, so that there is something to compare."""
    model = {"family": family, **QUICK.get(family, {})}
    return quick_params(model=model, enter_edge=0.0, exit_edge=-0.02, step_days=2, **changes)


def test_every_family_is_compared() -> None:
    """All that the parameters can name are installed where this is tested, or compared by `make families`
    (tests/families/test_parity.py)."""
    assert {*installed(), *APART} == set(FAMILIES)


@pytest.mark.parametrize("horizon_hours", [1, 3])
@pytest.mark.parametrize("family", OTHERS)
def test_replay_writes_the_lines_of_the_backtest(tmp_path: Path, family: str, horizon_hours: int) -> None:
    """Days with outages, refits within, the next hour and three hours ahead: equal lines, and orders in them."""
    bars = bars_made(1_000, 3, missing=MISSING)
    twins = twins_of(bars, "2021-02-02", 120, params_of_family(family, horizon_hours=horizon_hours))
    backtest = twins.backtest()
    assert twins.replay(tmp_path / "store") == backtest
    counts = told(backtest)
    assert counts["orders"] >= 2
    assert counts["gap"] + counts["venue_closed"] >= 4


@pytest.mark.parametrize("family", OTHERS)
def test_a_loop_of_ticks_writes_the_same_lines(tmp_path: Path, family: str) -> None:
    """Eight hours with an outage among them, a process of its own each hour, by the two commands as a person types them."""
    explained = ticks_write_the_lines_of_the_backtest(tmp_path, family, 8)
    assert bool(explained["quantiles"]) == (family == "naive")


def ticks_write_the_lines_of_the_backtest(tmp_path: Path, family: str, hours: int) -> dict[str, Any]:
    """Of 2021-02-05 from 08:00 on; gives what `trader explain --json` says of the last hour."""
    bars, start = tmp_path / "BTCUSDT-1h.parquet", parse_hour("2021-02-05T08:00")
    write_bars(bars, bars_made(1_000, 3, missing=MISSING))
    (tmp_path / "P.json").write_text(json.dumps(params_of_family(family)))
    span = ("--bars", str(bars), "--from", "2021-02-05T08:00", "--to", f"2021-02-05T{8 + hours:02}:00")
    command("backtest", "run", *span, "--params", "P.json", "--hours-out", "backtest.jsonl", cwd=tmp_path)
    with venue(tmp_path, bars, start - HOUR_MS) as exchange:
        exchange.trader("retrain", "--params", "P.json")
        for i in range(hours):
            exchange.move_to(start + i * HOUR_MS)
            exchange.trader("tick", check=False)
        lines = exchange.journal()
        explained: dict[str, Any] = json.loads(exchange.trader("explain", "--json").stdout)
    assert lines == (tmp_path / "backtest.jsonl").read_text().splitlines()
    assert explained["p_up"] == json.loads(lines[-1])["p_up"]
    assert explained["model"]["family"] == family
    return explained
