"""Weights, order counts, 429 and 418: Binance's windows on the virtual clock."""

from __future__ import annotations

from tests.support.venue_kit import AT, SYMBOL, Sim, running
from trader.core.types import HOUR_MS
from trader.exchange.limits import RequestLimits

WEIGHT = "x-mbx-used-weight-1m"


def test_weights_add_up_and_start_anew_every_minute(sim: Sim) -> None:
    """Each endpoint costs its documented weight, shown on every reply, errors too."""
    used = []
    for path in (
        "ping",
        "exchangeInfo",
        f"klines?symbol={SYMBOL}&interval=1h",
        "ticker/price",
        "depth?symbol=X",
    ):
        used.append(int(sim.raw("GET", f"/api/v3/{path}").headers[WEIGHT]))
    assert used == [1, 21, 23, 27, 32]
    assert int(sim.signed("GET", "account").headers[WEIGHT]) == 52
    assert int(sim.signed("GET", "openOrders").headers[WEIGHT]) == 132
    sim.to(AT + 60_000)
    assert int(sim.raw("GET", "/api/v3/ping").headers[WEIGHT]) == 1


def test_a_successful_order_costs_no_weight_and_a_refused_one_does(sim: Sim) -> None:
    """Since 2026 an accepted order is free; its answer carries the order counts, a fill gives the count back."""
    bought = sim.buy()
    assert (bought.headers[WEIGHT], bought.headers["x-mbx-order-count-10s"]) == ("0", "0")
    assert sim.buy("0.0000001").headers[WEIGHT] == "1"
    rest = sim.order(side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.01", price="20000")
    assert (rest.headers["x-mbx-order-count-10s"], rest.headers["x-mbx-order-count-1d"]) == ("1", "1")
    assert [row["count"] for row in sim.signed("GET", "rateLimit/order").json] == [1, 1]


def test_429_then_418_then_longer_bans() -> None:
    """Over the limit: 429 with Retry-After; who goes on is banned, and who asks during the ban waits twice as long."""
    with running(limits=RequestLimits(weight_per_minute=3, ban_after=2)) as sim:
        statuses = [sim.raw("GET", "/api/v3/ping").status for _ in range(3)]
        first, second, banned, again = (sim.raw("GET", "/api/v3/ping") for _ in range(4))
        assert statuses == [200, 200, 200]
        assert (first.status, first.json["code"], first.headers["retry-after"]) == (429, -1003, "60")
        assert second.status == 429
        assert (banned.status, banned.headers["retry-after"]) == (418, "120")
        assert f"IP banned until {AT + 120_000}" in banned.json["msg"]
        assert again.headers["retry-after"] == "240"
        sim.to(AT + 240_000 - 1)
        assert sim.raw("GET", "/api/v3/ping").headers["retry-after"] == "480"
        sim.to(AT + 240_000 + 480_000)
        assert sim.raw("GET", "/api/v3/ping").status == 200


def test_a_client_that_waits_is_not_banned() -> None:
    """After a 429 the next minute is open again."""
    with running(limits=RequestLimits(weight_per_minute=1)) as sim:
        sim.raw("GET", "/api/v3/ping")
        assert sim.raw("GET", "/api/v3/ping").status == 429
        sim.to(AT + 60_000)
        assert sim.raw("GET", "/api/v3/ping").status == 200


def test_too_many_unfilled_orders() -> None:
    """Unfilled orders count per ten seconds and per day; the refusal says when to come back."""
    with running(limits=RequestLimits(orders_per_10s=2, orders_per_day=3)) as sim:
        fields = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "20000"}
        assert [sim.order(**fields).status for _ in range(2)] == [200, 200]
        refused = sim.order(**fields)
        assert (refused.status, refused.json["code"], refused.headers["retry-after"]) == (429, -1015, "10")
        assert "10 SECOND" in refused.json["msg"]
        sim.to(AT + 10_000)
        assert sim.order(**fields).status == 200
        assert "1 DAY" in sim.order(**fields).json["msg"]
        sim.to(AT + 24 * HOUR_MS)
        assert sim.order(**fields).status == 200


def test_only_the_first_fill_gives_the_count_back(sim: Sim) -> None:
    """Half taken at once and the rest filled later: one order, one credit."""
    sim.sim("faults", [{"action": "book", "share": "0.5", "nth": 1}])
    price = str(sim.instrument.market.quote(AT).ask)
    half = sim.order(side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.02", price=price)
    assert half.headers["x-mbx-order-count-1d"] == "0"
    for _ in range(3):
        sim.order(side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.01", price="20000")
    before = sim.exchange.venue.limiter.order_counts(AT)[1]
    sim.to(AT + HOUR_MS)
    assert sim.sim("ledger")[0]["status"] == "FILLED"
    assert (before, sim.exchange.venue.limiter.order_counts(AT + HOUR_MS)[1]) == (3, 3)


def test_raw_requests_are_limited_too() -> None:
    """The number of requests has its own window of five minutes."""
    with running(limits=RequestLimits(raw_requests_per_5m=2)) as sim:
        assert [sim.raw("GET", "/api/v3/ping").status for _ in range(3)] == [200, 200, 429]


def test_the_control_channel_costs_nothing(sim: Sim) -> None:
    """What a test does through /sim is not on the exchange's bill, and the log lists /api requests alone."""
    for _ in range(5):
        sim.sim("clock")
    assert sim.raw("GET", "/api/v3/ping").headers[WEIGHT] == "1"
    (entry,) = sim.sim("requests")
    assert (entry["method"], entry["path"], entry["status"], entry["at"]) == ("GET", "/api/v3/ping", 200, AT)
