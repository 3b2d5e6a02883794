"""Stateful stand-ins for the ports, for the branches that need a precise moment. The whole runs on the real thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from trader.core.errors import ConfigError, Retry
from trader.core.ports import CommissionTerms, OrderAnswer, OrderState, OwnTrade, SignedOrder
from trader.core.types import Bars, Fill, Filters, Quote, Side

ACCEPTS = Filters(Decimal("0.01"), Decimal("0.00001"), Decimal(5), Decimal("0.00001"))


class MemoryStore:
    """A store in a dictionary."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        """The object, or None."""
        return self.objects.get(key)

    def put(self, key: str, data: bytes) -> None:
        """Overwrite."""
        self.objects[key] = data

    def create(self, key: str, data: bytes) -> bool:
        """Create if absent; True if these bytes are there now."""
        return self.objects.setdefault(key, data) == data

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> list[str]:
        """Sorted keys."""
        return sorted(k for k in self.objects if k.startswith(prefix) and k > after)[:limit]


@dataclass
class FakeClock:
    """Sleeping moves it."""

    time_ms: int

    def now_ms(self) -> int:
        """UTC ms."""
        return self.time_ms

    def sleep(self, seconds: float) -> None:
        """Advance."""
        self.time_ms += round(seconds * 1000)


@dataclass
class FakeExchange:
    """An account that fills every market order at one price, and whose replies can be lost.

    `next_send` is what happens to the next order: filled, partial, expired, lost_after (executed, reply lost),
    lost_before (never executed, reply lost), late (executed 7 s later), refused. `blind` queries find no order.
    """

    clock: FakeClock
    price: Decimal = Decimal(50_000)
    next_send: str = "filled"
    reads_fail: bool = False
    blind: bool = False
    fee_rate: Decimal = Decimal("0.001")
    fee_asset: str = ""
    fee_price: Decimal | None = Decimal(600)
    free: dict[str, Decimal] = field(
        default_factory=lambda: {"BTC": Decimal(100), "USDT": Decimal(1_000_000)}
    )
    accepts: Filters = ACCEPTS
    sent: list[SignedOrder] = field(default_factory=list)
    known: dict[str, tuple[OrderState, list[Fill], int]] = field(default_factory=dict)

    def _ask(self) -> None:
        if self.reads_fail:
            raise Retry("the fake venue does not answer")

    def time_ms(self) -> int:
        """The clock's."""
        self._ask()
        return self.clock.now_ms()

    def filters(self, symbol: str) -> Filters:
        """Those of BTCUSDT, the only one it lists."""
        self._ask()
        if symbol != "BTCUSDT":
            raise ConfigError(f"the fake venue does not list {symbol}")
        return self.accepts

    def quote(self, symbol: str) -> Quote:
        """Around the price."""
        return Quote(self.price, self.price)

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Around the price, for each."""
        return {it: self.quote(it) for it in symbols}

    def balances(self) -> Mapping[str, Decimal]:
        """What is free."""
        self._ask()
        return dict(self.free)

    def commission_terms(self, symbol: str) -> CommissionTerms:
        """The fee rate as it is told, or three quarters of it in the fee asset."""
        self._ask()
        return CommissionTerms(self.fee_rate, self.fee_rate * Decimal("0.75"), self.fee_asset)

    def price_of(self, asset: str, symbol: str) -> Decimal | None:
        """The fee asset's, as it is told."""
        self._ask()
        return self.fee_price if asset == self.fee_asset else None

    def assets(self, symbol: str) -> tuple[str, str]:
        """BTC and USDT."""
        return "BTC", "USDT"

    def sign(self, symbol: str, side: Side, qty: Decimal, client_order_id: str, now_ms: int) -> SignedOrder:
        """Fix the order."""
        return SignedOrder(symbol, side, qty, client_order_id, now_ms, 5_000)

    def send(self, order: SignedOrder) -> OrderAnswer:
        """Execute, refuse or lose the order, as told; past its window it is refused as Binance does."""
        self.sent.append(order)
        how, self.next_send = self.next_send, "filled"
        if self.clock.now_ms() > order.expires_at_ms:
            return OrderAnswer(
                "refused",
                message="400, code -1021: Timestamp for this request is outside of the recvWindow.",
                again="now",
            )
        if order.qty % self.accepts.step_size or order.qty < self.accepts.min_qty:
            return OrderAnswer(
                "refused", message="400, code -1013: Filter failure: LOT_SIZE", again="filters"
            )
        if how == "refused" or self.check(order.symbol, order.side, order.qty):
            return OrderAnswer(
                "refused", message="400, code -2010: Account has insufficient balance for requested action."
            )
        if how == "busy":
            return OrderAnswer("refused", message="429, code -1015: Too many new orders.", again="later")
        if how == "lost_before":
            return OrderAnswer("unknown", message="ReadTimeout")
        share = {"partial": Decimal("0.5"), "expired": Decimal(0)}.get(how, Decimal(1))
        state, fills = self._execute(order, share)
        seen_from = self.clock.now_ms() + (7_000 if how == "late" else 0)
        self.known[order.client_order_id] = state, fills, seen_from
        if how in ("lost_after", "late"):
            return OrderAnswer("unknown", message="ReadTimeout")
        return OrderAnswer("accepted", state, fills)

    def _execute(self, order: SignedOrder, share: Decimal) -> tuple[OrderState, list[Fill]]:
        qty = order.qty * share
        paid_in: Literal["base", "quote"] = "base" if order.side == "BUY" else "quote"
        fee = (qty if order.side == "BUY" else qty * self.price) * Decimal("0.001")
        number = len(self.known) + 1
        sign = 1 if order.side == "BUY" else -1
        self.free["BTC"] += sign * qty - (fee if paid_in == "base" else 0)
        self.free["USDT"] -= sign * qty * self.price + (fee if paid_in == "quote" else 0)
        fills = [Fill(order.side, self.price, qty, fee, paid_in, number)] if qty else []
        status = "FILLED" if share == 1 else "EXPIRED"
        now = self.clock.now_ms()
        state = OrderState(
            client_order_id=order.client_order_id,
            order_id=number,
            status=status,
            side=order.side,
            executed_qty=qty,
            quote_qty=qty * self.price,
            transact_ms=now,
            symbol=order.symbol,
            type="MARKET",
            orig_qty=order.qty,
        )
        return state, fills

    def check(self, symbol: str, side: Side, qty: Decimal) -> str:
        """Would accept what the account can pay."""
        asset, needed = ("USDT", qty * self.price) if side == "BUY" else ("BTC", qty)
        short = "400, code -2010: Account has insufficient balance for requested action."
        return short if needed > self.free[asset] else ""

    def _visible(self) -> dict[str, tuple[OrderState, list[Fill], int]]:
        if self.blind:
            return {}
        return {k: v for k, v in self.known.items() if v[2] <= self.clock.now_ms()}

    def find(self, symbol: str, client_order_id: str) -> OrderState | None:
        """The order, once it can be seen."""
        self._ask()
        found = self._visible().get(client_order_id)
        return found[0] if found else None

    def orders(self, symbol: str, since_ms: int | None) -> list[OrderState]:
        """Orders since."""
        self._ask()
        return [state for state, _, _ in self._visible().values() if state.transact_ms >= (since_ms or 0)]

    def trades(self, symbol: str, since_ms: int) -> list[OwnTrade]:
        """Executions since."""
        self._ask()
        return [
            OwnTrade(name, fill.side, fill.qty, fill.qty * fill.price)
            for name, (state, fills, _) in self._visible().items()
            for fill in fills
            if state.transact_ms >= since_ms
        ]

    def open_orders(self, symbol: str) -> list[OrderState]:
        """None: market orders end at once."""
        self._ask()
        return []

    def fills(self, symbol: str, order_id: int) -> list[Fill]:
        """Of one order."""
        self._ask()
        return next((fills for state, fills, _ in self.known.values() if state.order_id == order_id), [])


@dataclass
class MemoryMarket:
    """Bars in memory, of which those are known that have closed by its clock."""

    known: Bars
    clock: FakeClock

    def bars(self, symbol: str, start: int, stop: int) -> Bars:
        """Those of the span."""
        return self.known.until(self.clock.now_ms()).span(start, stop)
