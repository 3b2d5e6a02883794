"""Who may ask: signatures over the raw bytes, timestamps against the exchange's clock, and the order of checks."""

from __future__ import annotations

from typing import Any

import pytest
from binance.exceptions import BinanceAPIException

from tests.support.venue_kit import AT, KEY, SYMBOL, Sim
from trader.core.types import HOUR_MS
from trader.exchange.params import signature_is_valid

SPOT_SECRET = b"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
OTHER_SECRET = b"2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
HEAD = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC"
TAIL = "quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
WIDE = "symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96"
VECTORS = {
    "query only": (
        SPOT_SECRET,
        f"{HEAD}&{TAIL}",
        "",
        "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
    ),
    "body only": (
        SPOT_SECRET,
        "",
        f"{HEAD}&{TAIL}",
        "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
    ),
    "percent-encoded": (
        SPOT_SECRET,
        f"{HEAD}&{TAIL}".replace("symbol=LTCBTC", WIDE),
        "",
        "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3",
    ),
    "sorted, as the client sends it": (
        SPOT_SECRET,
        "",
        "price=0.1&quantity=1&recvWindow=5000&side=BUY&symbol=LTCBTC&timeInForce=GTC&timestamp=1499827319559&type=LIMIT",
        "70fd30433bc3a2e3b5ff17d075e50538dde3734841da6dc28d79113dd37fa9c7",
    ),
    "mixed": (
        SPOT_SECRET,
        HEAD,
        TAIL,
        "0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77",
    ),
    "another secret": (
        OTHER_SECRET,
        "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943",
        "",
        "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9",
    ),
    "another secret, mixed": (
        OTHER_SECRET,
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC",
        "quantity=1&price=9000&recvWindow=5000&timestamp=1591702613943",
        "30baaf0fab549bbeda7f5ef201898b34122da25fd23c646cac2c529aebe670a4",
    ),
}


@pytest.mark.parametrize("name", VECTORS)
def test_published_vectors(name: str) -> None:
    """Published signatures are accepted, in either case and wherever they stand, and one changed bit is not."""
    secret, query, body, signature = VECTORS[name]
    signed = [(f"{query}&signature={signature}" if query else f"signature={signature}", body)]
    if body:
        signed += [(query, f"{body}&signature={signature.upper()}"), (query, f"signature={signature}&{body}")]
    for signed_query, signed_body in signed:
        assert signature_is_valid(secret, signed_query.encode(), signed_body.encode())
    broken = ("0" if signature[0] != "0" else "1") + signature[1:]
    assert not signature_is_valid(secret, query.encode(), f"{body}&signature={broken}".encode())


def test_signature_of_the_decoded_text_is_refused() -> None:
    """Signing the text before it was percent-encoded is signing something else."""
    payload = f"{HEAD}&{TAIL}".replace("symbol=LTCBTC", WIDE)
    signed_decoded = "ca2cdfbf"
    assert not signature_is_valid(SPOT_SECRET, f"{payload}&signature={signed_decoded}".encode(), b"")


def test_a_value_that_the_client_encodes_after_signing_is_refused(sim: Sim) -> None:
    """The client signs `a:b` and sends `a%3Ab`, so such an id never gets through: -1022."""
    answer = None
    try:
        sim.client.create_order(
            symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.01", newClientOrderId="a:b"
        )
    except BinanceAPIException as error:
        answer = error
    assert getattr(answer, "code", None) == -1022
    assert sim.sim("ledger") == []


@pytest.mark.parametrize(
    ("changes", "code", "status"),
    [
        ({"key": ""}, -2014, 401),
        ({"key": "not a key"}, -2014, 401),
        ({"key": "anotherkey"}, -2008, 401),
        ({"secret": "wrong"}, -1022, 400),
        ({"timestamp": None}, -1102, 400),
        ({"timestamp": "soon"}, -1102, 400),
        ({"timestamp": AT + 1000}, -1021, 400),
        ({"timestamp": AT - 5001}, -1021, 400),
        ({"timestamp": AT - 10, "recvWindow": "9.999"}, -1021, 400),
        ({"recvWindow": "60001"}, -1131, 400),
        ({"recvWindow": "1.2345"}, -1130, 400),
        ({"key": "", "timestamp": None}, -2014, 401),
        ({"timestamp": AT - 90_000, "secret": "wrong"}, -1021, 400),
    ],
)
def test_refusals_in_order(sim: Sim, changes: dict[str, Any], code: int, status: int) -> None:
    """Each broken credential gets its own code, and the first broken one in Binance's order wins."""
    answer = sim.signed("GET", "account", **changes)
    assert (answer.status, answer.json["code"]) == (status, code)


@pytest.mark.parametrize(
    "changes",
    [
        {"timestamp": AT + 999},
        {"timestamp": AT - 5000},
        {"timestamp": AT - 10, "recvWindow": "10.000"},
        {"timestamp": (AT - 10) * 1000},
        {"timestamp": AT - 60_000, "recvWindow": "60000"},
    ],
)
def test_the_edges_of_the_window_are_inside(sim: Sim, changes: dict[str, Any]) -> None:
    """The documented bounds are accepted to the millisecond, and microseconds are understood."""
    assert sim.signed("GET", "account", **changes).status == 200


def test_missing_signature_is_a_missing_parameter(sim: Sim) -> None:
    """An unsigned call of a signed endpoint says which parameter it wants."""
    answer = sim.raw("GET", f"/api/v3/account?timestamp={AT}", headers={"X-MBX-APIKEY": KEY})
    assert answer.json["code"] == -1102
    assert "signature" in answer.json["msg"]


def test_a_request_that_is_held_up_is_checked_again(sim: Sim) -> None:
    """A request that was in time on arrival and is not at the engine is refused, and nothing is traded."""
    sim.sim("faults", {"scenario": "held_up_past_horizon"})
    answer = sim.buy()
    assert answer.json["code"] == -1021
    assert sim.now() == AT + 20_000
    assert sim.sim("ledger?all=true") == []


def test_timestamps_follow_the_virtual_clock(sim: Sim) -> None:
    """After the clock has moved, a request signed before is too old."""
    sim.to(AT + HOUR_MS)
    assert sim.signed("GET", "account", timestamp=AT).json["code"] == -1021
