"""The written document of what is spoken, and schemathesis driving `trader exchange` by it."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.venue_kit import command
from trader.exchange.routes import ROUTES
from trader.exchange.sim_api import SIM_ROUTES

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.yaml"
# The live limits hold; a minute passes before so many requests can have used them up.
CASES_A_MINUTE = 20


def document() -> Any:
    """The document, loaded and valid."""
    import schemathesis

    schema = schemathesis.openapi.from_path(DOCUMENT)
    schema.validate()
    return schema


def test_the_document_lists_every_endpoint_and_which_are_signed() -> None:
    """Paths and methods are the routing tables'; a key is asked for exactly where a request must be signed."""
    raw = document().raw_schema["paths"]
    written = {
        (method.upper(), path): operation for path, item in raw.items() for method, operation in item.items()
    }
    assert set(written) == set(ROUTES) | set(SIM_ROUTES)
    signed = {name for name, operation in written.items() if "security" in operation}
    assert signed == {name for name, route in ROUTES.items() if route.is_signed}


@dataclass
class Child:
    """A running `trader exchange`, its address, and the file of what it says to stderr."""

    url: str
    key: str
    secret: str
    stderr: Path

    def get(self, path: str) -> Any:
        """The control channel."""
        return requests.get(f"{self.url}{path}", timeout=20).json()

    def pass_time(self, ms: int) -> int:
        """Move the clock; returns the new time."""
        to = self.get("/sim/clock")["now"] + ms
        requests.post(f"{self.url}/sim/clock", json={"to": to}, timeout=20).raise_for_status()
        return int(to)

    def state(self) -> tuple[Any, Any]:
        """Balances and every order there ever was."""
        return self.get("/sim/balances"), self.get("/sim/ledger?all=true")


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    """The command itself, as another bot's author would start it."""
    words = ["--synthetic", "7", "--at", "2022-01-01", "--balance", "USDT=100000", "--balance", "BTC=5"]
    with command(tmp_path / "stderr", *words) as ready:
        yield Child(ready["url"], ready["api_key"], ready["api_secret"], tmp_path / "stderr")


class Signer(requests.auth.AuthBase):
    """Signs what schemathesis made up, at the exchange's time: a random timestamp would be refused every time."""

    def __init__(self, child: Child, now_ms: int) -> None:
        self._child, self.now_ms = child, now_ms

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put timestamp and signature at the end of the body where there is one, of the query otherwise."""
        address, _, query = (request.url or "").partition("?")
        body = request.body.decode() if isinstance(request.body, bytes) else request.body or ""
        query, body = (re.sub(r"(^|&)timestamp=[^&]*", "", text) for text in (query, body))
        if body:
            body += self._tail(query + body, body)
        else:
            query += self._tail(query, query)
        request.url, request.headers["X-MBX-APIKEY"] = f"{address}?{query}", self._child.key
        if body:
            request.prepare_body(body, None)
        return request

    def _tail(self, signed: str, part: str) -> str:
        stamp = f"{'&' if part else ''}timestamp={self.now_ms}"
        payload = (signed + stamp).encode()
        return (
            f"{stamp}&signature={hmac.new(self._child.secret.encode(), payload, hashlib.sha256).hexdigest()}"
        )


def cases() -> st.SearchStrategy[Any]:
    """Requests as the document allows them, and as it forbids them, of every endpoint that is no lever of the test."""
    from schemathesis import GenerationMode

    schema = document()
    strategies = []
    for method, path in ROUTES:
        operation = schema[path][method]
        strategies.append(operation.as_strategy())
        if operation.query or operation.body:
            strategies.append(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    return st.one_of(strategies)


ORDER = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.01"}
LIMIT = {**ORDER, "type": "LIMIT", "timeInForce": "GTC", "price": "20000"}
SESSION: tuple[tuple[str, str, dict[str, str]], ...] = (
    *(
        ("POST", "order", {**ORDER, "type": "MARKET", "newOrderRespType": kind})
        for kind in ("ACK", "RESULT", "FULL")
    ),
    ("POST", "order", {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quoteOrderQty": "100"}),
    ("POST", "order", {**LIMIT, "newClientOrderId": "rest-1"}),
    ("POST", "order", {**LIMIT, "timeInForce": "IOC"}),
    ("POST", "order/test", {**LIMIT, "computeCommissionRates": "true"}),
    ("GET", "order", {"symbol": "BTCUSDT", "orderId": "1"}),
    ("GET", "openOrders", {}),
    ("DELETE", "order", {"symbol": "BTCUSDT", "origClientOrderId": "rest-1"}),
    ("POST", "order", LIMIT),
    ("DELETE", "openOrders", {"symbol": "BTCUSDT"}),
    ("GET", "allOrders", {"symbol": "BTCUSDT"}),
    ("GET", "myTrades", {"symbol": "BTCUSDT"}),
    ("GET", "account", {}),
    ("GET", "account/commission", {"symbol": "BTCUSDT"}),
    ("GET", "myFilters", {"symbol": "BTCUSDT"}),
    ("GET", "rateLimit/order", {}),
    ("GET", "klines", {"symbol": "BTCUSDT", "interval": "1h"}),
    ("GET", "depth", {"symbol": "BTCUSDT"}),
    ("GET", "avgPrice", {"symbol": "BTCUSDT"}),
    ("GET", "exchangeInfo", {"symbol": "BTCUSDT"}),
    *(("GET", f"ticker/{kind}", {"symbol": "BTCUSDT"}) for kind in ("price", "bookTicker", "24hr")),
)


def test_a_session_that_succeeds_fits_the_document(child: Child) -> None:
    """Every kind of order and every read with something to show: 200, in the shape that is written."""
    schema, signer = document(), Signer(child, child.get("/sim/clock")["now"])
    for method, path, params in SESSION:
        answer = requests.request(
            method,
            f"{child.url}/api/v3/{path}",
            auth=signer if ROUTES[method, f"/api/v3/{path}"].is_signed else None,
            timeout=20,
            data=params if method == "POST" else None,
            params=None if method == "POST" else params,
        )
        assert answer.status_code == 200, (path, params, answer.text)
        schema[f"/api/v3/{path}"][method].validate_response(answer)
    for method, path in SIM_ROUTES:
        if method == "GET":
            schema[path][method].validate_response(requests.get(f"{child.url}{path}", timeout=20))


@pytest.mark.parametrize("cases_sent", [80, pytest.param(800, marks=pytest.mark.long)])
def test_the_command_speaks_as_the_document_says(child: Child, cases_sent: int) -> None:
    """Many requests that fit the document, and that break it: every answer has the shape that is written,
    none is a server's error, none that was refused changed anything, and stderr stays empty."""
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    shape = [
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    sent, accepted = 0, 0
    signer = Signer(child, child.get("/sim/clock")["now"])
    session = requests.Session()
    session.trust_env = False

    @settings(
        max_examples=cases_sent,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def speak(case: Any) -> None:
        nonlocal sent, accepted
        if sent % CASES_A_MINUTE == 0:
            signer.now_ms = child.pass_time(60_000)
        sent += 1
        is_signed = ROUTES[case.method.upper(), case.operation.path].is_signed
        changes = is_signed and case.method.upper() != "GET"
        before = child.state() if changes else None
        answer = case.call(
            base_url=child.url, session=session, auth=signer if is_signed else None, allow_redirects=False
        )
        accepted += answer.status_code == 200
        case.validate_response(answer, checks=[not_a_server_error, *shape])
        if changes and answer.status_code != 200:
            assert child.state() == before

    speak()
    session.close()
    assert sent >= cases_sent
    assert cases_sent / 10 < accepted < cases_sent
    assert child.stderr.read_text() == ""
