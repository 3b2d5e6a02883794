"""A read ends with its answer, with Retry, or with what a person must mend; nothing foreign leaves it, a ban is kept."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.test_binance_orders import HTML, ORDER, WHOLE
from tests.support.fakes import FakeClock
from tests.support.raw_server import (
    INFO_ROW,
    NOW,
    Answer,
    close,
    drip,
    error,
    http,
    klines,
    raw,
    reset,
    serving,
    silence,
    spot,
)
from tests.support.venue_kit import AT, KEY, SECRET, SYMBOL, running
from trader import wiring
from trader.adapters.binance_client import DEAD, VenueAddress
from trader.adapters.binance_connection import Quota
from trader.adapters.binance_klines import BinanceKlines
from trader.adapters.binance_spot import BinanceSpot
from trader.config import load_settings
from trader.core.errors import ConfigError, Halt, Retry
from trader.core.ports import OwnTrade
from trader.core.types import HOUR_MS, Side, iso

PASSING: dict[str, Answer] = {
    "-1000": error(500, -1000, "An unknown error occurred while processing the request."),
    "-1001": error(503, -1001, "Internal error; unable to process your request. Please try again."),
    "-1006": error(500, -1006, "An unexpected response was received from the message bus."),
    "-1007": error(408, -1007, "Timeout waiting for response from backend server."),
    "-1008": error(503, -1008, "Server is currently overloaded with other requests."),
    "-2013 where it is no answer": error(400, -2013, "Order does not exist."),
    "500 with a page": http(500, HTML),
    "502 without a body": http(502),
    "400 []": http(400, []),
    "503 null": http(503, "null"),
    "400 with a code in words": http(400, {"code": "x", "msg": None}),
    "200 without a body": http(200),
    "200 null": http(200, "null"),
    "200 []": http(200, []),
    "200 no JSON": http(200, "ok"),
    "200 and then more": http(200, "{} trailing"),
    "200 brackets without end": http(200, "[" * 100_000),
    "200 another object": http(200, {"serverTime": "soon"}),
    "200 a float": http(200, {"serverTime": 1.7e12}),
    "redirect 301": http(301, "", {"Location": "/api/v3/ping"}),
    "redirect 302": http(302, "", {"Location": "/api/v3/ping"}),
    "redirect 307": http(307, "", {"Location": "/api/v3/ping"}),
    "a cut body": raw(WHOLE[:-9]),
    "closed": close,
    "reset": reset,
    "no status line": raw(b"hello\r\n\r\n"),
    "silence": silence,
    "a dripping head": drip(WHOLE, at_once=5),
    "a dripping body": drip(WHOLE, at_once=len(WHOLE) - 15),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_may_pass_is_tried_three_times_and_then_left_to_later(name: str) -> None:
    """Broken connections, busy servers and answers that make no sense end with Retry, never with a stranger's error."""
    slow = name in ("silence", "a dripping head", "a dripping body")
    clock = FakeClock(NOW)
    with serving(PASSING[name]) as server, spot(server.url, 0.15 if slow else 5.0, clock) as adapter:
        with pytest.raises(
            Retry,
            match=f"^(cannot reach the exchange at {server.url}.*start it with: trader exchange|{server.url} answered)",
        ) as caught:
            adapter.time_ms()
        assert (caught.value.until_ms, len(server.heard)) == (None, 3)
    assert clock.time_ms == NOW + 1_000


def test_a_passing_trouble_is_survived() -> None:
    """The second try's answer is as good as the first's."""
    with serving(reset, http(200, {"serverTime": NOW + 5})) as server, spot(server.url) as adapter:
        assert adapter.time_ms() == NOW + 5


FINAL: dict[str, tuple[Answer, str]] = {
    "-1002": (error(401, -1002, "You are not authorized to execute this request."), "TRADER_API_KEY"),
    "-1022": (error(400, -1022, "Signature for this request is not valid."), "TRADER_API_SECRET"),
    "-2008": (error(400, -2008, "Invalid Api-Key ID."), "TRADER_API_KEY"),
    "-2014": (error(401, -2014, "API-key format invalid."), "TRADER_API_KEY"),
    "-2015": (error(401, -2015, "Invalid API-key, IP, or permissions for action."), "TRADER_API_KEY"),
    "401": (http(401), "TRADER_API_KEY"),
    "-1016": (error(400, -1016, "This service is no longer available."), "for good"),
    "-1020": (error(400, -1020, "This operation is not supported."), "for good"),
    "-1099": (error(404, -1099, "Not found, authenticated, or authorized"), "for good"),
    "-1100": (error(400, -1100, "Illegal characters found in parameter 'symbol'"), "for good"),
    "-1121": (error(400, -1121, "Invalid symbol."), "check symbol and account"),
    "451": (error(451, 0, "Service unavailable from a restricted location"), "region"),
    "404": (http(404, HTML), "no exchange answers there"),
}


@pytest.mark.parametrize("name", FINAL)
def test_what_a_person_must_mend_is_asked_once(name: str) -> None:
    """Keys, regions, symbols and addresses do not mend themselves: one request, and the way out in words."""
    answer, says = FINAL[name]
    with serving(answer) as server, spot(server.url) as adapter:
        with pytest.raises(ConfigError, match=says) as caught:
            adapter.time_ms()
        assert len(server.heard) == 1
    assert caught.value.__context__ is None


def test_a_clock_that_ran_away_is_set_anew() -> None:
    """-1021 once: the offset is measured and the request signed again; -1021 for ever: Retry."""
    late = error(400, -1021, "Timestamp for this request is outside of the recvWindow.")
    clock = FakeClock(NOW - 30_000)
    with serving(openOrders=[late, http(200, [])]) as server, spot(server.url, clock=clock) as adapter:
        assert adapter.open_orders("BTCUSDT") == []
        stamps = [int(heard.params["timestamp"]) for heard in server.of("/api/v3/openOrders")]
    assert stamps == [NOW - 30_000, NOW + 500]  # after the pause between two tries
    with serving(openOrders=[late]) as server, spot(server.url) as adapter:
        with pytest.raises(Retry, match="-1021"):
            adapter.open_orders("BTCUSDT")
        assert len(server.heard) == 4


def test_order_not_found_is_an_answer() -> None:
    """-2013 to a query of an order means that there is none; the same code elsewhere does not."""
    gone = error(400, -2013, "Order does not exist.")
    with serving(gone) as server, spot(server.url) as adapter:
        assert adapter.find("BTCUSDT", "bot-1") is None
        with pytest.raises(Retry, match="-2013"):
            adapter.fills("BTCUSDT", 1)


Reading = Callable[[BinanceSpot], Any]
BALANCES = {"canTrade": True, "balances": [{"asset": "BTC", "free": "1.0", "locked": "0.0"}]}
STATE = {
    "symbol": "BTCUSDT",
    "orderId": 1,
    "clientOrderId": "bot-1",
    "side": "BUY",
    "status": "FILLED",
    "type": "MARKET",
    "origQty": "1.0",
    "executedQty": "1.0",
    "cummulativeQuoteQty": "9.0",
    "time": NOW,
}
TRADE = {
    "id": 3,
    "orderId": 1,
    "isBuyer": True,
    "price": "9.0",
    "qty": "1.0",
    "quoteQty": "9.0",
    "commission": "0.0",
    "commissionAsset": "BTC",
}
READS: dict[str, tuple[Reading, Any]] = {
    "exchangeInfo": (lambda a: a.filters("BTCUSDT"), {"symbols": [INFO_ROW]}),
    "ticker/bookTicker": (lambda a: a.quote("BTCUSDT"), {"bidPrice": "1.0", "askPrice": "1.1"}),
    "account": (lambda a: a.balances(), BALANCES),
    "order": (lambda a: a.find("BTCUSDT", "bot-1"), STATE),
    "openOrders": (lambda a: a.open_orders("BTCUSDT"), [STATE]),
    "myTrades": (lambda a: a.fills("BTCUSDT", 1), [TRADE]),
    "allOrders": (lambda a: a.orders("BTCUSDT", 1), [STATE]),
}
RUBBISH: tuple[Any, ...] = (None, [], {}, [None], [[]], 7, 1.5, "x", "NaN", "-1", "1e5", "１", True, {"a": 1})


def spoiled(good: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of every value within a reply."""
    items: Any = good.items() if isinstance(good, dict) else enumerate(good) if isinstance(good, list) else ()
    return [path, *(place for key, value in items for place in spoiled(value, (*path, key)))]


def put(good: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at a place."""
    if not path:
        return value
    copy = list(good) if isinstance(good, list) else dict(good)
    copy[path[0]] = put(good[path[0]], path[1:], value)
    return copy


@pytest.mark.parametrize("name", READS)
def test_a_reply_with_anything_wrong_in_it_ends_in_words(name: str) -> None:
    """Each value of each reply is replaced by each kind of rubbish: the read answers, or says so as one of ours."""
    ask, good = READS[name]
    refusals = 0
    others = {"myTrades": [http(200, [])], "allOrders": [http(200, [])]}
    with serving(scripts={**others, name: [http(200, good)]}) as server, spot(server.url) as adapter:
        assert ask(adapter) is not None
        adapter.assets("BTCUSDT")
        for place in spoiled(good):
            for value in RUBBISH:
                server.scripts[f"/api/v3/{name}"] = [http(200, put(good, place, value))]
                try:
                    ask(adapter)
                except (Retry, ConfigError, Halt):
                    refusals += 1
    assert refusals > 2 * len(RUBBISH)


@pytest.mark.parametrize("value", [0.1, 1, "NaN", "Infinity", "-1.0", "1e-5", "1_0", "", " 1", None])
def test_money_is_decimal_text_and_nothing_else(value: Any) -> None:
    """Floats, exponents, signs and words are not balances."""
    account = {"canTrade": True, "balances": [{"asset": "BTC", "free": value}]}
    unread = pytest.raises(Retry, match="cannot be read")
    with serving(http(200, account)) as server, spot(server.url) as adapter, unread:
        adapter.balances()


def test_halts_and_books_without_a_side() -> None:
    """A symbol that does not trade and an account that may not are halts; an empty or crossed book is for later."""
    with (
        serving(
            exchangeInfo=[http(200, {"symbols": [{**INFO_ROW, "status": "CANCEL_ONLY"}]})],
            account=[http(200, {"canTrade": False, "balances": []})],
        ) as server,
        spot(server.url) as adapter,
    ):
        with pytest.raises(Halt, match="BTCUSDT is CANCEL_ONLY") as halt:
            adapter.filters("BTCUSDT")
        assert halt.value.reason == "symbol_status"
        with pytest.raises(Halt, match="canTrade is false"):
            adapter.balances()
        with pytest.raises(ConfigError, match="does not list ETHUSDT"):
            adapter.filters("ETHUSDT")
    for bid, ask in (("0.00000000", "1.0"), ("1.0", "0.00000000"), ("2.0", "1.0")):
        book = http(200, {"bidPrice": bid, "askPrice": ask})
        with serving(book) as server, spot(server.url) as adapter, pytest.raises(Retry, match="one side"):
            adapter.quote("BTCUSDT")


def test_long_lists_are_read_to_their_end() -> None:
    """Pages of 1,000 follow each other by id, and a list without end is given up."""
    first = [{**STATE, "orderId": n, "clientOrderId": f"o-{n}"} for n in range(1, 1001)]
    last = [{**STATE, "orderId": 1001, "clientOrderId": "o-1001"}]
    pages = [http(200, first), http(200, last)]
    with serving(allOrders=pages, myTrades=[http(200, [])]) as server, spot(server.url) as adapter:
        assert adapter.orders("BTCUSDT", NOW)[-1].client_order_id == "o-1001"
        asked = [heard.params for heard in server.heard if heard.path == "/api/v3/allOrders"]
    assert (asked[0]["startTime"], asked[0]["limit"]) == (str(NOW), "1000")
    assert asked[1]["orderId"] == "1001"
    assert "startTime" not in asked[1]
    endless = pytest.raises(Retry, match="over 20,000 rows")
    with serving(allOrders=[http(200, first)]) as server, spot(server.url) as adapter, endless:
        adapter.orders("BTCUSDT", NOW)


def test_own_trades_carry_the_ids_of_their_orders() -> None:
    """Also those of an order that had been resting before the time asked for."""
    trades = [TRADE, {**TRADE, "id": 4, "orderId": 2, "isBuyer": False}]
    resting = {**STATE, "orderId": 2, "clientOrderId": "by-hand"}
    with (
        serving(
            myTrades=[http(200, trades)], allOrders=[http(200, [STATE])], order=[http(200, resting)]
        ) as server,
        spot(server.url) as adapter,
    ):
        assert adapter.trades("BTCUSDT", NOW) == [
            OwnTrade("bot-1", "BUY", Decimal(1), Decimal(9)),
            OwnTrade("by-hand", "SELL", Decimal(1), Decimal(9)),
        ]


def test_an_order_that_only_a_trade_shows_is_among_the_orders() -> None:
    """The list of orders lags behind the list of trades: the order of a trade is asked for by its number. Without a time the
    newest page is all there is."""
    late = {**STATE, "orderId": 2, "clientOrderId": "late"}
    script = {"myTrades": [http(200, [{**TRADE, "orderId": 2}])], "allOrders": [http(200, [STATE])]}
    with serving(scripts=script, order=[http(200, late)]) as server, spot(server.url) as adapter:
        for since in (NOW, None):
            assert [order.client_order_id for order in adapter.orders("BTCUSDT", since)] == ["bot-1", "late"]
        asked = [heard.params for heard in server.heard if heard.path == "/api/v3/allOrders"]
        assert ["startTime" in params for params in asked] == [True, False]


def test_check_tells_refusals_from_troubles() -> None:
    """order/test: "" would be accepted, a refusal is the venue's words, everything else is no verdict."""
    short = error(400, -2010, "Account has insufficient balance for requested action.")
    with serving(http(200, {}), short, http(502, HTML)) as server, spot(server.url) as adapter:
        order: tuple[str, Side, Decimal] = ("BTCUSDT", "BUY", Decimal("0.01"))
        assert adapter.check(*order) == ""
        assert "insufficient balance" in adapter.check(*order)
        with pytest.raises(Retry, match="502"):
            adapter.check(*order)
        assert {heard.path for heard in server.heard} == {"/api/v3/order/test"}


BANS = {
    "429 with Retry-After": (error(429, -1003, "Too much request weight used.", Retry_After="30"), 30),
    "418 with Retry-After": (error(418, -1003, "IP banned.", Retry_After="120"), 120),
    "418 that says until when": (error(418, -1003, f"IP banned until {NOW + 300_000}. Please."), 300),
    "418 without a word": (http(418), 120),
    "429 without a word": (http(429, []), 60),
    "429 for orders": (error(429, -1015, "Too many new orders.", Retry_After="11"), 11),
    "403 by the firewall": (http(403, HTML), 120),
    "a Retry-After beyond reason": (error(429, -1003, "x", Retry_After="999999999"), 3 * 86_400),
    "a Retry-After that is a date": (
        error(429, -1003, "x", Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"),
        60,
    ),
}


@pytest.mark.parametrize("name", BANS)
def test_a_ban_is_kept_to_its_end(name: str) -> None:
    """After 429, 418 and a firewall's 403 nothing at all is sent until the time is over, by whichever method."""
    answer, seconds = BANS[name]
    clock = FakeClock(NOW)
    until = NOW + seconds * 1000
    with (
        serving(answer, http(200, {"serverTime": NOW})) as server,
        spot(server.url, clock=clock) as adapter,
    ):
        for why in (r": http.* answered 4\d\d, code", "$"):
            with pytest.raises(Retry, match=f"forbids every request until {iso(until)}{why}") as banned:
                adapter.time_ms()
            assert banned.value.until_ms == until
        refused = adapter.send(ORDER)
        assert (refused.outcome, refused.message[:8]) == ("refused", "not sent")
        clock.time_ms = until - 10_001
        with pytest.raises(Retry):
            adapter.balances()
        assert len(server.heard) == 1
        clock.time_ms = until
        assert adapter.time_ms() == NOW


def test_a_short_ban_is_waited_out_on_the_clock() -> None:
    """Ten seconds or less are slept through the Clock, then the request goes on."""
    clock = FakeClock(NOW)
    short = error(429, -1003, "Too much request weight used.", Retry_After="9")
    with (
        serving(short, http(200, {"serverTime": NOW})) as server,
        spot(server.url, clock=clock) as adapter,
    ):
        assert adapter.time_ms() == NOW
        assert len(server.heard) == 2
    assert clock.time_ms == NOW + 9_000


@pytest.mark.parametrize("scenario", ["weight_429", "ban_418"])
def test_the_exchange_sees_no_request_during_its_ban(scenario: str) -> None:
    """At the embedded exchange, both sides of the bot keep a ban that one of them has met."""
    clock, quota = FakeClock(AT), Quota()
    with running() as sim:
        account = BinanceSpot(VenueAddress(sim.exchange.url, KEY, SECRET), clock, quota)
        market = BinanceKlines(VenueAddress(sim.exchange.url), clock, quota=quota)
        sim.sim("faults", {"scenario": scenario})
        with pytest.raises(Retry) as banned:
            account.time_ms()
        for _ in range(5):
            with pytest.raises(Retry):
                market.bars(SYMBOL, AT - 9 * HOUR_MS, AT)
            with pytest.raises(Retry):
                account.balances()
        assert [row["status"] for row in sim.sim("requests")] == [429 if "429" in scenario else 418]
        assert banned.value.until_ms is not None
        clock.time_ms = banned.value.until_ms
        sim.to(clock.time_ms)
        assert account.balances()["USDT"] == 10_000
        account.close()
        market.close()


def test_a_bot_keeps_a_ban_on_both_sides(tmp_path: Path) -> None:
    """As it is wired, the bot's market and its account are one visitor to one host: one request meets the ban, no other
    follows."""
    with running() as sim:
        settings = load_settings(
            venue="embedded",
            venue_url=sim.exchange.url,
            api_key=KEY,
            api_secret=SECRET,
            store=tmp_path / "state",
            bars=tmp_path / "data",
        )
        with wiring.open_bot(settings) as bot:
            sim.sim("faults", {"scenario": "ban_418"})
            with pytest.raises(Retry):
                bot.exchange.time_ms()
            with pytest.raises(Retry, match="forbids every request until"):
                bot.collector.between(AT - 9 * HOUR_MS, AT)
        assert [row["status"] for row in sim.sim("requests")] == [418]


def test_keys_are_needed_and_looked_at_before_anything_is_sent() -> None:
    """No key, half a key, and a key with a line break are refused without repeating it."""
    for key, secret in (("", ""), ("key", ""), ("", "secret")):
        with pytest.raises(ConfigError, match="needs an API key and its secret"):
            BinanceSpot(VenueAddress(DEAD, key, secret), FakeClock(NOW))
    for key, secret, which in (("ke\ny", "secret", "key"), ("key", "sécret", "secret")):
        with pytest.raises(ConfigError, match=f"the API {which} holds characters that no key has") as caught:
            BinanceSpot(VenueAddress(DEAD, key, secret), FakeClock(NOW))
        assert "y'" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://[half", "127.0.0.1:8900", "ftp://host", "http://"])
def test_an_address_that_is_none_is_said_before_anything_is_asked(url: str) -> None:
    """Nothing can be asked there, now or later: a person must act."""
    with pytest.raises(ConfigError, match="is no address of an exchange; write https://"), klines(url):
        pass
