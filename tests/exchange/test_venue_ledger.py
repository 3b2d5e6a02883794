"""Invariants over random lives: balances are what the ledger says, to the last unit, whatever happens."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import share_of
from tests.support.venue_kit import BOOK, COSTS, config
from trader.core.types import HOUR_MS
from trader.exchange.account import Account, VenueOrder
from trader.exchange.matching import Book, OrderRequest
from trader.exchange.replies import ApiError
from trader.exchange.venue import Venue

START = {"USDT": Decimal(10_000), "BTC": Decimal("0.5"), "ETH": Decimal(3)}
STEP, TICK = Decimal("0.00001"), Decimal("0.01")
TRADED = BOOK[:2]

orders = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from([it.name for it in TRADED]),
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
    instrument = venue.instruments[str(wish["symbol"])]
    price = instrument.market.last_price(now_ms).quantize(TICK) + int(str(wish["away_ticks"])) * TICK
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
        venue.place(instrument, intent, instrument.rules, book, now_ms)
    except ApiError:
        assert before == (venue.account.free, venue.account.locked, len(venue.account.history))


def check(account: Account) -> None:
    """The slow twin: rebuild every balance from the trades and the open orders of every symbol alone."""
    total, locked = dict(START), dict.fromkeys(START, Decimal(0))
    for orders in account.orders.values():
        for order in orders.by_id.values():
            base = orders.base
            check_order(order)
            for trade in order.trades:
                sign = 1 if order.side == "BUY" else -1
                total[base] += sign * trade.qty
                total["USDT"] -= sign * trade.qty * trade.price
                total[trade.commission_asset] -= trade.commission
            if order.is_open:
                buys = order.side == "BUY"
                locked["USDT" if buys else base] += order.remaining * (order.price if buys else 1)
        ids = [trade.trade_id for order in orders.by_id.values() for trade in order.trades]
        assert sorted(ids) == list(range(1, len(ids) + 1))
        assert list(orders.by_id) == list(range(1, len(orders.by_id) + 1))
    assert account.locked == locked
    assert {asset: account.free[asset] + account.locked[asset] for asset in total} == total
    assert min(account.free.values()) >= 0


def check_order(order: VenueOrder) -> None:
    """Its sums are those of its trades, each within its limit and charged its commission."""
    assert sum((t.qty for t in order.trades), Decimal(0)) == order.executed_qty <= order.orig_qty
    assert sum((t.qty * t.price for t in order.trades), Decimal(0)) == order.cumulative_quote
    for trade in order.trades:
        received = trade.qty if order.side == "BUY" else trade.qty * trade.price
        assert 0 <= trade.commission - received * COSTS.fee_rate < Decimal("1e-8")
        if order.type != "MARKET":
            assert trade.price <= order.price if order.side == "BUY" else trade.price >= order.price


@settings(deadline=None, max_examples=share_of(150))
@given(steps)
def test_balances_follow_from_the_ledger(life: list[object]) -> None:
    """Orders of all kinds in two symbols, thin books, cancels, passing hours: no unit appears or is lost, none goes negative."""
    with TemporaryDirectory() as folder:
        live = config(traded=TRADED, balances=START, state_path=Path(folder) / "state.jsonl")
        venue = Venue(live)
        for number, step in enumerate(life):
            if isinstance(step, int):
                venue.move_clock(venue.clock.now() + step * HOUR_MS)
            elif isinstance(step, dict):
                place(venue, number, step, venue.clock.now())
            elif venue.account.open_orders():
                oldest = venue.account.open_orders()[0]
                venue.instruments[oldest.symbol].matching.cancel(oldest, venue.clock.now())
                venue.save("cancel", venue.clock.now(), [oldest])
            check(venue.account)
        venue.close()
        reborn = Venue(live)
        assert reborn.account.history == venue.account.history
        assert (reborn.account.free, reborn.account.locked) == (venue.account.free, venue.account.locked)
        for ours, theirs in zip(reborn.account.orders.values(), venue.account.orders.values(), strict=True):
            assert (ours.by_id, ours.next_trade_id) == (theirs.by_id, theirs.next_trade_id)
        assert reborn.account.accepted == venue.account.accepted
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
