"""Invariants over random lives: balances are what the ledger says, to the last unit, whatever happens."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.venue_kit import COSTS, config
from trader.core.types import HOUR_MS
from trader.exchange.account import Account
from trader.exchange.matching import Book, OrderRequest
from trader.exchange.replies import ApiError
from trader.exchange.venue import Venue

START = {"USDT": Decimal(10_000), "BTC": Decimal("0.5")}
STEP, TICK = Decimal("0.00001"), Decimal("0.01")

orders = st.fixed_dictionaries(
    {
        "side": st.sampled_from(["BUY", "SELL"]),
        "kind": st.sampled_from(["MARKET", "QUOTE", "GTC", "IOC", "FOK", "LIMIT_MAKER"]),
        "steps": st.integers(1, 40_000),
        "away_ticks": st.integers(-60_000, 60_000),
        "share": st.sampled_from([None, "0", "0.37", "1"]),
        "fills": st.integers(1, 3),
    }
)
steps = st.lists(st.one_of(orders, st.just("cancel"), st.integers(1, 12)), max_size=25)


def place(venue: Venue, number: int, wish: dict[str, object], now_ms: int) -> None:
    """Send one order to the engine; a refusal is fine."""
    kind, side = str(wish["kind"]), wish["side"]
    qty = int(str(wish["steps"])) * STEP
    price = venue.market.last_price(now_ms).quantize(TICK) + int(str(wish["away_ticks"])) * TICK
    is_market = kind in ("MARKET", "QUOTE")
    intent = OrderRequest(
        client_order_id=f"h-{number}",
        side="BUY" if side == "BUY" else "SELL",
        type="MARKET" if is_market else ("LIMIT_MAKER" if kind == "LIMIT_MAKER" else "LIMIT"),
        time_in_force=kind if kind in ("IOC", "FOK") else "GTC",
        qty=None if kind == "QUOTE" else qty,
        quote_qty=qty * 30_000 if kind == "QUOTE" else None,
        price=Decimal(0) if is_market else price,
        response="FULL",
        self_trade_mode="NONE",
    )
    share = wish["share"]
    book = Book(share=None if share is None else Decimal(str(share)), fills=int(str(wish["fills"])))
    before = (dict(venue.account.free), dict(venue.account.locked), len(venue.account.history))
    try:
        venue.place(intent, venue.rules, book, now_ms)
    except ApiError:
        assert before == (venue.account.free, venue.account.locked, len(venue.account.history))


def check(account: Account) -> None:
    """The slow twin: rebuild every balance from the trades and the open orders alone."""
    total = dict(START)
    for order in account.orders.values():
        assert sum((t.qty for t in order.trades), Decimal(0)) == order.executed_qty <= order.orig_qty
        assert sum((t.qty * t.price for t in order.trades), Decimal(0)) == order.cumulative_quote
        for trade in order.trades:
            sign = 1 if order.side == "BUY" else -1
            total["BTC"] += sign * trade.qty
            total["USDT"] -= sign * trade.qty * trade.price
            total[trade.commission_asset] -= trade.commission
            received = trade.qty if order.side == "BUY" else trade.qty * trade.price
            assert 0 <= trade.commission - received * COSTS.fee_rate < Decimal("1e-8")
            if order.type != "MARKET":
                assert trade.price <= order.price if order.side == "BUY" else trade.price >= order.price
    resting = [order for order in account.orders.values() if order.is_open]
    assert account.locked["BTC"] == sum((o.remaining for o in resting if o.side == "SELL"), Decimal(0))
    assert account.locked["USDT"] == sum(
        (o.remaining * o.price for o in resting if o.side == "BUY"), Decimal(0)
    )
    assert {asset: account.free[asset] + account.locked[asset] for asset in total} == total
    assert min(account.free.values()) >= 0
    ids = [trade.trade_id for order in account.orders.values() for trade in order.trades]
    assert sorted(ids) == list(range(1, len(ids) + 1))


@settings(deadline=None, max_examples=150)
@given(steps)
def test_balances_follow_from_the_ledger(life: list[object]) -> None:
    """Orders of all kinds, thin books, cancels and passing hours: no unit appears or is lost, none goes negative."""
    with TemporaryDirectory() as folder:
        live = config(balances=START, state_path=Path(folder) / "state.jsonl")
        venue = Venue(live)
        for number, step in enumerate(life):
            if isinstance(step, int):
                venue.move_clock(venue.clock.now() + step * HOUR_MS)
            elif isinstance(step, dict):
                place(venue, number, step, venue.clock.now())
            elif venue.account.open_orders():
                oldest = venue.account.open_orders()[0]
                venue.matching.cancel(oldest, venue.clock.now())
                venue.save("cancel", venue.clock.now(), [oldest])
            check(venue.account)
        venue.close()
        reborn = Venue(live)
        assert reborn.account.orders == venue.account.orders
        assert (reborn.account.free, reborn.account.locked) == (venue.account.free, venue.account.locked)
        assert reborn.account.next_trade_id == venue.account.next_trade_id
        reborn.close()


@given(
    st.decimals("0.00001", "5", places=5),
    st.integers(1, 7),
    st.sampled_from([STEP, Decimal(0), Decimal("0.001")]),
)
def test_parts_of_an_order_add_up(qty: Decimal, fills: int, step: Decimal) -> None:
    """However many fills an order comes in, their quantities add up to it and none is zero or off the step."""
    parts = Book(fills=fills).parts(qty, step)
    assert sum(parts, Decimal(0)) == qty
    assert all(part > 0 for part in parts)
