"""The price band on a real bot: bars from one host and orders to another, wrong prints, and books that are wide."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.bars_made import START as FIRST_BAR
from tests.support.bars_made import bars_made
from tests.support.rig import quick_params, venue
from tests.support.rig_bars import made_bars
from tests.support.screens import unwrapped
from tests.support.served import settings_at
from trader import wiring
from trader.adapters.clocks import SimClock
from trader.app.bot import Bot
from trader.app.explain import explain
from trader.app.explain_words import words
from trader.app.halts import announce, resume
from trader.app.retrain import retrain
from trader.app.status import status
from trader.app.store_check import check
from trader.app.story import hour_row
from trader.app.tick import tick
from trader.config import EMBEDDED_KEY, EMBEDDED_SECRET, Settings, load_settings
from trader.core.errors import ConfigError
from trader.core.params import params_of
from trader.core.records import HourRecord
from trader.core.types import HOUR_MS, Filters, parse_hour
from trader.dashboard.page import render
from trader.exchange.server import EmbeddedExchange, ExchangeConfig, TradedSymbol
from trader.observers.metrics import Metrics
from trader.observers.pages import series_of, view_of
from trader.observers.status_words import screen

PARAMS = params_of(quick_params(), "tests")
START, HOURS = parse_hour("2021-01-10"), 24

# Long from the first hour that predicts a rise; then nothing but a limit sells, and a tenth below the peak is one.
HOLDS = {
    "model": {"family": "naive"},
    "exit_edge": 0.49,
    "look_back_days": 10,
    "halt_drawdown": 0.1,
    "price_band": 0.02,
}
BEGINS = parse_hour(FIRST_BAR) + 600 * HOUR_MS


@dataclass
class Held:
    """A bot that holds a position, at an exchange that stands at the hour after its newest record."""

    bot: Bot
    exchange: EmbeddedExchange
    settings: Settings
    hour: int

    def faults(self, *faults: dict[str, Any]) -> None:
        """Replace the exchange's faults."""
        body = json.dumps(faults).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.exchange.url}/sim/faults", body), timeout=10)

    def next(self, hours: int = 1, late_ms: int = 0) -> HourRecord:
        """Let that many hours pass, tick in the last of them, and return its record."""
        self.hour += hours * HOUR_MS
        self.bot.clock.sleep((self.hour + late_ms - self.bot.clock.now_ms()) / 1000)
        assert tick(self.bot).outcome == "traded"
        record = self.bot.journal.record(self.hour)
        assert record is not None
        return record


@contextmanager
def flat(folder: Path, prints: Mapping[int, float], **changes: Any) -> Iterator[Held]:
    """A bot that has begun at BEGINS and not ticked. `prints`: closes by the hour after it that are this much too high."""
    params = params_of(quick_params(**{**HOLDS, **changes}), "tests")
    # Hour n after BEGINS is the close of bar 599 + n.
    bars = bars_made(700, 3, prints={599 + n: by for n, by in prints.items()})
    served = EmbeddedExchange(
        ExchangeConfig(
            traded=(TradedSymbol(bars, "BTC", "USDT", Filters.derived(30_000.0)),),
            costs=params.costs,
            at_ms=BEGINS - HOUR_MS,
            balances={"USDT": params.allocation_usdt},
            api_key=EMBEDDED_KEY,
            api_secret=EMBEDDED_SECRET,
        )
    )
    served.start()
    settings = settings_at(served.url, store=folder / "store")
    try:
        with (
            closing(SimClock(served.url)) as clock,
            wiring.open_bot(settings, clock, durable=False, keep_bars=False) as bot,
        ):
            retrain(bot.journal, bot.collector, bot.forecaster_of, params, BEGINS, "tests")
            yield Held(bot, served, settings, BEGINS - HOUR_MS)
    finally:
        served.stop()


@contextmanager
def holding(folder: Path, prints: Mapping[int, float] | None = None, **changes: Any) -> Iterator[Held]:
    """The same, six hours later and holding."""
    with flat(folder, prints or {}, **changes) as made:
        for _ in range(6):
            record = made.next()
        assert float(record.ledger.position) > 0
        yield made
    assert check(made.bot.journal).problems == []


def reasons(folder: Path, band: str) -> tuple[set[str], int]:
    """Reasons of a day's lines, and how many orders the venue executed."""
    (folder / "signal").mkdir()
    signal = made_bars(folder / "signal", "2020-11-01", "2021-01-20")
    venue_bars = made_bars(folder, "2020-11-01", "2021-01-20", price=48_000 * 1.05)
    before = START - HOUR_MS
    with venue(folder, venue_bars, before) as traded, venue(folder, signal, before) as market:
        settings = load_settings(
            venue_url=traded.url,
            data_url=market.url,
            api_key=EMBEDDED_KEY,
            api_secret=EMBEDDED_SECRET,
            store=folder / "store",
            price_band=band,
        )
        with (
            closing(SimClock(traded.url)) as clock,
            closing(SimClock(market.url)) as market_clock,
            wiring.open_bot(settings, clock, durable=False, keep_bars=False) as bot,
        ):
            retrain(bot.journal, bot.collector, bot.forecaster_of, PARAMS, START, "tests")
            for hour in range(START, START + HOURS * HOUR_MS, HOUR_MS):
                market_clock.move_to(hour)
                clock.move_to(hour)
                assert tick(bot).outcome == "traded"
                assert tick(bot).outcome == "done"
            lines = [record.line for record in bot.journal.records()]
            assert check(bot.journal).problems == []
        assert len(lines) == HOURS
        return {line.reason for line in lines}, len(traded.ledger())


def test_beyond_the_band_every_hour_is_recorded_and_none_is_traded(tmp_path: Path) -> None:
    """A band of 2 % and prices 5 % apart: a line for every hour, each with the reason, no order at the venue."""
    assert reasons(tmp_path, "0.02") == ({"price_band"}, 0)


def test_within_the_band_the_same_hours_trade(tmp_path: Path) -> None:
    """A band of 10 % at the same two exchanges: orders leave."""
    said, orders = reasons(tmp_path, "0.1")
    assert orders > 0
    assert "enter" in said
    assert "price_band" not in said


@pytest.mark.parametrize("edit", ["halved", "spike"])
def test_a_bad_print_moves_no_limit_and_is_seen(tmp_path: Path, edit: str) -> None:
    """A bar closes at half its price, or at 100,000, while the position is held: equity, base and peak stay, everything that
    shows the equity says unconfirmed, and the next honest hours neither halt nor sell."""
    with holding(tmp_path) as made:
        before = made.bot.journal.record(made.hour)
        assert before is not None
        made.faults({"path": "/api/v3/klines", "action": "klines", "edit": edit})
        bad = made.next()
        assert abs(float(bad.close / before.close) - 1) > 0.4
        assert (bad.line.reason, bad.unconfirmed, bad.mark) == ("price_band", True, before.close)
        assert (bad.line.equity, bad.equity_usdt, bad.risk) == (
            before.line.equity,
            before.equity_usdt,
            before.risk,
        )
        seen_by_a_person(made, bad)
        made.faults()
        after = [made.next() for _ in range(2)]
        assert [(it.halted, it.unconfirmed, it.line.reason) for it in after] == [(False, False, "hold")] * 2
        assert after[-1].ledger == before.ledger
        assert after[-1].risk.peak_equity < before.risk.peak_equity * Decimal("1.1")


def seen_by_a_person(made: Held, bad: HourRecord) -> None:
    """Status, journal, explanation, page and metrics."""
    journal = made.bot.journal
    report = status(journal, load_settings().breach_rule)
    assert (report["holding"]["unconfirmed"], report["holding"]["equity_usdt"]) == (
        True,
        report["line"]["equity"],
    )
    assert "unconfirmed: the close" in unwrapped(screen("status", report))
    assert hour_row(bad, "naive")[-1].endswith(" unconfirmed")
    assert "unconfirmed: marked at" in words(explain(journal, made.bot.forecaster_of, made.hour))
    series = series_of(journal)
    assert series["hours"][-1][1:3] == series["hours"][-2][1:3]
    page = render(view_of(journal, made.settings, series), series)
    assert "equity, USDT (unconfirmed)" in page
    assert page.count("(unconfirmed: marked at the last confirmed close)") == 1
    metrics = Metrics("BTCUSDT", lambda: made.hour)
    metrics.tell(bad)
    shown = metrics.registry.get_sample_value
    assert shown("trader_equity_unconfirmed", {"symbol": "BTCUSDT"}) == 1
    assert shown("trader_equity_usdt", {"symbol": "BTCUSDT"}) == float(bad.line.equity)


def test_a_wide_book_is_not_traded_at(tmp_path: Path) -> None:
    """A bid of 0.3 and an ask of 1.7 times the price have the price as their middle: no order leaves, in no hour that would
    buy, and the hour after the book has closed up buys."""
    with flat(tmp_path, {}) as made:
        price = 30_000.0
        book = {"symbol": "BTCUSDT", "bidQty": "1", "askQty": "1"}
        for _ in range(4):
            made.bot.clock.sleep((made.hour + HOUR_MS - made.bot.clock.now_ms()) / 1000)
            price = float(made.bot.exchange.quote("BTCUSDT").bid)
            wide = {**book, "bidPrice": f"{price * 0.3:.2f}", "askPrice": f"{price * 1.7:.2f}"}
            made.faults({"path": "/api/v3/ticker/bookTicker", "action": "reply", "body": wide})
            record = made.next()
            assert (record.line.order_side, record.ledger.orders) == (None, 0)
            made.faults()
        assert record.line.reason == "price_band"
        assert made.next().line.reason == "enter"


def test_a_missed_hour_is_marked_by_the_open_of_the_next_bar(tmp_path: Path) -> None:
    """The bot was away when a bar closed at half its price: the open that followed says that it never was the price."""
    with holding(tmp_path, {7: 0.5}) as made:
        last = made.next(hours=4)
        missed = [made.bot.journal.record(made.hour - n * HOUR_MS) for n in (3, 2, 1)]
        assert [it and (it.line.reason, it.unconfirmed, it.halted) for it in missed] == [
            ("missed", False, False),
            ("missed", True, False),
            ("missed", False, False),
        ]
        assert (last.halted, last.line.reason) == (False, "hold")


def test_a_late_tick_asks_the_book_of_its_own_minute(tmp_path: Path) -> None:
    """A quarter of an hour after a bar at half its price the hour is missed, and the book still says what the price is."""
    with holding(tmp_path, {6: 0.5}) as made:
        late = made.next(late_ms=HOUR_MS // 4)
        assert (late.line.reason, late.unconfirmed, late.halted) == ("missed", True, False)
        assert (made.next().line.reason, made.next().halted) == ("hold", False)


def test_an_epoch_begins_at_a_confirmed_equity(tmp_path: Path) -> None:
    """A person resumes in the very hour of a print at three times the price: the new epoch counts from the equity before."""
    with holding(tmp_path, {6: 3.0}) as made:
        before = made.bot.journal.record(made.hour)
        assert before is not None
        announce(made.bot.journal, made.hour, "person", freeze=True, by="person")
        resume(made.bot.journal, made.hour, "tests")
        bad = made.next()
        assert bad.risk.base_equity == bad.risk.peak_equity == before.equity_usdt
        assert not made.next().halted


@pytest.mark.parametrize(("venue", "band"), [("testnet", "0.2"), ("demo", "0.02"), ("live", "0.01")])
def test_each_venue_has_its_band(venue: str, band: str) -> None:
    """Documented defaults; the embedded exchange serves its own bars and needs none; a setting overrides them."""
    assert str(load_settings(venue=venue).band) == band
    assert load_settings().band is None
    assert str(load_settings(venue=venue, price_band="0.005").band) == "0.005"
    with pytest.raises(ConfigError, match="price_band"):
        load_settings(price_band="0")
