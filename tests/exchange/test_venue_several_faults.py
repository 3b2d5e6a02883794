"""Several symbols on one account: each has outages, statuses and faults of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
import requests
from binance.exceptions import BinanceAPIException

from tests.support.venue_kit import AT, BOOK, Sim, running, with_gap
from trader.core.types import HOUR_MS

BTC, ETH, SOL = BOOK
NAMES = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
CLOSED = {"code": -1001, "msg": "Internal error; unable to process your request. Please try again."}


@pytest.fixture
def sim() -> Iterator[Sim]:
    """BTCUSDT, ETHUSDT and SOLUSDT on an account of 10,000 USDT."""
    with running(traded=BOOK) as started:
        yield started


@pytest.fixture
def gapped() -> Iterator[Sim]:
    """ETHUSDT has no bar that opens at AT + 1 h; no symbol has one that opens at AT + 3 h."""
    eth = replace(ETH, bars=with_gap(ETH.bars, AT + 2 * HOUR_MS, AT + 4 * HOUR_MS))
    with running(
        traded=(replace(BTC, bars=with_gap(BTC.bars, AT + 4 * HOUR_MS)), eth),
        balances={"USDT": Decimal(10_000)},
    ) as started:
        yield started


NAMELESS = ("time", "ping", "exchangeInfo", "ticker/price", "ticker/bookTicker")
BOTH = "%5B%22BTCUSDT%22,%22ETHUSDT%22%5D"


def test_a_symbol_without_a_bar_is_shut_and_no_other_is(gapped: Sim) -> None:
    """In the hour that ETHUSDT lacks, what names it is 503, in a list of several too; BTCUSDT trades, and what names no symbol
    is answered. The clock names what is shut. Candles of ETHUSDT are told, as on Binance, up to the hour before."""
    gapped.to(AT + HOUR_MS)
    for name in ("klines", "uiKlines"):
        told = [gapped.raw("GET", f"/api/v3/{name}?interval=1h&symbol={it}&limit=1").json for it in NAMES[:2]]
        assert [rows[-1][0] for rows in told] == [AT + HOUR_MS, AT]
    for path in (
        "exchangeInfo?symbol=ETHUSDT",
        f"ticker/price?symbols={BOTH}",
    ):
        answer = gapped.raw("GET", f"/api/v3/{path}")
        assert (answer.status, answer.json) == (503, CLOSED), path
    assert gapped.signed("GET", "openOrders", symbol="ETHUSDT").status == 503
    assert gapped.trade("ETHUSDT", "BUY", "0.1") == CLOSED
    assert gapped.trade("BTCUSDT", "BUY", "0.1")["status"] == "FILLED"
    assert [gapped.raw("GET", f"/api/v3/{path}").status for path in NAMELESS] == [200] * len(NAMELESS)
    assert [gapped.signed("GET", path).status for path in ("account", "openOrders")] == [200, 200]
    clock = gapped.sim("clock")
    assert (clock["open"], clock["shut"]) == (True, ["ETHUSDT"])
    gapped.to(AT + 2 * HOUR_MS)
    assert gapped.trade("ETHUSDT", "BUY", "0.1")["status"] == "FILLED"
    assert "shut" not in gapped.sim("clock")


def test_the_venue_is_shut_when_every_symbol_is(gapped: Sim) -> None:
    """Then nothing is answered, as with one symbol."""
    gapped.to(AT + 3 * HOUR_MS)
    for path in (*NAMELESS, "klines?interval=1h&symbol=BTCUSDT", "ticker/price?symbol=XRPUSDT"):
        assert gapped.raw("GET", f"/api/v3/{path}").json == CLOSED, path
    assert gapped.signed("GET", "account").status == 503
    clock = gapped.sim("clock")
    assert (clock["open"], clock["shut"]) == (False, ["BTCUSDT", "ETHUSDT"])


def test_a_late_order_does_not_happen_in_an_hour_without_its_bar(gapped: Sim) -> None:
    """An order that is held back into the hour that its symbol lacks leaves no trace; another symbol's happens."""
    late = {"method": "POST", "path": "/api/v3/order", "action": "late_commit", "ms": HOUR_MS}
    gapped.sim("faults", [late])
    impatient = gapped.new_client(timeout_s=0.3)
    for symbol in NAMES[:2]:
        with pytest.raises(requests.ReadTimeout):
            impatient.create_order(symbol=symbol, side="BUY", type="MARKET", quantity="0.1")
    impatient.close_connection()
    gapped.to(AT + 2 * HOUR_MS - 1)
    assert [row["symbol"] for row in gapped.sim("ledger")] == ["BTCUSDT"]


def test_a_symbol_whose_bars_have_ended_is_no_longer_traded() -> None:
    """It is shut from then on, and exchangeInfo says BREAK of it, while the other trades."""
    with running(traded=(BTC, replace(ETH, bars=ETH.bars.until(AT + HOUR_MS)))) as sim:
        sim.to(AT + HOUR_MS)
        statuses = {
            row["symbol"]: row["status"] for row in sim.raw("GET", "/api/v3/exchangeInfo").json["symbols"]
        }
        assert statuses == {"BTCUSDT": "TRADING", "ETHUSDT": "BREAK"}
        assert sim.trade("ETHUSDT", "BUY", "0.1") == CLOSED


def statuses_of(sim: Sim, query: str = "") -> dict[str, str]:
    """What exchangeInfo says."""
    return {
        row["symbol"]: row["status"] for row in sim.raw("GET", f"/api/v3/exchangeInfo{query}").json["symbols"]
    }


def test_a_symbol_is_delisted_at_an_hour(sim: Sim) -> None:
    """From then on its status is BREAK, in an answer about all symbols too, and its orders are -1013 as on Binance; the other
    symbols trade on, and its coins stay on the account."""
    gone = {"action": "status", "status": "BREAK", "symbol": "ETHUSDT", "from": AT + HOUR_MS}
    sim.sim("faults", [gone])
    assert sim.trade("ETHUSDT", "BUY", "0.1")["status"] == "FILLED"
    assert set(statuses_of(sim).values()) == {"TRADING"}
    sim.to(AT + HOUR_MS)
    assert sim.trade("ETHUSDT", "SELL", "0.05") == {"code": -1013, "msg": "Market is closed."}
    with pytest.raises(BinanceAPIException, match="Market is closed"):
        sim.client.create_order(symbol="ETHUSDT", side="SELL", type="MARKET", quantity="0.05")
    assert sim.trade("BTCUSDT", "BUY", "0.1")["status"] == "FILLED"
    expected = {"BTCUSDT": "TRADING", "ETHUSDT": "BREAK", "SOLUSDT": "TRADING"}
    assert statuses_of(sim) == expected
    assert statuses_of(sim, f"?symbols={BOTH}") == {name: expected[name] for name in NAMES[:2]}
    assert sim.free("ETH") > 0


def test_a_halt_of_one_symbol_ends(sim: Sim) -> None:
    """For two hours its orders are refused, those of the others are not; afterwards it trades."""
    halt = {"action": "status", "symbol": "SOLUSDT", "from": AT, "until": AT + 2 * HOUR_MS}
    sim.sim("faults", [halt])
    for hour, code in ((0, -2010), (1, -2010), (2, None)):
        sim.to(AT + hour * HOUR_MS)
        assert sim.trade("SOLUSDT", "BUY", "1").get("code") == code
        assert sim.trade("ETHUSDT", "BUY", "0.01")["status"] == "FILLED"


def test_a_fault_of_a_symbol_meets_only_requests_that_name_it(sim: Sim) -> None:
    """An answer to BTCUSDT is spoilt, ETHUSDT's is not, nor is one that names no symbol; a list that holds it is; nth counts what
    names it."""
    broken = {"action": "reply", "status": 500, "symbol": "BTCUSDT", "nth": [1, 3], "path": "/api/*"}
    sim.sim("faults", [broken])
    paths = (
        "ticker/price?symbol=ETHUSDT",
        "time",
        "ticker/price?symbol=BTCUSDT",
        f"ticker/price?symbols={BOTH}",
    )
    assert [sim.raw("GET", f"/api/v3/{path}").status for path in paths] == [200, 200, 500, 500]
    assert sim.trade("ETHUSDT", "BUY", "0.1")["status"] == "FILLED"
    assert sim.signed("POST", "order", symbol="BTCUSDT").status == 500
    assert sim.sim("faults")[0]["seen"] == 3


def test_filters_change_at_one_symbol(sim: Sim) -> None:
    """Its coarser step refuses what it took before, in exchangeInfo it shows at this symbol alone."""
    step = {"LOT_SIZE": {"stepSize": "0.5", "minQty": "0.5"}}
    sim.sim("faults", [{"action": "filters", "symbol": "ETHUSDT", "set": step}])
    assert sim.trade("ETHUSDT", "BUY", "0.1")["msg"] == "Filter failure: LOT_SIZE"
    assert sim.trade("BTCUSDT", "BUY", "0.1")["status"] == "FILLED"
    info = sim.raw("GET", "/api/v3/exchangeInfo").json["symbols"]
    steps = {row["symbol"]: row["filters"][1]["stepSize"] for row in info}
    assert [name for name, said in steps.items() if said == "0.5"] == ["ETHUSDT"]


def test_a_scenario_is_bound_to_a_symbol(sim: Sim) -> None:
    """{"scenario": NAME, "symbol": S} makes each of its faults one of requests that name S."""
    sim.sim("faults", {"scenario": "symbol_delisted", "symbol": "ETHUSDT"})
    assert sim.trade("BTCUSDT", "BUY", "0.1")["status"] == "FILLED"
    assert sim.trade("ETHUSDT", "BUY", "0.1")["code"] == -1013


@pytest.mark.parametrize(
    ("symbol", "says"),
    [(7, "symbol must be a trading pair"), ("XRPUSDT", "no XRPUSDT here, only BTCUSDT, ETHUSDT, SOLUSDT")],
)
def test_a_fault_of_an_unknown_symbol_is_refused(sim: Sim, symbol: Any, says: str) -> None:
    """A misspelt symbol would never meet a request; the faults that were active stay."""
    sim.sim("faults", [{"name": "kept", "action": "status"}])
    with pytest.raises(AssertionError, match=says):
        sim.sim("faults", [{"action": "drop", "symbol": symbol}])
    assert [fault["name"] for fault in sim.sim("faults")] == ["kept"]


def test_a_fill_comes_to_one_symbol(sim: Sim) -> None:
    """The `fill` of a symbol fills its resting orders and no others."""
    for symbol, price in (("BTCUSDT", "20000"), ("ETHUSDT", "900")):
        sim.trade(symbol, "BUY", "0.01", price=price)
    sim.sim("faults", [{"action": "fill", "symbol": "ETHUSDT"}])
    assert [row["symbol"] for row in sim.signed("GET", "openOrders").json] == ["BTCUSDT", "ETHUSDT"]
    sim.signed("GET", "openOrders", symbol="ETHUSDT")
    assert [row["symbol"] for row in sim.signed("GET", "openOrders").json] == ["BTCUSDT"]
