"""What every exchange must do. A test module subclasses `ExchangeContract` and provides the fixture `desk`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from typing import TypeVar

import pytest

from trader.core.errors import ConfigError
from trader.core.ports import Clock, Exchange, OrderAnswer, OrderState, SignedOrder
from trader.core.types import Fill, Side

T = TypeVar("T")
PATIENCE_S = 15
# Older than any window of acceptance that is used here.
LONG_AGO_MS = 60_000


@dataclass(frozen=True)
class Desk:
    """An exchange, the clock that its tests may wait by, and a symbol that trades there."""

    exchange: Exchange
    clock: Clock
    symbol: str = "BTCUSDT"

    def small(self) -> Decimal:
        """A quantity that the exchange accepts and that costs little: three times the least notional."""
        filters, quote = self.exchange.filters(self.symbol), self.exchange.quote(self.symbol)
        steps = (3 * filters.min_notional / quote.bid / filters.step_size).to_integral_value(ROUND_UP)
        return max(steps * filters.step_size, filters.min_qty)

    def signed(self, side: Side, qty: Decimal, age_ms: int = 0) -> SignedOrder:
        """An order under an id that nobody has used."""
        name = f"ct-{secrets.token_hex(8)}"
        return self.exchange.sign(self.symbol, side, qty, name, self.exchange.time_ms() - age_ms)

    def trade(self, side: Side, qty: Decimal) -> tuple[SignedOrder, OrderAnswer, OrderState]:
        """Send an order that must be accepted."""
        order = self.signed(side, qty)
        sent = self.exchange.send(order)
        assert sent.outcome == "accepted", sent.message
        assert sent.state is not None
        return order, sent, sent.state

    def eventually(self, look: Callable[[], T | None]) -> T:
        """Reads may lag behind writes for seconds."""
        for _ in range(PATIENCE_S):
            found = look()
            if found is not None:
                return found
            self.clock.sleep(1)
        raise AssertionError(f"nothing after {PATIENCE_S} s")


def require_lists(desk: Desk, order: SignedOrder, state: OrderState, fills: list[Fill]) -> None:
    """Query, fills, ids, own trades and open orders tell of the order what its reply told."""
    exchange, name = desk.exchange, order.client_order_id
    assert desk.eventually(lambda: exchange.find(desk.symbol, name)) == state
    assert all(open_.client_order_id != name for open_ in exchange.open_orders(desk.symbol))
    assert name in [o.client_order_id for o in exchange.orders(desk.symbol, order.timestamp_ms)]
    if state.executed_qty:
        assert desk.eventually(lambda: exchange.fills(desk.symbol, state.order_id) or None) == fills
    own = [t for t in exchange.trades(desk.symbol, order.timestamp_ms) if t.client_order_id == name]
    assert all(trade.side == order.side for trade in own)
    assert sum((trade.qty for trade in own), Decimal(0)) == state.executed_qty
    assert sum((trade.quote_qty for trade in own), Decimal(0)) == state.quote_qty


def require_balances(
    desk: Desk, order: SignedOrder, before: Mapping[str, Decimal], fills: list[Fill]
) -> Decimal:
    """Both assets moved by the fills and their commission, to the last unit; returns what was gained of the base."""
    base, quote = desk.exchange.assets(desk.symbol)
    moved = {base: Decimal(0), quote: Decimal(0)}
    for fill in fills:
        sign = 1 if order.side == "BUY" else -1
        moved[base] += sign * fill.qty
        moved[quote] -= sign * fill.qty * fill.price
        moved[base if fill.commission_in == "base" else quote] -= fill.commission
    after = desk.exchange.balances()
    assert {asset: after.get(asset, Decimal(0)) - before.get(asset, Decimal(0)) for asset in moved} == moved
    return moved[base]


class ExchangeContract:
    """The tests that every implementation of the port passes."""

    def test_its_clock_is_utc_and_does_not_run_back(self, desk: Desk) -> None:
        """Milliseconds of this century, and later ones later."""
        first, second = desk.exchange.time_ms(), desk.exchange.time_ms()
        assert 1_500_000_000_000 < first <= second < 4_102_444_800_000

    def test_a_symbol_has_limits_assets_and_a_book(self, desk: Desk) -> None:
        """All positive, and the bid at most the ask."""
        filters = desk.exchange.filters(desk.symbol)
        assert min(filters.tick_size, filters.step_size, filters.min_notional) > 0
        base, quote = desk.exchange.assets(desk.symbol)
        assert base + quote == desk.symbol
        book = desk.exchange.quote(desk.symbol)
        assert 0 < book.bid <= book.ask

    def test_an_unknown_symbol_is_for_a_person(self, desk: Desk) -> None:
        """A symbol that is not listed does not come by itself."""
        with pytest.raises(ConfigError):
            desk.exchange.filters("NOSUCHCOIN")

    def test_balances_hold_what_is_held(self, desk: Desk) -> None:
        """Positive amounts; what is not held is missing."""
        free = desk.exchange.balances()
        assert free
        assert all(amount > 0 for amount in free.values())
        assert "NOSUCHASSET" not in free

    def test_signing_sends_nothing(self, desk: Desk) -> None:
        """The order's parts are fixed as given, and the exchange has never heard of it."""
        now = desk.exchange.time_ms()
        name = f"ct-{secrets.token_hex(8)}"
        order = desk.exchange.sign(desk.symbol, "BUY", desk.small(), name, now)
        assert (order.symbol, order.side, order.client_order_id) == (desk.symbol, "BUY", name)
        assert (order.timestamp_ms, order.qty) == (now, desk.small())
        assert 0 < order.recv_window_ms <= 60_000
        assert order.expires_at_ms == now + order.recv_window_ms
        assert desk.exchange.find(desk.symbol, name) is None
        assert name not in [o.client_order_id for o in desk.exchange.orders(desk.symbol, now - 1_000)]

    def test_an_order_is_told_the_same_way_everywhere(self, desk: Desk) -> None:
        """Reply, query, fills, lists and balances agree to the last unit, for a buy and for the sale after it."""
        step, qty = desk.exchange.filters(desk.symbol).step_size, desk.small()
        sides: tuple[Side, Side] = ("BUY", "SELL")
        for side in sides:
            before = desk.exchange.balances()
            order, sent, state = desk.trade(side, qty)
            fills = list(sent.fills or [])
            assert state.final
            assert sum((fill.qty for fill in fills), Decimal(0)) == state.executed_qty <= qty
            assert sum((fill.qty * fill.price for fill in fills), Decimal(0)) == state.quote_qty
            require_lists(desk, order, state, fills)
            gained = require_balances(desk, order, before, fills)
            qty = max(gained, Decimal(0)) // step * step  # what the sale after it can sell

    def test_an_order_past_its_horizon_is_refused(self, desk: Desk) -> None:
        """Sent too late, it is refused by name of the reason, and there is no order."""
        order = desk.signed("BUY", desk.small(), age_ms=LONG_AGO_MS)
        sent = desk.exchange.send(order)
        assert (sent.outcome, sent.state) == ("refused", None)
        assert "code -1021" in sent.message
        assert desk.exchange.find(desk.symbol, order.client_order_id) is None

    def test_an_order_that_the_account_cannot_pay_is_refused(self, desk: Desk) -> None:
        """Asked before (`check`) or sent, the exchange says no, and nothing changes."""
        step = desk.exchange.filters(desk.symbol).step_size
        free = desk.exchange.balances().get(desk.exchange.assets(desk.symbol)[1], Decimal(0))
        ask = desk.exchange.quote(desk.symbol).ask
        qty = (2 * free / ask + 1) // step * step
        assert desk.exchange.check(desk.symbol, "BUY", desk.small()) == ""
        assert "code -" in desk.exchange.check(desk.symbol, "BUY", qty)
        order = desk.signed("BUY", qty)
        sent = desk.exchange.send(order)
        assert (sent.outcome, sent.state) == ("refused", None)
        assert desk.exchange.find(desk.symbol, order.client_order_id) is None
