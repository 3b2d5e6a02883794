"""An exchange that quotes several symbols: each answered from its own bars, orders taken in the traded one alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.support.venue_kit import AT, FIRST, MARKET, Sim, running
from trader.core.costs import exact
from trader.core.types import HOUR_MS, Bars, Filters
from trader.exchange.listings import ListedSymbol
from trader.exchange.market import synthetic

ETH = synthetic("ETHUSDT", 8, FIRST, 600).bars
SOL = synthetic("SOLUSDT", 9, FIRST, 600).bars.rows(301, 600)  # its first bar opens at AT


def listed(bars: Bars, base: str) -> ListedSymbol:
    """A symbol with filters of its own."""
    return ListedSymbol(bars, base, "USDT", Filters.derived(1_500.0 if base == "ETH" else 15.0))


@pytest.fixture
def sim() -> Iterator[Sim]:
    """BTCUSDT is traded, two more are quoted; ETHUSDT ends two hours after AT."""
    short = ETH.until(AT + 2 * HOUR_MS)
    with running(others=(listed(SOL, "SOL"), listed(short, "ETH"))) as started:
        yield started


def get(sim: Sim, path: str) -> Any:
    """What is answered."""
    return sim.raw("GET", f"/api/v3/{path}").json


def test_klines_of_each_symbol_are_its_own(sim: Sim) -> None:
    """Closed bars to the digit, the newest still forming; a symbol that begins to trade now has that one alone."""
    rows = get(sim, "klines?symbol=ETHUSDT&interval=1h&limit=3")
    closed = ETH.row(AT)
    assert [float(row[4]) for row in rows[:2]] == ETH.close[closed - 1 : closed + 1].tolist()
    assert float(rows[2][4]) == float(ETH.open[closed + 1])
    assert [float(row[4]) for row in get(sim, "klines?symbol=SOLUSDT&interval=1h")] == [float(SOL.open[0])]
    assert rows != get(sim, "klines?symbol=BTCUSDT&interval=1h&limit=3")


def test_prices_of_each_symbol_are_its_own(sim: Sim) -> None:
    """The open of the hour, with the spread of the exchange's costs; without a name all of them, the traded one first."""
    price = exact(float(ETH.open[ETH.row(AT + HOUR_MS)]))
    assert Decimal(get(sim, "ticker/price?symbol=ETHUSDT")["price"]) == price
    book = get(sim, "ticker/bookTicker?symbol=ETHUSDT")
    assert Decimal(book["bidPrice"]) < price < Decimal(book["askPrice"])
    everything = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    for path in ("ticker/price", "ticker/bookTicker", "ticker/24hr"):
        assert [row["symbol"] for row in get(sim, path)] == everything
        named = get(sim, f'{path}?symbols=["SOLUSDT","BTCUSDT"]')
        assert [row["symbol"] for row in named] == ["SOLUSDT", "BTCUSDT"]
    assert get(sim, "depth?symbol=ETHUSDT&limit=5")["bids"][0][0] == book["bidPrice"]
    assert Decimal(get(sim, "avgPrice?symbol=ETHUSDT")["price"]) == price


def test_exchange_info_lists_all(sim: Sim) -> None:
    """Each with its own assets and filters; a symbol whose bars have ended trades no more, and keeps its last price."""
    rows = get(sim, "exchangeInfo")["symbols"]
    assert [(row["symbol"], row["baseAsset"]) for row in rows] == [
        ("BTCUSDT", "BTC"),
        ("ETHUSDT", "ETH"),
        ("SOLUSDT", "SOL"),
    ]
    assert rows[1]["filters"][0]["tickSize"] != rows[2]["filters"][0]["tickSize"]
    [row] = get(sim, "exchangeInfo?symbol=ETHUSDT")["symbols"]
    assert row["status"] == "TRADING"
    sim.exchange.venue.move_clock(AT + 5 * HOUR_MS)
    [row] = get(sim, "exchangeInfo?symbol=ETHUSDT")["symbols"]
    assert row["status"] == "BREAK"
    last = exact(float(ETH.close[ETH.row(AT + 2 * HOUR_MS)]))
    assert Decimal(get(sim, "ticker/price?symbol=ETHUSDT")["price"]) == last
    assert [it["symbol"] for it in get(sim, "exchangeInfo?symbolStatus=BREAK")["symbols"]] == ["ETHUSDT"]


def test_a_symbol_is_unknown_before_it_is_listed() -> None:
    """An hour before its first bar opens the exchange does not know the name."""
    later = listed(SOL.rows(1, len(SOL)), "SOL")
    with running(others=(later,)) as sim:
        for path in (
            "klines?symbol=SOLUSDT&interval=1h",
            "ticker/price?symbol=SOLUSDT",
            "exchangeInfo?symbol=SOLUSDT",
        ):
            assert get(sim, path)["code"] == -1121
        assert [row["symbol"] for row in get(sim, "ticker/price")] == ["BTCUSDT"]
        sim.exchange.venue.move_clock(AT + HOUR_MS)
        assert Decimal(get(sim, "ticker/price?symbol=SOLUSDT")["price"]) > 0


def test_only_the_traded_symbol_takes_orders(sim: Sim) -> None:
    """An order, a trade list or a commission of another symbol is refused by its name, and nothing is executed."""
    from binance.exceptions import BinanceAPIException

    calls: tuple[Callable[[], Any], ...] = (
        lambda: sim.client.order_market_buy(symbol="ETHUSDT", quantity="1"),
        lambda: sim.client.get_my_trades(symbol="ETHUSDT"),
        lambda: sim.client.get_open_orders(symbol="ETHUSDT"),
    )
    for call in calls:
        with pytest.raises(BinanceAPIException, match="Invalid symbol") as refused:
            call()
        assert refused.value.code == -1121
    assert sim.raw("GET", "/sim/ledger").json == []


def test_one_symbol_alone_answers_as_before() -> None:
    """Without others a list holds the one symbol, and another name is unknown."""
    with running() as sim:
        assert [row["symbol"] for row in get(sim, "ticker/bookTicker")] == ["BTCUSDT"]
        assert len(get(sim, "exchangeInfo")["symbols"]) == 1
        assert get(sim, "klines?symbol=ETHUSDT&interval=1h")["code"] == -1121
    assert len(MARKET.bars) == 600
