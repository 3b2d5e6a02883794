"""A seed and a session give the same bytes, in whatever process."""

from __future__ import annotations

import hashlib
import hmac
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.venue_kit import command_anew
from trader.core.types import HOUR_MS, parse_hour

AT = parse_hour("2022-01-01")
MARKET = "symbol=BTCUSDT&type=MARKET"
LIMIT = "symbol=BTCUSDT&type=LIMIT&timeInForce=GTC"
# None of the orders brings its own id, so the exchange's ids are part of what is compared.
SESSION = (
    ("GET", "/api/v3/klines?symbol=BTCUSDT&interval=1h&limit=1000&startTime=0", ""),
    ("GET", "/api/v3/klines?symbol=BTCUSDT&interval=1h&limit=1000", ""),
    ("GET", "/api/v3/exchangeInfo", ""),
    ("POST", "/api/v3/order", f"{MARKET}&side=BUY&quantity=0.1"),
    ("POST", "/api/v3/order", f"{MARKET}&side=SELL&quoteOrderQty=500"),
    ("POST", "/api/v3/order", f"{LIMIT}&side=BUY&quantity=0.01&price=20000"),
    ("POST", "/api/v3/order", f"{LIMIT}&side=BUY&quantity=0.02&price=21000"),
    ("DELETE", "/api/v3/order", "symbol=BTCUSDT&orderId=3"),
    ("POST", "/sim/clock", f'{{"to": {AT + 100 * HOUR_MS}}}'),
    ("POST", "/sim/faults", '{"scenario": "partial_expired_market"}'),
    ("POST", "/api/v3/order", f"{MARKET}&side=BUY&quantity=0.1"),
    ("DELETE", "/api/v3/openOrders", "symbol=BTCUSDT"),
    ("GET", "/sim/ledger?all=true", ""),
    ("GET", "/sim/balances", ""),
)


def play(stderr: Path, seed: int) -> list[bytes]:
    """Every answer of the session, head and body, from a fresh `trader exchange`."""
    now_ms, said = AT, []
    with command_anew(stderr, "--synthetic", str(seed), "--at", "2022-01-01") as ready:
        connection = HTTPConnection("127.0.0.1", urlsplit(ready["url"]).port or 0, timeout=20)
        for method, path, text in SESSION:
            body = text
            if text.startswith("symbol"):
                body = f"{text}&timestamp={now_ms}"
                body += f"&signature={hmac.new(ready['api_secret'].encode(), body.encode(), hashlib.sha256).hexdigest()}"
            connection.request(method, path, body, {"X-MBX-APIKEY": ready["api_key"]})
            answer = connection.getresponse()
            said.append(f"{answer.status} {sorted(answer.getheaders())}\n".encode() + answer.read())
            if path == "/sim/clock":
                now_ms = AT + 100 * HOUR_MS
        connection.close()
    return said


def test_a_seed_replays_to_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    """Candles, order ids, fills, cancels and the ledger: equal to the byte, heads included; another seed is another
    market."""
    first, again, other = (play(tmp_path / "stderr", seed) for seed in (7, 7, 8))
    assert all(b"200" in answer[:4] for answer in first), first
    assert first == again
    assert first[0] != other[0]
    assert first[3] != other[3]
