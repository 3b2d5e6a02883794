"""The first promise: the bot is the backtest run forward by one hour."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.bars_made import bars_made
from tests.support.rig import anew, command, quick_params, venue
from tests.support.twins import Twins, told
from trader.adapters.files import read_bars
from trader.adapters.store_local import LocalStore
from trader.app.journal import Journal
from trader.app.store_check import check
from trader.core.hours import HourLine, Rules
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.summary import summarise
from trader.core.types import HOUR_MS, Bars, Filters, parse_hour, plain

# Over an outage and a second training, for which the short span changes the days of a step and nothing else.
BTC_SPANS = [
    ("2021-04-20", "2021-05-01", 6),
    pytest.param("2022-01-01", "2022-03-01", 30, marks=pytest.mark.long),
    pytest.param("2020-02-01", "2020-03-10", 30, marks=pytest.mark.long),
]
# Symbol, price, digits after the point, and the step of quantity that follows. Real ones are in benchmarks/parity.py.
SYMBOLS = [
    ("ETHUSDT", 1_500.0, 2, "0.0001"),
    ("SOLUSDT", 14.0, 4, "0.01"),
    ("XRPUSDT", 0.5, 5, "1"),
    ("SHIBUSDT", 2e-5, 9, "10000"),
]


def twins_of(bars: Bars, start: str, hours: int, params: dict[str, Any]) -> Twins:
    """Twins with the filters that suit the price at the start."""
    first = parse_hour(start)
    rules = Rules(params_of(params, "tests"), Filters.derived(float(bars.close[bars.row(first)])))
    return Twins(bars, rules, first, first + hours * HOUR_MS)


def hit_rate_of(lines: list[HourLine], twins: Twins) -> float:
    """The hit rate of written lines."""
    told = summarise(
        lines, twins.bars, twins.rules, orders=0, fills=0, trades=[], halted_at=None, seconds=0.0
    )
    return float(told["hit_rate"])


def test_replay_writes_the_lines_of_the_backtest(tmp_path: Path, gappy_bars: Path) -> None:
    """Five days with outages and a retrain: the files that the two commands write are equal to the byte, though each is an
    interpreter of its own, with a hash seed of its own."""
    (tmp_path / "P.json").write_text(json.dumps(quick_params(step_days=4)))
    span = ("--bars", str(gappy_bars), "--from", "2021-03-05", "--to", "2021-03-10", "--params", "P.json")
    anew("backtest", "run", *span, "--hours-out", "backtest.jsonl", "--json", cwd=tmp_path)
    anew("trader", "replay", *span, "--hours-out", "replay.jsonl", "--json", cwd=tmp_path)
    backtest = (tmp_path / "backtest.jsonl").read_text()
    assert backtest == (tmp_path / "replay.jsonl").read_text()
    reasons = {json.loads(line)["reason"] for line in backtest.splitlines()}
    assert {"gap", "venue_closed", "enter", "leave"} <= reasons


def test_a_discount_paid_in_another_asset_is_replayed_to_the_byte(tmp_path: Path, gappy_bars: Path) -> None:
    """With `fee_discount` the replay's exchange charges in BNB and the bot books its value: the backtest's very lines."""
    (tmp_path / "P.json").write_text(json.dumps(quick_params(fee_discount=0.25)))
    span = ("--bars", str(gappy_bars), "--from", "2021-03-05", "--to", "2021-03-07", "--params", "P.json")
    command("backtest", "run", *span, "--hours-out", "backtest.jsonl", "--json", cwd=tmp_path)
    replayed = ("--hours-out", "replay.jsonl", "--store", "kept", "--json")
    command("trader", "replay", *span, *replayed, cwd=tmp_path)
    backtest = (tmp_path / "backtest.jsonl").read_text()
    assert backtest == (tmp_path / "replay.jsonl").read_text()
    journal = Journal(LocalStore(tmp_path / "kept"), "BTCUSDT")
    fills = [fill for record in journal.records() for fill in record.fills]
    assert {(fill.commission_in, fill.other_asset, fill.other_price) for fill in fills} == {
        ("other", "BNB", 1)
    }
    assert check(journal).problems == []
    rows = [json.loads(line) for line in backtest.splitlines()]
    assert {row["position"] for row in rows if row["order_side"] == "SELL"} == {"0"}, "there is no dust"


def test_a_loop_of_ticks_writes_the_same_lines(tmp_path: Path, gappy_bars: Path) -> None:
    """A day and a half, two outages among them, a process of its own each hour: moving the clock and `trader tick` give the
    backtest's lines. (72 fresh interpreters are in benchmarks/parity.py.)"""
    start, hours = parse_hour("2021-03-06"), 36
    (tmp_path / "P.json").write_text(json.dumps(quick_params()))
    span = ("--bars", str(gappy_bars), "--from", "2021-03-06", "--to", "2021-03-07T12:00")
    command("backtest", "run", *span, "--params", "P.json", "--hours-out", "backtest.jsonl", cwd=tmp_path)
    answers = set()
    with venue(tmp_path, gappy_bars, start - HOUR_MS) as exchange:
        exchange.trader("retrain", "--params", "P.json")
        for i in range(hours):
            exchange.move_to(start + i * HOUR_MS)
            answers.add(exchange.trader("tick", check=False).returncode)
        lines = exchange.journal()
    assert lines == (tmp_path / "backtest.jsonl").read_text().splitlines()
    assert answers == {0, 3}  # 3 while the venue was shut
    assert told(lines)["orders"] >= 5


@pytest.mark.parametrize(("start", "stop", "step_days"), BTC_SPANS)
def test_parity_over_weeks(
    tmp_path: Path, btc_over_years: Path, start: str, stop: str, step_days: int
) -> None:
    """The documented parameters over weeks of BTCUSDT, outages and a second training included."""
    hours = (parse_hour(stop) - parse_hour(start)) // HOUR_MS
    twins = twins_of(
        read_bars(btc_over_years, "BTCUSDT"), start, hours, {**DEFAULT_PARAMS, "step_days": step_days}
    )
    assert twins.replay(tmp_path / "store") == twins.backtest()


@pytest.mark.parametrize(("symbol", "price", "decimals", "step"), SYMBOLS, ids=[row[0] for row in SYMBOLS])
def test_parity_on_other_symbols(tmp_path: Path, symbol: str, price: float, decimals: int, step: str) -> None:
    """Other prices, other steps of quantity, whole coins and ten thousands of them: and orders in each."""
    bars = bars_made(1_000, 3, missing=(850, 851), symbol=symbol, price=price, decimals=decimals)
    twins = twins_of(bars, "2021-02-03", 96, quick_params())
    assert plain(twins.rules.filters.step_size) == step
    backtest = twins.backtest()
    assert twins.replay(tmp_path / "store") == backtest
    assert told(backtest)["orders"] >= 10


@pytest.mark.parametrize("label", ["direction", "direction_beyond_cost"])
def test_parity_of_calls_about_a_later_close(tmp_path: Path, label: str) -> None:
    """Calls about the close four hours ahead, outages among them: what is entered is held for four hours by both hosts,
    and the bot scores its calls as the summary does."""
    bars = bars_made(1_000, 3, missing=(850, 851))
    cheap = {"fee_rate": 0, "half_spread_bps": 0.1, "slippage_bps": 0} if label != "direction" else {}
    params = quick_params(horizon_hours=4, label=label, step_days=2, **cheap)
    twins = twins_of(bars, "2021-02-03", 120, params)
    backtest = twins.backtest()
    assert twins.replay(tmp_path / "store") == backtest
    rows = [json.loads(line) for line in backtest]
    orders = [(i, row["reason"]) for i, row in enumerate(rows) if row["order_side"]]
    waited = [j - i for (i, _), (j, why) in itertools.pairwise(orders) if why == "leave"]
    assert len(orders) >= 10
    assert min(waited) == 4
    hourly = twins_of(bars, "2021-02-03", 120, {**params, "horizon_hours": 1, "label": "direction"})
    assert told(hourly.backtest())["orders"] > len(orders)
    records = [*Journal(LocalStore(tmp_path / "store"), "BTCUSDT").records()]
    assert check(Journal(LocalStore(tmp_path / "store"), "BTCUSDT")).problems == []
    last = records[-1].totals
    assert last.hits / last.scored == hit_rate_of([record.line for record in records[:-4]], twins)
