"""LIMIT orders: what they lock, what they take at once, and when time fills them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.support.venue_kit import FIRST, SYMBOL, Answer, Sim, flat_bars, running, with_gap
from trader.core.types import HOUR_MS

# The hour that opens at AT trades at 30,000; the next ones close at 29,900, 29,700, 30,500, 30,500.
BARS = flat_bars(30_000, 30_000, 29_900, 29_700, 30_500, 30_500, 30_500)
AT = FIRST + HOUR_MS


def limit(sim: Sim, side: str, price: str, in_force: str = "GTC", **extra: Any) -> Answer:
    """A LIMIT order for 0.1 BTC."""
    fields = {"side": side, "type": "LIMIT", "timeInForce": in_force, "quantity": "0.1", "price": price}
    return sim.order(**{**fields, **extra})


def locked(sim: Sim, asset: str) -> Decimal:
    """A locked balance."""
    return Decimal(sim.sim("balances")[asset]["locked"])


def market(**changes: Any) -> Any:
    """An exchange on those bars with money on both sides."""
    money = {"USDT": Decimal(10_000), "BTC": Decimal(1)}
    return running(**{"bars": BARS, "at_ms": AT, "balances": money, **changes})


def test_a_resting_buy_locks_its_money_and_a_cancel_gives_it_back() -> None:
    """What an open order could cost is locked; a cancel frees it to the last unit."""
    with market() as sim:
        order = limit(sim, "BUY", "29000").json
        assert (order["status"], order["fills"]) == ("NEW", [])
        assert (sim.free("USDT"), locked(sim, "USDT")) == (Decimal(7_100), Decimal(2_900))
        assert limit(sim, "BUY", "29000", quantity="0.3").json["code"] == -2010
        assert sim.signed("DELETE", "order", symbol=SYMBOL, orderId=1).json["status"] == "CANCELED"
        assert (sim.free("USDT"), locked(sim, "USDT")) == (Decimal(10_000), Decimal(0))


def test_a_resting_order_fills_when_an_hour_went_through_its_price() -> None:
    """The BUY at 29,950 fills as maker when the hour that fell to 29,900 is over, not before."""
    with market() as sim:
        limit(sim, "BUY", "29950")
        sim.to(AT + HOUR_MS - 1)
        assert sim.sim("ledger") == []
        sim.to(AT + HOUR_MS)
        (entry,) = sim.sim("ledger")
        assert (entry["status"], entry["updateTime"]) == ("FILLED", AT + HOUR_MS)
        assert (entry["fills"][0]["price"], entry["fills"][0]["isMaker"]) == ("29950.00000000", True)
        assert sim.free("BTC") == Decimal(1) + Decimal("0.1") * Decimal("0.999")
        assert (sim.free("USDT"), locked(sim, "USDT")) == (Decimal(10_000) - 2_995, Decimal(0))


def test_touching_the_price_is_not_enough_but_the_next_quote_may_be() -> None:
    """A BUY exactly at the hour's low waits; it fills once a later hour opens with the ask at or below it."""
    with market() as sim:
        limit(sim, "BUY", "29900")
        sim.to(AT + HOUR_MS)
        assert sim.sim("ledger") == []
        sim.to(AT + 2 * HOUR_MS)
        assert len(sim.sim("ledger")) == 1


def test_a_long_jump_fills_at_the_hour_it_happened() -> None:
    """Jumping over several hours books the fill at the hour in which the price was reached."""
    with market() as sim:
        limit(sim, "SELL", "30400", quantity="0.5")
        sim.to(AT + 5 * HOUR_MS)
        (entry,) = sim.sim("ledger")
        assert entry["updateTime"] == AT + 3 * HOUR_MS
        assert sim.free("USDT") == Decimal(10_000) + Decimal(15_200) * Decimal("0.999")


def test_a_crossing_limit_takes_at_the_market_and_never_beyond_its_price() -> None:
    """A LIMIT BUY above the market pays the market's price; one inside the slippage pays its own."""
    with market() as sim:
        ask, fill = sim.instrument.market.quote(AT).ask, sim.instrument.market.market_price("BUY", AT)
        assert ask < fill
        assert Decimal(limit(sim, "BUY", "31000").json["fills"][0]["price"]) == fill
        assert Decimal(limit(sim, "BUY", str(ask)).json["fills"][0]["price"]) == ask


def test_ioc_and_fok_never_rest() -> None:
    """IOC expires what it does not get, FOK takes all or nothing, and both say why."""
    thin = [{"method": "POST", "path": "/api/v3/order", "action": "book", "share": "0.4"}]
    with market(faults=thin) as sim:
        ioc = limit(sim, "BUY", "31000", "IOC").json
        assert (ioc["status"], ioc["executedQty"]) == ("EXPIRED", "0.04000000")
        assert ioc["expiryReason"] == "UNFILLED_IOC_QUANTITY_EXPIRED"
        fok = limit(sim, "BUY", "31000", "FOK").json
        assert (fok["status"], fok["executedQty"], fok["fills"]) == ("EXPIRED", "0.00000000", [])
        assert fok["expiryReason"] == "UNFILLED_FOK_ORDER_EXPIRED"
        assert limit(sim, "BUY", "29000", "IOC").json["executedQty"] == "0.00000000"
        gtc = limit(sim, "BUY", "31000", "GTC").json
        assert (gtc["status"], gtc["executedQty"]) == ("PARTIALLY_FILLED", "0.04000000")
        assert locked(sim, "USDT") == Decimal("0.06") * 31_000
        assert limit(sim, "BUY", "31000", "FOK", quantity="0.00001").json["code"] == -1013


def test_limit_maker_refuses_to_take() -> None:
    """LIMIT_MAKER rests, or is refused where it would match at once."""
    with market() as sim:
        fields = {"side": "SELL", "type": "LIMIT_MAKER", "quantity": "0.1"}
        assert sim.order(**fields, price="29000").json["msg"] == "Order would immediately match and take."
        assert set(sim.order(**fields, price="31000").json) == {
            "symbol",
            "orderId",
            "orderListId",
            "clientOrderId",
            "transactTime",
        }


def test_client_ids_are_unique_among_open_orders_only() -> None:
    """A second open order with the same id is a duplicate; after the first is gone it is welcome."""
    with market() as sim:
        assert limit(sim, "BUY", "29000", newClientOrderId="x").status == 200
        again = limit(sim, "BUY", "29000", newClientOrderId="x")
        assert (again.json["code"], again.json["msg"]) == (-2010, "Duplicate order sent.")
        assert sim.signed("DELETE", "openOrders", symbol=SYMBOL).status == 200
        assert limit(sim, "BUY", "29000", newClientOrderId="x").status == 200
        assert sim.signed("DELETE", "openOrders", symbol=SYMBOL).json[0]["orderId"] == 2
        assert sim.signed("DELETE", "openOrders", symbol=SYMBOL).json["code"] == -2011


def test_cancel_restrictions() -> None:
    """ONLY_PARTIALLY_FILLED spares an order that nobody has touched."""
    with market() as sim:
        limit(sim, "BUY", "29000")
        spare = sim.signed(
            "DELETE", "order", symbol=SYMBOL, orderId=1, cancelRestrictions="ONLY_PARTIALLY_FILLED"
        )
        assert spare.json["code"] == -2011
        gone = sim.signed("DELETE", "order", symbol=SYMBOL, orderId=1, cancelRestrictions="ONLY_NEW")
        assert gone.json["status"] == "CANCELED"


def test_missing_hours_fill_nothing() -> None:
    """In hours without a bar there was no trading, so a resting order waits for the next one there is."""
    gap = with_gap(BARS, AT + 2 * HOUR_MS, AT + 3 * HOUR_MS)
    with market(bars=gap) as sim:
        limit(sim, "BUY", "29800")
        sim.to(AT + 3 * HOUR_MS - 1)
        assert sim.sim("ledger") == []
        limit(sim, "SELL", "30400")
        sim.to(AT + 4 * HOUR_MS)
        assert sim.sim("ledger") == []


def test_what_a_cancel_may_say(sim: Sim) -> None:
    """cancelRestrictions and the cancel's own id are checked like those of an order."""
    sim.order(side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.01", price="20000")
    cancel: dict[str, Any] = {"symbol": SYMBOL, "orderId": 1}
    assert sim.signed("DELETE", "order", **cancel, cancelRestrictions="ONLY_ME").json["code"] == -1145
    assert sim.signed("DELETE", "order", **cancel, newClientOrderId="not good").json["code"] == -1100
    half = sim.signed("DELETE", "order", **cancel, cancelRestrictions="ONLY_PARTIALLY_FILLED")
    assert half.json["msg"] == "Order was not canceled due to cancel restrictions."
    done = sim.signed("DELETE", "order", **cancel, cancelRestrictions="ONLY_NEW", newClientOrderId="mine")
    assert (done.json["status"], done.json["clientOrderId"]) == ("CANCELED", "mine")
