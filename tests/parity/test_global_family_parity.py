"""The first promise for a family that is fitted on several symbols: over refits, backtest, replay and ticks write the same
lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.parity.test_replay_is_the_backtest import twins_of
from tests.support.global_family import known, params_text, three_symbols, written
from tests.support.rig import command, venue
from tests.support.twins import told
from trader.adapters.files import write_bars
from trader.core.types import HOUR_MS, Bars, parse_hour

BTC, ETH, SOL = three_symbols()


@pytest.fixture(autouse=True)
def _pooled(tmp_path: Path) -> Iterator[None]:
    with known(tmp_path):
        yield


def bot_in(folder: Path, *series: Bars) -> Path:
    """A user's folder: the family's file, the parameters, and the bars of each symbol."""
    written(folder)
    (folder / "trader.toml").write_text('model_module = "pooled.py"\n')
    (folder / "P.json").write_text(json.dumps(params_text()))
    (folder / "data").mkdir()
    for bars in series:
        write_bars(folder / "data" / f"{bars.symbol}-1h.parquet", bars)
    return folder / "data"


@pytest.mark.parametrize("symbol", ["BTCUSDT", "SOLUSDT"])
def test_replay_writes_the_lines_of_the_backtest(tmp_path: Path, symbol: str) -> None:
    """Five days with outages and two refits, the traded symbol the oldest or the youngest: equal lines, and orders in them."""
    traded = {"BTCUSDT": BTC, "SOLUSDT": SOL}[symbol]
    others = tuple(it for it in three_symbols() if it.symbol != symbol)
    start, days = ("2021-02-02", 15) if symbol == "BTCUSDT" else ("2021-02-08", 10)
    twins = twins_of(traded, start, 74, params_text(look_back_days=days))
    twins = replace(twins, others=others)
    backtest = twins.backtest()
    assert twins.replay(tmp_path / "store") == backtest
    assert told(backtest)["orders"] >= 2
    alone = replace(
        twins_of(traded, start, 74, params_text(look_back_days=days, train_symbols=None)), others=()
    )
    assert alone.backtest() != backtest


def test_an_outage_of_another_symbol_when_the_model_is_trained_changes_nothing(tmp_path: Path) -> None:
    """Where only its bar is missing then, the training goes through a quarter past, as the schedule has it, when a bar that is
    still missing will not come: the new model serves its first hour, as in the backtest."""
    trained_at = parse_hour("2021-02-03T23:00")
    flagged = ETH.flagged.copy()
    flagged[[ETH.row(trained_at), ETH.row(trained_at + HOUR_MS)]] = True
    twins = replace(
        twins_of(BTC, "2021-02-02", 50, params_text()), others=(replace(ETH, flagged=flagged), SOL)
    )
    backtest = twins.backtest()
    assert twins.replay(tmp_path / "store") == backtest


def test_the_commands_take_a_folder(tmp_path: Path) -> None:
    """`backtest run` and a loop of `trader tick` over a refit, from the same folder of bars, write the same lines; the bot
    collects the bars of all three."""
    folder = bot_in(tmp_path, BTC, ETH, SOL)
    start, hours = parse_hour("2021-02-05"), 52
    span = ("--bars", str(folder), "--symbol", "BTCUSDT", "--from", "2021-02-05", "--to", "2021-02-07T04:00")
    command("backtest", "run", *span, "--params", "P.json", "--hours-out", "backtest.jsonl", cwd=tmp_path)
    command("trader", "replay", *span, "--params", "P.json", "--hours-out", "replay.jsonl", cwd=tmp_path)
    lines = (tmp_path / "backtest.jsonl").read_text().splitlines()
    assert (tmp_path / "replay.jsonl").read_text().splitlines() == lines
    with venue(tmp_path, folder, start - HOUR_MS) as exchange:
        exchange.settings["TRADER_BARS"] = str(tmp_path / "collected")
        exchange.trader("retrain", "--params", "P.json")
        for i in range(hours):
            exchange.move_to(start + i * HOUR_MS)
            if i in (0, 1, 2, 47, 48, 49, 50, 51):
                exchange.trader("tick", check=False)
            if i == 47:
                exchange.trader("retrain", "--if-due")
        card = json.loads(exchange.trader("models", "card", "20210207T00", "--json").stdout)
        ticked = exchange.journal()
    assert card["symbols"] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert sorted(it.name for it in (tmp_path / "collected").iterdir() if it.suffix == ".parquet") == [
        f"{it}-1h.parquet" for it in card["symbols"]
    ]
    assert [json.loads(it)["p_up"] for it in ticked[:3]] == [json.loads(it)["p_up"] for it in lines[:3]]
    assert [json.loads(it)["p_up"] for it in ticked[47:]] == [json.loads(it)["p_up"] for it in lines[47:52]]
