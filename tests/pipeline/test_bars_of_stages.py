"""Where a stage's bars come from: the market, and other symbols that a fit sees."""

from __future__ import annotations

import json

import pytest

from backtest.evidence.ledger import data_hash
from backtest.pipeline.stages_fitted import collected
from tests.pipeline.kit import Kitchen
from tests.support.bars_made import bars_made
from tests.support.served import exchange_at
from trader.adapters.files import read_bars, write_bars
from trader.core.errors import ConfigError
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.types import parse_hour


def test_bars_of_the_market_give_the_outputs_of_files(
    first_run: Kitchen, kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`trader collect` brings them from an embedded exchange; status asks no network before or after; an exchange that does not
    answer ends the run with 3 and keeps nothing half done."""
    file = kitchen.folder / "data" / "BTCUSDT-1h.parquet"
    market = file.rename(kitchen.folder / "market.parquet")
    kitchen.write('\n[collect]\nsource = "market"\n')
    file.unlink()
    monkeypatch.setenv("TRADER_VENUE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("TRADER_TIMEOUT_S", "1")
    assert kitchen.status()["collect/BTCUSDT"] == "it has never run"
    code, err = kitchen.fails()
    assert code == 3
    assert "stage collect/BTCUSDT failed: trader collect: " in err
    with exchange_at(market, parse_hour("2021-03-14"), params_of(DEFAULT_PARAMS, "tests")) as served:
        monkeypatch.setenv("TRADER_VENUE_URL", served.url)
        kitchen.run()
    assert kitchen.status() == {}
    wanted, bars = first_run.outputs(), "collect/BTCUSDT/bars.parquet"
    assert {name for name, data in kitchen.outputs().items() if data != wanted[name]} == {bars}
    here, there = (read_bars(it.out / "current" / bars, "BTCUSDT") for it in (kitchen, first_run))
    assert data_hash(here) == data_hash(
        there
    )  # but for columns that no family reads, such as the number of trades


def test_a_fit_on_two_symbols_is_that_of_backtest_run(kitchen: Kitchen) -> None:
    """`train_symbols` adds the other symbol's bars and features to what a stage reads: hours.jsonl has equal bytes, other bars
    of the other symbol run the fits again, and the certificate passes."""
    kitchen.write(families=("xgboost",))
    kitchen.write_bars("ETHUSDT", 2)
    kitchen.edit("look_back_days = 20", 'look_back_days = 20\ntrain_symbols = ["BTCUSDT", "ETHUSDT"]')
    ran = kitchen.run()
    assert {"collect/ETHUSDT", "features/ETHUSDT"} < set(ran)
    assert "predict/ETHUSDT/xgboost" not in ran
    folder = "out/current/backtest/BTCUSDT/xgboost"
    words = f"run --bars data --symbol BTCUSDT --params {folder}/P.json --from 2021-02-20 --to 2021-03-12"
    code, _, err = kitchen.ask(f"{words} --hours-out hours.jsonl --workers 1 --json")
    assert code == 0, err
    assert (kitchen.folder / folder / "hours.jsonl").read_bytes() == (
        kitchen.folder / "hours.jsonl"
    ).read_bytes()
    card = json.loads((kitchen.out / "current/train/BTCUSDT/xgboost/card.json").read_text())
    assert card["symbols"] == ["BTCUSDT", "ETHUSDT"]
    write_bars(kitchen.folder / "data" / "ETHUSDT-1h.parquet", bars_made(75 * 24, 3, symbol="ETHUSDT"))
    assert {"predict/BTCUSDT/xgboost", "train/BTCUSDT/xgboost"} < set(kitchen.status())


def test_a_symbol_that_is_only_learned_from_may_end_before_the_last_hour(kitchen: Kitchen) -> None:
    """As in `backtest run`, whose hours.jsonl has equal bytes; one without a bar by then is refused."""
    kitchen.write(families=("xgboost",))
    kitchen.write_bars("ETHUSDT", 2)
    file = kitchen.folder / "data" / "ETHUSDT-1h.parquet"
    whole = read_bars(file, "ETHUSDT")
    write_bars(file, whole.until(parse_hour("2021-03-01")))
    kitchen.edit("look_back_days = 20", 'look_back_days = 20\ntrain_symbols = ["BTCUSDT", "ETHUSDT"]')
    kitchen.run()
    folder = "out/current/backtest/BTCUSDT/xgboost"
    words = f"run --bars data --symbol BTCUSDT --params {folder}/P.json --from 2021-02-20 --to 2021-03-12"
    code, _, err = kitchen.ask(f"{words} --hours-out hours.jsonl --workers 1 --json")
    assert code == 0, err
    hours = (kitchen.folder / folder / "hours.jsonl").read_bytes()
    assert hours == (kitchen.folder / "hours.jsonl").read_bytes()
    settings = {"symbol": "ETHUSDT", "from": "2021-02-20", "to": "2021-03-12", "learned_from": True}
    with pytest.raises(ConfigError, match=r"holds .* to 2021-03-01"):
        collected(file, {**settings, "source": "market"})  # it may have more the next time
    write_bars(file, whole.rows(len(whole) - 20, len(whole)))
    code, err = kitchen.fails()
    assert code == 2
    assert (
        "ETHUSDT: there are no bars up to 2021-03-12T00:00:00Z; leave it out of train_symbols, or begin later"
        in err
    )
