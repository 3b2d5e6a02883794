"""What curl sees: the status line and the headers, letter by letter."""

from __future__ import annotations

import hashlib
import hmac
import subprocess
from dataclasses import dataclass

import pytest

from tests.support.venue_kit import AT, KEY, SECRET, SYMBOL, Sim, running
from trader.exchange.limits import RequestLimits

JSON = "application/json;charset=UTF-8"
WEIGHT = "X-MBX-USED-WEIGHT-1M"


@dataclass
class Seen:
    """An answer as `curl -i` printed it."""

    status_line: str
    headers: dict[str, str]
    body: str

    def __getitem__(self, name: str) -> str:
        """A header, whatever its case."""
        return self.headers[name.lower()]


def curl(sim: Sim, path: str, *words: str) -> Seen:
    """Ask with the real program. Where it is not installed this fails, and says what is missing."""
    command = ["curl", "--silent", "--show-error", "--max-time", "20", "--noproxy", "*", "-i", *words]
    try:
        done = subprocess.run(
            [*command, f"{sim.exchange.url}{path}"], capture_output=True, text=True, check=True, timeout=30
        )
    except FileNotFoundError:
        pytest.fail("this test needs the program curl: apt-get install curl")
    head, _, body = done.stdout.partition("\n\n")
    status_line, *lines = head.splitlines()
    pairs = [line.partition(": ") for line in lines]
    return Seen(status_line, {name.lower(): value for name, _, value in pairs}, body)


def order_words(**params: str) -> list[str]:
    """The words that make curl send a signed order."""
    text = "&".join(f"{name}={value}" for name, value in {**params, "timestamp": str(AT)}.items())
    signature = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    return ["-X", "POST", "-H", f"X-MBX-APIKEY: {KEY}", "-d", f"{text}&signature={signature}"]


def test_every_answer_says_its_type_and_its_weight(sim: Sim) -> None:
    """Data and refusals alike: status line, JSON with its charset, length, used weight."""
    good = curl(sim, "/api/v3/time")
    assert (good.status_line, good["Content-Type"], good[WEIGHT]) == ("HTTP/1.1 200 OK", JSON, "1")
    assert good.body == f'{{"serverTime":{AT}}}'
    assert int(good["Content-Length"]) == len(good.body)
    bad = curl(sim, "/api/v3/depth?symbol=NOPE")
    assert (bad.status_line, bad["Content-Type"], bad[WEIGHT]) == ("HTTP/1.1 400 Bad Request", JSON, "6")
    assert bad.body == '{"code":-1121,"msg":"Invalid symbol."}'
    assert good["X-MBX-UUID"] != bad["X-MBX-UUID"]


def test_an_order_shows_the_order_counts(sim: Sim) -> None:
    """A resting order counts in ten seconds and in the day; a refused one shows no counts."""
    rest = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
    seen = curl(sim, "/api/v3/order", *order_words(**rest, price="20000"))
    assert seen.status_line == "HTTP/1.1 200 OK"
    assert (seen["X-MBX-ORDER-COUNT-10S"], seen["X-MBX-ORDER-COUNT-1D"], seen[WEIGHT]) == ("1", "1", "0")
    refused = curl(sim, "/api/v3/order", *order_words(**rest, price="1"))
    assert (refused.status_line, refused[WEIGHT]) == ("HTTP/1.1 400 Bad Request", "1")
    assert not [name for name in refused.headers if "order-count" in name]


def test_429_and_418_say_when_to_come_back() -> None:
    """Over the limit Retry-After counts the seconds to the next minute; a ban counts its own."""
    with running(limits=RequestLimits(weight_per_minute=1, ban_after=1), at_ms=AT + 45_000) as sim:
        curl(sim, "/api/v3/ping")
        over = curl(sim, "/api/v3/ping")
        assert (over.status_line, over["Retry-After"]) == ("HTTP/1.1 429 Too Many Requests", "15")
        assert over.body.startswith('{"code":-1003,"msg":"Too much request weight used;')
        banned = curl(sim, "/api/v3/ping")
        assert (banned.status_line.split()[1], banned["Retry-After"]) == ("418", "120")
        assert f"IP banned until {AT + 45_000 + 120_000}" in banned.body
        assert (banned["Content-Type"], WEIGHT.lower() in banned.headers) == (JSON, True)


def test_an_unknown_path_is_html_only_for_those_who_want_it(sim: Sim) -> None:
    """404 is empty, or HTML where that was asked for; version 1 of the API is gone."""
    assert curl(sim, "/api/v1/ping").status_line == "HTTP/1.1 404 Not Found"
    page = curl(sim, "/api/v3/nothing", "-H", "Accept: text/html")
    assert (page["Content-Type"], page.body.startswith("<html>")) == ("text/html", True)
    assert curl(sim, "/api/v3/time", "-I").body == ""


def test_microseconds_on_request(sim: Sim) -> None:
    """The header in capitals or small letters makes times a thousand times larger; anything else is refused."""
    for unit in ("MICROSECOND", "microsecond"):
        seen = curl(sim, "/api/v3/time", "-H", f"X-MBX-TIME-UNIT: {unit}")
        assert seen.body == f'{{"serverTime":{AT * 1000}}}'
    assert '"code":-1194' in curl(sim, "/api/v3/time", "-H", "X-MBX-TIME-UNIT: Microsecond").body
