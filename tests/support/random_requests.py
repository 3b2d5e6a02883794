"""Random requests out of bytes that Hypothesis draws: every byte is a choice, and zero is always the plain one."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import quote

from tests.support.venue_kit import KEY, SECRET
from trader.core.types import HOUR_MS
from trader.exchange.routes import ROUTES
from trader.exchange.sim_api import SIM_ROUTES

BYTES_PER_REQUEST = 16
# What the quantities below are worth something at.
USUAL_PRICE = Decimal(30_000)
T = TypeVar("T")

QUANTITIES = ("0.01", "0.001", "0.002", "0.05", "0.1", "0.004", "0.3", "0.012", "0.00034", "1")
ODD_QUANTITIES = (
    *("0.00001", "0.0001", "0.000015", "0", "-1", "1e-5", "0.123456789", "99999999999999999999", "", "NaN"),
    *("99999999999999999999.99999999", "\u0661", "Infinity", "0x1", " 1", "1 ", "1,5", "."),
)
PRICE_FACTORS = ("1", "0.9999", "1.0001", "0.999", "1.001", "0.99", "1.01", "0.9", "1.1", "0.1", "6")
ODD_PRICES = (
    "0",
    "-1",
    "1e4",
    "30000.001",
    "30000.123456789",
    "",
    "abc",
    "99999999999999999999",
    "0.00000001",
)
CLIENT_IDS = ("a", "b", "c", "d-1", "e_2", "x" * 36)
ODD_IDS = ("x" * 37, "bad id", "\u00fc", "", "a:b", "'; --")
JUNK = (
    "",
    "0",
    "-1",
    "1",
    "true",
    "null",
    "[]",
    "{}",
    "%",
    "\u0000",
    "\ufffd",
    "9" * 20,
    "9" * 21,
    "[" * 3_000,
)
NAMES = (
    *("symbol", "symbols", "interval", "limit", "startTime", "endTime", "timeZone", "orderId", "fromId"),
    *("origClientOrderId", "newClientOrderId", "side", "type", "timeInForce", "quantity", "quoteOrderQty"),
    *("price", "stopPrice", "icebergQty", "trailingDelta", "newOrderRespType", "selfTradePreventionMode"),
    *("strategyId", "strategyType", "cancelRestrictions", "computeCommissionRates", "omitZeroBalances"),
    *("recvWindow", "timestamp", "symbolStatus", "permissions", "showPermissionSets", "colour", "signature"),
)
PUBLIC = [(method, path) for (method, path), route in ROUTES.items() if not route.is_signed]
READS = [(m, path) for (m, path), route in ROUTES.items() if route.is_signed and m == "GET"]
# Faults that answer at once; those that stall have tests of their own.
FAULTS: tuple[dict[str, Any], ...] = (
    {"action": "book", "share": "0.5"},
    {"action": "book", "share": "0", "nth": [1, 20]},
    {"action": "book", "base": "0.003", "fills": 3},
    {
        "action": "filters",
        "symbol": "BTCUSDT",
        "set": {"LOT_SIZE": {"stepSize": "0.002", "minQty": "0.002"}},
    },
    {"action": "status", "status": "HALT", "nth": [5, 60]},
    {"action": "status", "status": "BREAK", "symbol": "ETHUSDT", "nth": [5, 60]},
    {"action": "reply", "status": 500, "symbol": "BTCUSDT", "nth": [5, 20]},
    {"action": "skew", "ms": 700, "nth": [10, 30]},
    {"action": "skew", "ms": -20_000, "nth": [10, 30]},
    {"action": "lag", "ms": 5_000},
    {"action": "limit_429", "seconds": 5, "nth": 40},
    {"action": "ban_418", "seconds": 30, "nth": 50},
    {"action": "revoke_key", "nth": [20, 30]},
    {"action": "no_trade", "nth": [20, 40]},
    {"action": "bad_signature", "nth": [20, 40]},
    {"action": "wipe", "nth": 70},
    {"action": "fill", "nth": [30, 40]},
    {"action": "fill", "symbol": "ETHUSDT", "nth": [3, 9]},
    {"action": "advance", "ms": 1_500, "nth": [1, 9]},
    {"action": "advance", "ms": 3_000, "phase": "after", "nth": [1, 9]},
    {"action": "reply", "status": 500, "phase": "after", "nth": [3, 6]},
    {"action": "reply", "status": 502, "body": "<html>", "nth": [7, 9]},
    {"action": "truncate", "nth": [11, 13]},
    {"action": "reset", "phase": "after", "nth": [14, 16]},
    {"action": "close", "nth": [17, 19]},
    {"action": "hang_up", "nth": [2, 20]},
    *({"action": "klines", "edit": edit} for edit in ("nan", "late", "gap", "short")),
)
BAD_CONTROLS = (
    *(b"", b"{", b"[]", b"null", b'{"to": null}', b'{"to": true}', b'{"to": 1.5}', b'{"to": "noon"}'),
    *(b'{"to": -1}', b'{"to": 0}', b'{"to": 99999999999999999999999}', b"[" * 5_000),
    *(b'{"scenario": []}', b'{"scenario": "nobody"}', b'[{"action": "drop", "nth": -1}]', b"\xff\xfe"),
    *(b'[{"action": "deposit", "asset": [], "amount": "1"}]', b'[{"action": "book", "share": "-1"}]'),
    *(b'[{"action": "deposit", "asset": "BTC", "amount": "NaN"}]', b'[{"action": "reply", "status": "x"}]'),
    *(b'[{"action": "drop", "symbol": []}]', b'[{"action": "drop", "symbol": "NOPE"}]'),
    *(b'{"scenario": "symbol_halt", "symbol": 7}', b'{"scenario": "symbol_halt", "symbol": "NOPE"}'),
    *(b'[{"action": "status", "status": 7}]', b'[{"action": "delay", "seconds": Infinity}]'),
    *(b'[{"action": "skew", "ms": 1e300}]', b'[{"action": "drip", "bytes_per_s": NaN}]'),
    *(b'[{"action": "book", "fills": 1e12}]', b'[{"action": "drop", "from": 1e99}]'),
    *(
        b'[{"action": "klines", "edit": {}}]',
        b'[{"action": "filters", "set": {"LOT_SIZE": {"stepSize": []}}}]',
    ),
)


@dataclass(frozen=True)
class Shot:
    """One request: what goes out, and what it is allowed to change."""

    method: str
    target: bytes
    headers: tuple[bytes, ...] = ()
    body: bytes = b""
    may_change: bool = False


class Dice:
    """Choices out of bytes; when they are used up, every choice is the first."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def below(self, n: int) -> int:
        """A number from 0 to n - 1."""
        self._at += 1
        return self._data[self._at - 1] % n if self._at <= len(self._data) else 0

    def pick(self, choices: Sequence[T]) -> T:
        """One of them."""
        return choices[self.below(len(choices))]

    def rarely(self, n: int) -> bool:
        """True once in n times."""
        return self.below(n) == n - 1


@dataclass(frozen=True)
class Known:
    """What a client would know of a symbol when it asks."""

    symbol: str
    price: Decimal
    tick: Decimal
    last_order_id: int


@dataclass
class World:
    """What a client would know when it asks; the first symbol is the plain choice."""

    now_ms: int
    symbols: Sequence[Known]


def shot_of(data: bytes, world: World) -> Shot:
    """The request that these bytes stand for."""
    dice = Dice(data)
    return dice.pick(MAKERS)(dice, world)


def _quantity(dice: Dice, known: Known) -> str:
    if dice.rarely(6):
        return dice.pick(ODD_QUANTITIES)
    return format(Decimal(dice.pick(QUANTITIES)) * (USUAL_PRICE / known.price).quantize(Decimal(1)), "f")


def _client_id(dice: Dice) -> str:
    return dice.pick(ODD_IDS) if dice.rarely(10) else dice.pick(CLIENT_IDS)


def _market(dice: Dice, world: World) -> Shot:
    known = dice.pick(world.symbols)
    params = {"symbol": known.symbol, "side": dice.pick(("BUY", "SELL")), "type": "MARKET"}
    if dice.rarely(6):
        params["quoteOrderQty"] = dice.pick(("100", "10", "5000", "4.99", "0", "1e3", "99999999999999999999"))
    else:
        params["quantity"] = _quantity(dice, known)
    return _order(dice, world, params)


def _limit(dice: Dice, world: World) -> Shot:
    known = dice.pick(world.symbols)
    kind = dice.pick(("LIMIT", "LIMIT", "LIMIT_MAKER"))
    if dice.rarely(16):
        kind = dice.pick(("STOP_LOSS", "TAKE_PROFIT_LIMIT", "FANCY", "limit", ""))
    params = {"symbol": known.symbol, "side": dice.pick(("BUY", "SELL")), "type": kind}
    if kind != "LIMIT_MAKER":
        params["timeInForce"] = dice.pick(("GTC", "GTC", "GTC", "GTC", "GTC", "GTC", "IOC", "FOK", "GTX", ""))
    params["quantity"] = _quantity(dice, known)
    factor = Decimal(dice.pick(PRICE_FACTORS))
    near = format((known.price * factor).quantize(known.tick), "f")
    params["price"] = dice.pick(ODD_PRICES) if dice.rarely(8) else near
    return _order(dice, world, params)


def _order(dice: Dice, world: World, params: dict[str, str]) -> Shot:
    if not dice.rarely(3):
        params["newClientOrderId"] = _client_id(dice)
    if dice.rarely(4):
        params["newOrderRespType"] = dice.pick(("ACK", "RESULT", "FULL", "ACK", "RESULT", "LONG"))
    path = "/api/v3/order/test" if dice.rarely(10) else "/api/v3/order"
    return _signed(dice, world, "POST", path, params)


def _named(dice: Dice, world: World) -> dict[str, str]:
    known = dice.pick(world.symbols)
    params = {"symbol": known.symbol}
    if not dice.rarely(4):
        params["orderId"] = str(max(0, known.last_order_id - dice.below(6) + 1))
    if "orderId" not in params or dice.rarely(8):
        params["origClientOrderId"] = _client_id(dice)
    return params


def _cancel(dice: Dice, world: World) -> Shot:
    params = _named(dice, world)
    if dice.rarely(6):
        params["cancelRestrictions"] = dice.pick(("ONLY_NEW", "ONLY_PARTIALLY_FILLED", "ONLY_ME"))
    return _signed(dice, world, "DELETE", "/api/v3/order", params)


def _cancel_all(dice: Dice, world: World) -> Shot:
    return _signed(dice, world, "DELETE", "/api/v3/openOrders", {"symbol": dice.pick(world.symbols).symbol})


def _query(dice: Dice, world: World) -> Shot:
    return _signed(dice, world, "GET", "/api/v3/order", _named(dice, world))


def _read(dice: Dice, world: World) -> Shot:
    method, path = dice.pick(READS)
    params = _span(dice, world)
    if dice.rarely(3):
        params |= {dice.pick(("orderId", "fromId")): str(dice.below(9))}
    return _signed(dice, world, method, path, params)


def _public(dice: Dice, world: World) -> Shot:
    method, path = dice.pick(PUBLIC)
    params = _span(dice, world)
    if path.endswith("lines"):
        params["interval"] = dice.pick(("1h", "1h", "1h", "1h", "1h", "1h", "1h", "1H", "1d", ""))
    if dice.rarely(5):
        params = {
            "symbols": dice.pick(('["BTCUSDT"]', '["ETHUSDT","BTCUSDT"]', '["NOPE"]', "[]", "7", "{}", *JUNK))
        }
    return Shot(method, f"{path}?{_text(_spoilt(dice, params))}".encode(), _extra_headers(dice))


def _span(dice: Dice, world: World) -> dict[str, str]:
    params = {} if dice.rarely(8) else {"symbol": dice.pick(world.symbols).symbol}
    for name in ("startTime", "endTime"):
        if dice.rarely(4):
            away = HOUR_MS * (dice.below(60) - 40)
            times = (str(world.now_ms + away), str(world.now_ms + away), "0", str(world.now_ms * 1000))
            params[name] = dice.pick(JUNK) if dice.rarely(6) else dice.pick(times)
    if dice.rarely(3):
        params["limit"] = dice.pick(("1", "5", "1000", "1001", "0", *JUNK))
    return params


def _wild(dice: Dice, world: World) -> Shot:
    method = dice.pick(("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "get"))
    known = sorted({path for _, path in (*ROUTES, *SIM_ROUTES)})
    path = dice.pick(
        (*known, "/", "/api", "/api/v1/ping", "/api/v3/", "/sim/", "/api/v3/../order", "/%ff", "*")
    )
    query = dice.pick(
        (b"", b"&&==&", b"symbol=%00", b"%", b"a=%ff%fe", b"symbol=" + b"%F0" * 300, b"=", b"?")
    )
    body = dice.pick((b"", b"{}", b"\x00\xff", b"a=1&a=2", b"[" * 900))
    # Where these happen to be a well-formed move of the clock or a new list of faults, they are not wild.
    return Shot(method, path.encode() + b"?" + query, _extra_headers(dice), body)


def _clock(dice: Dice, world: World) -> Shot:
    to = world.now_ms + dice.pick((1, 999, 10_000, 60_000, HOUR_MS // 4, HOUR_MS // 2, HOUR_MS, -1))
    return Shot("POST", b"/sim/clock", (), json.dumps({"to": to}).encode(), may_change=True)


def _bad_control(dice: Dice, world: World) -> Shot:
    return Shot("POST", dice.pick((b"/sim/clock", b"/sim/faults")), (), dice.pick(BAD_CONTROLS))


def _extra_headers(dice: Dice) -> tuple[bytes, ...]:
    if not dice.rarely(24):
        return ()
    unit = dice.pick((b"MICROSECOND", b"millisecond", b"HOUR", b""))
    return (b"x-mbx-time-unit: " + unit, b"accept: text/html")


def _spoilt(dice: Dice, params: dict[str, str]) -> dict[str, str]:
    """Once in ten times a name too few, too many, or with nonsense for a value."""
    if not dice.rarely(10):
        return params
    if params and dice.rarely(2):
        return {name: value for name, value in params.items() if name != dice.pick(list(params))}
    return {**params, dice.pick(NAMES): dice.pick(JUNK)}


def _text(params: dict[str, str]) -> str:
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in params.items())


def _signed(dice: Dice, world: World, method: str, path: str, params: dict[str, str]) -> Shot:
    """Signed as it should be, eleven times out of twelve; in the query, in the body, or in both."""
    values = _spoilt(dice, {**params, "timestamp": str(world.now_ms)})
    key, secret = KEY, SECRET
    if dice.rarely(12):
        flaw = dice.below(8)
        key = ("", "garbled key!", "anotherkey")[flaw] if flaw < 3 else KEY
        secret = "another" if flaw == 3 else SECRET
        late = {4: world.now_ms - 5_001, 5: world.now_ms + 1_000, 6: world.now_ms * 1000}
        values["timestamp"] = str(late.get(flaw, values.get("timestamp", "")))
        if flaw == 7:
            values["recvWindow"] = dice.pick(("60000", "60001", "0", "0.5", "5000.123", "1.2345", "-1", "x"))
    text = _text(values)
    cut = text.rfind("&", 0, dice.below(len(text) + 1) if dice.rarely(5) else len(text) + 1)
    query, body = (text, "") if method == "GET" else (text[: max(cut, 0)], text[cut + 1 :])
    if method != "GET" and not dice.rarely(3):
        query, body = "", text
    signature = hmac.new(secret.encode(), (query + body).encode(), hashlib.sha256).hexdigest()
    if body:
        body += f"&signature={signature}"
    else:
        query += f"&signature={signature}"
    headers = ((f"x-mbx-apikey: {key}".encode(),) if key else ()) + _extra_headers(dice)
    target = f"{path}?{query}" if query else path
    return Shot(method, target.encode(), headers, body.encode(), may_change=method != "GET")


MAKERS = (
    *(_market,) * 5,
    *(_limit,) * 8,
    *(_cancel,) * 3,
    _cancel_all,
    *(_query,) * 3,
    *(_read,) * 4,
    *(_public,) * 4,
    *(_clock,) * 2,
    *(_wild,) * 2,
    _bad_control,
)
