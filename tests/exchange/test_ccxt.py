"""A second, independent client: ccxt with its own defaults; its addresses and keys alone are ours."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest

from tests.support.venue_kit import KEY, SECRET, SYMBOL, Sim, flat_bars, running
from trader.core.types import HOUR_MS, Filters, floor_hour
from trader.exchange.server import TradedSymbol

PAIR = "BTC/USDT"
# An order that rests would be filled at the turn of an hour; what is tested here takes a fraction of this.
CALM_S = 20
HOURS_BEFORE = 300


def flat_symbol(base: str, price: float, now_ms: int) -> TradedSymbol:
    """A symbol that has cost and will cost this."""
    bars = flat_bars(*[price] * 600, first=floor_hour(now_ms) - HOURS_BEFORE * HOUR_MS)
    return TradedSymbol(replace(bars, symbol=f"{base}USDT"), base, "USDT", Filters.derived(price))


def at_the_wall(**prices: float) -> AbstractContextManager[Sim]:
    """An exchange whose clock is the wall's: ccxt signs with its own time, which it does not adjust by default."""
    left_s = 3600 - time.time() % 3600
    time.sleep(left_s if left_s < CALM_S else 0)
    now_ms = int(time.time() * 1000)
    symbols = tuple(flat_symbol(base, price, now_ms) for base, price in prices.items())
    return running(traded=symbols, at_ms=now_ms, speed=1)


@pytest.fixture
def sim() -> Iterator[Sim]:
    """An exchange of one symbol."""
    with at_the_wall(BTC=30_000.0) as started:
        yield started


def client_of(sim: Sim, secret: str = SECRET) -> Any:
    """ccxt's binance with every host it knows replaced by the exchange, and nothing else changed."""
    import ccxt

    client = ccxt.binance({"apiKey": KEY, "secret": secret})
    client.urls["api"] = {
        name: re.sub(r"https://[^/]+", sim.exchange.url, address)
        for name, address in client.urls["api"].items()
    }
    return client


@pytest.fixture
def client(sim: Sim) -> Any:
    """A client that has loaded its markets."""
    loaded = client_of(sim)
    loaded.load_markets()
    return loaded


def test_it_loads_markets_coins_and_limits(client: Any) -> None:
    """One market, spot and active, with the exchange's filters as precision and limits; coins, and no contracts."""
    (market,) = client.markets.values()
    assert (market["symbol"], market["id"], market["spot"], market["active"]) == (PAIR, SYMBOL, True, True)
    assert (market["precision"]["amount"], market["precision"]["price"]) == (0.00001, 0.01)
    assert market["limits"]["cost"]["min"] == 5
    assert {"BTC", "USDT"} <= set(client.currencies)


def test_it_reads_bars_prices_and_book(sim: Sim, client: Any) -> None:
    """Bars page by `since`, the last one is forming; ticker and book show the quote."""
    this_hour = floor_hour(sim.now())
    newest = client.fetch_ohlcv(PAIR, "1h", limit=10)
    assert [row[0] for row in newest] == [this_hour - n * HOUR_MS for n in range(9, -1, -1)]
    since = this_hour - 200 * HOUR_MS
    page = client.fetch_ohlcv(PAIR, "1h", since=since, limit=100)
    assert (page[0][0], len(page)) == (since, 100)
    assert page[0][1:] == [30_000.0, 30_000.0, 30_000.0, 30_000.0, 1.0]
    ticker, book = client.fetch_ticker(PAIR), client.fetch_order_book(PAIR, 5)
    assert ticker["last"] == 30_000
    assert (book["bids"][0][0], book["asks"][0][0]) == (ticker["bid"], ticker["ask"]) == (29_997, 30_003)
    assert abs(client.fetch_time() - sim.now()) < 10_000


def test_it_buys_and_its_fills_and_balances_agree(client: Any) -> None:
    """A market order fills whole; its trades carry its commission, and the balance is what they leave."""
    order = client.create_order(PAIR, "market", "buy", 0.1)
    assert (order["status"], order["filled"], order["remaining"]) == ("closed", 0.1, 0)
    (trade,) = client.fetch_my_trades(PAIR)
    assert (trade["order"], trade["amount"], trade["takerOrMaker"]) == (order["id"], 0.1, "taker")
    assert (trade["fee"]["cost"], trade["fee"]["currency"]) == (0.0001, "BTC")
    balance = client.fetch_balance()
    assert balance["BTC"]["total"] == pytest.approx(0.0999, abs=1e-12)
    assert balance["USDT"]["free"] == pytest.approx(10_000 - order["cost"], abs=1e-9)
    assert client.fetch_order(order["id"], PAIR)["average"] == order["average"]


def test_it_trades_three_markets_on_one_account() -> None:
    """It loads three markets, buys in two, sees its balances, its trades and its open orders of each, and of all."""
    import ccxt

    with at_the_wall(BTC=30_000.0, ETH=1_500.0, SOL=15.0) as sim:
        client = client_of(sim)
        assert list(client.load_markets()) == [PAIR, "ETH/USDT", "SOL/USDT"]
        steps = [market["precision"]["amount"] for market in client.markets.values()]
        assert steps == sorted(set(steps))
        spent = client.create_order(PAIR, "market", "buy", 0.1)["cost"]
        spent += client.create_order("ETH/USDT", "market", "buy", 2)["cost"]
        resting = client.create_order("SOL/USDT", "limit", "buy", 4, 10)
        balance = client.fetch_balance()
        assert [balance[base]["total"] for base in ("BTC", "ETH", "SOL")] == [0.0999, 1.998, 0]
        assert balance["USDT"]["free"] == pytest.approx(10_000 - spent - 40, abs=1e-9)
        assert balance["USDT"]["used"] == 40
        (trade,) = client.fetch_my_trades("ETH/USDT")
        assert (trade["amount"], trade["fee"]["currency"]) == (2, "ETH")
        client.options["warnOnFetchOpenOrdersWithoutSymbol"] = False
        assert [row["id"] for row in client.fetch_open_orders()] == [resting["id"]]
        assert client.fetch_open_orders(PAIR) == []
        prices = {name: row["last"] for name, row in client.fetch_tickers().items()}
        assert prices == {PAIR: 30_000, "ETH/USDT": 1_500, "SOL/USDT": 15}
        sim.sim("faults", {"scenario": "symbol_delisted", "symbol": "SOLUSDT"})
        with pytest.raises(ccxt.MarketClosed, match="Market is closed"):
            client.create_order("SOL/USDT", "market", "buy", 1)


def test_it_cancels_a_half_filled_order(sim: Sim, client: Any) -> None:
    """Half is taken by a thin book, the rest waits with its money locked; cancelled, the money is back."""
    sim.sim("faults", [{"method": "POST", "path": "/api/v3/order", "action": "book", "share": "0.5"}])
    order = client.create_order(PAIR, "limit", "buy", 0.1, 30_010)
    assert (order["status"], order["filled"], order["remaining"]) == ("open", 0.05, 0.05)
    assert [row["id"] for row in client.fetch_open_orders(PAIR)] == [order["id"]]
    assert client.fetch_balance()["USDT"]["used"] == pytest.approx(0.05 * 30_010)
    cancelled = client.cancel_order(order["id"], PAIR)
    assert (cancelled["status"], cancelled["filled"]) == ("canceled", 0.05)
    assert client.fetch_open_orders(PAIR) == []
    balance = client.fetch_balance()
    assert balance["USDT"]["used"] == 0
    assert balance["USDT"]["free"] == pytest.approx(10_000 - cancelled["cost"], abs=1e-9)
    assert sum(trade["amount"] for trade in client.fetch_my_trades(PAIR)) == 0.05
    import ccxt

    with pytest.raises(ccxt.OrderNotFound, match="Unknown order sent"):
        client.cancel_order(order["id"], PAIR)


def test_it_knows_the_errors_it_is_given(sim: Sim, client: Any) -> None:
    """-1013, -2010, -1021 and -1022 arrive as ccxt's own exceptions for them, and nothing is booked."""
    import ccxt

    with pytest.raises(ccxt.BadRequest, match=r"-1013.*Filter failure: NOTIONAL"):
        client.create_order(PAIR, "market", "buy", 0.0001)
    with pytest.raises(ccxt.InsufficientFunds, match="insufficient balance"):
        client.create_order(PAIR, "market", "buy", 1)
    sim.sim("faults", {"scenario": "clock_behind_20s"})
    with pytest.raises(ccxt.InvalidNonce, match="-1021"):
        client.create_order(PAIR, "market", "buy", 0.01)
    sim.sim("faults", [])
    with pytest.raises(ccxt.AuthenticationError, match="-1022"):
        client_of(sim, "another secret").fetch_balance()
    assert sim.sim("ledger?all=true") == []


def test_it_stops_where_it_is_told_to(sim: Sim, client: Any) -> None:
    """429 and 418 are its DDoSProtection."""
    import ccxt

    for scenario in ("weight_429", "ban_418"):
        sim.sim("faults", {"scenario": scenario})
        with pytest.raises(ccxt.DDoSProtection):
            client.fetch_ticker(PAIR)
