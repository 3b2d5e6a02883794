"""Whatever a server sends, the adapter answers in this project's own words, and an order goes out once."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.adapters.test_binance_orders import ORDER, REPLY
from tests.adapters.test_binance_reads import BALANCES, STATE
from tests.support.examples import share_of
from tests.support.fakes import FakeClock
from tests.support.raw_server import NOW, RawServer, klines, raw, serving, spot
from trader.adapters.binance_klines import BinanceKlines
from trader.adapters.binance_spot import BinanceSpot
from trader.core.errors import ConfigError, Halt, Retry
from trader.core.types import HOUR_MS, floor_hour

HOUR = floor_hour(NOW)


@dataclass
class Scene:
    """A server that says what it is told, and the two adapters that must bear it."""

    server: RawServer
    account: BinanceSpot
    market: BinanceKlines
    clock: FakeClock


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """One for all examples; bans end between them."""
    with ExitStack() as stack:
        server, clock = stack.enter_context(serving()), FakeClock(NOW)
        account = stack.enter_context(spot(server.url, clock=clock))
        market = stack.enter_context(klines(server.url, clock=clock))
        account.assets("BTCUSDT")
        yield Scene(server, account, market, clock)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.decimals().map(str),
    st.sampled_from(
        [-1000, -1003, -1021, -1022, -2010, -2013, NOW, HOUR, "FILLED", "BUY", "BTCUSDT", "bot-1"]
    ),
)
names = st.sampled_from(
    [*REPLY, "code", "msg", "serverTime", "balances", "asset", "free", "canTrade", "price"]
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=8,
)
changed = st.tuples(
    st.sampled_from([REPLY, BALANCES, STATE]), st.dictionaries(names, values, max_size=2)
).map(lambda pair: {**pair[0], **pair[1]})
bodies = st.one_of(
    st.binary(max_size=60),
    (values | changed | st.lists(st.just(STATE), max_size=2)).map(lambda value: json.dumps(value).encode()),
    st.sampled_from([b"", b"{}", b"[]", b"null", b"NaN", b'"', b"\xff\xfe{", b"[" * 5_000, b"9" * 5_000]),
)
charsets = ["", "utf-7", "idna", "hex", "undefined", "punycode", "utf-16", "\0", "unicode_escape", "nobody"]
headers = st.dictionaries(
    st.sampled_from(
        [
            "Retry-After",
            "X-MBX-USED-WEIGHT-1M",
            "Content-Encoding",
            "Location",
            "Set-Cookie",
            "X\t",
            "Connection",
        ]
    ),
    st.sampled_from(
        ["", "0", "-1", "30", "1e9", "9" * 400, "gzip", "deflate", "br", "close", "a=b", "\xe9", "²"]
    )
    | st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=8),
    max_size=3,
)
statuses = st.sampled_from(
    [100, 200, 200, 200, 201, 204, 304, 307, 400, 401, 403, 404, 408, 418, 429, 451, 500, 503, 600, 999]
)
framings = st.sampled_from(["length", "none", "long", "short", "chunked", "wrong chunks", "both"])


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """An HTTP answer, more or less."""
    body, framing = draw(bodies), draw(framings)
    lines = [f"HTTP/1.1 {draw(statuses)} {draw(st.sampled_from(['OK', '', 'é']))}"]
    lines.append(f"Content-Type: application/json; charset={draw(st.sampled_from(charsets))}")
    lines += [f"{name}: {value}" for name, value in draw(headers).items()]
    length = len(body) + {"long": 7, "short": -1}.get(framing, 0)
    if framing not in ("none", "chunked", "wrong chunks"):
        lines.append(f"Content-Length: {length}")
    if framing in ("chunked", "wrong chunks", "both"):
        lines.append("Transfer-Encoding: chunked")
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body) + (framing == "wrong chunks"), body)
    whole = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
    return whole[: draw(st.integers(0, len(whole)))] if draw(st.booleans()) else whole


READS = {
    "time": lambda scene: scene.account.time_ms(),
    "balances": lambda scene: scene.account.balances(),
    "find": lambda scene: scene.account.find("BTCUSDT", "bot-1"),
    "open orders": lambda scene: scene.account.open_orders("BTCUSDT"),
    "check": lambda scene: scene.account.check("BTCUSDT", "BUY", ORDER.qty),
    "bars": lambda scene: scene.market.bars("BTCUSDT", HOUR, HOUR + 2 * HOUR_MS),
}


def prepared(scene: Scene, data: bytes) -> None:
    """The next answers, after every ban has ended."""
    scene.clock.time_ms += 4 * 86_400_000
    scene.server.heard.clear()
    scene.server.scripts["*"] = [raw(data)]


@given(data=answers() | st.binary(max_size=80), name=st.sampled_from(sorted(READS)))
@settings(max_examples=share_of(300))
def test_no_stranger_leaves_a_read(scene: Scene, data: bytes, name: str) -> None:
    """Random status, headers, framing and body: a value, Retry, ConfigError or Halt, in at most a handful of requests."""
    prepared(scene, data)
    with warnings.catch_warnings(), suppress(Retry, ConfigError, Halt):
        warnings.simplefilter("ignore")  # of codecs that a hostile charset names
        READS[name](scene)
    assert 1 <= len(scene.server.heard) <= 9


@given(data=answers() | st.binary(max_size=80))
@settings(max_examples=share_of(300))
def test_no_stranger_leaves_an_order(scene: Scene, data: bytes) -> None:
    """An order ends as accepted, refused or unknown, and its bytes have been sent once.

    (The server closes every connection. One that closes just as an order leaves has not heard it: that is unknown.)
    """
    prepared(scene, data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sent = scene.account.send(ORDER)
    assert sent.outcome in ("accepted", "refused", "unknown")
    assert (sent.state is not None) == (sent.outcome == "accepted")
    heard = [request.method for request in scene.server.heard]
    assert heard == ["POST"] or (heard, sent.outcome) == ([], "unknown")


@given(reply=changed)
@settings(max_examples=share_of(200))
def test_a_changed_reply_is_believed_only_whole(scene: Scene, reply: dict[str, Any]) -> None:
    """An order counts as accepted only if everything that is booked from its reply stands in it, and fits together."""
    body = json.dumps(reply).encode()
    prepared(scene, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    sent = scene.account.send(ORDER)
    if sent.outcome == "accepted":
        assert sent.state is not None
        assert sent.state.client_order_id == "bot-1"
        assert sum(fill.qty for fill in sent.fills or ()) == sent.state.executed_qty <= ORDER.qty
    else:
        assert sent.outcome == "unknown"
