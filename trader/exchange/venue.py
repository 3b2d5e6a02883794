"""The venue: clock, symbols, account, limits and faults behind one lock, and what an order's commit means."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from trader.core.errors import ConfigError
from trader.core.types import floor_hour
from trader.exchange.account import Account, VenueOrder
from trader.exchange.clock import VirtualClock
from trader.exchange.config import ExchangeConfig
from trader.exchange.faults import Fault, RequestFaults, parse_faults
from trader.exchange.filters import SymbolFilters
from trader.exchange.instruments import Instrument
from trader.exchange.limits import Limiter
from trader.exchange.listings import Listings
from trader.exchange.market import Market
from trader.exchange.matching import Book, OrderRequest
from trader.exchange.params import RequestParams
from trader.exchange.replies import ApiError
from trader.exchange.resting import RestingOrders
from trader.exchange.state import StateFile
from trader.exchange.stream_list import OpenStreams

LOGGED_REQUESTS = 200_000


@dataclass(slots=True)
class ApiCall:
    """One request on its way through the API: its parameters, the symbols that it names, the server's time for it, and its
    faults."""

    params: RequestParams
    named: Sequence[str]
    now_ms: int
    plan: RequestFaults
    time_unit: str = "MILLISECOND"


@dataclass(slots=True)
class DelayedOrder:
    """An order that was received and will be committed only at its due time."""

    instrument: Instrument
    intent: OrderRequest
    rules: SymbolFilters
    book: Book
    due_ms: int
    due_wall_s: float


class Venue:
    """Everything the exchange knows. Whoever reads or changes it holds `lock`."""

    def __init__(self, config: ExchangeConfig) -> None:
        self.config = config
        self.lock = threading.Lock()
        self.account = Account(((it.name, it.base, it.quote) for it in config.traded), config.balances)
        self.instruments = {
            it.name: Instrument(it, self.account, config.costs, config.fee_asset) for it in config.traded
        }
        self.listings = Listings(config.others, config.costs)
        self.limiter = Limiter(config.limits)
        self.faults: list[Fault] = []
        self.set_faults(config.faults)
        self.streams = OpenStreams()
        self.requests: deque[dict[str, Any]] = deque(maxlen=LOGGED_REQUESTS)
        self.request_count = 0
        self.state = None if config.state_path is None else StateFile(config.state_path, config.symbols)
        start_ms = max(config.at_ms, self.state.restore(self.account) if self.state else 0)
        self.clock = VirtualClock(start_ms, float(config.speed))
        self.resting = RestingOrders(self.account, self.instruments, start_ms)
        self._late: list[DelayedOrder] = []
        self._born_wall: dict[tuple[int, str, int], float] = {}
        self._shut: tuple[int, frozenset[str]] = (-1, frozenset())

    @property
    def fee_pair(self) -> str:
        """The symbol that quotes the fee asset, "" without one."""
        fee = self.config.fee_asset
        return "" if fee is None else f"{fee.name}{self.config.quote}"

    def quoted(self, now_ms: int) -> list[str]:
        """The symbols that have a price: the traded ones first."""
        return [*self.instruments, *self.listings.names(now_ms)]

    def quotes(self, symbol: str, now_ms: int) -> bool:
        """Whether a symbol has a price."""
        return symbol in self.instruments or self.listings.has(symbol, now_ms)

    def market_of(self, symbol: str) -> Market:
        """The market of a quoted symbol."""
        traded = self.instruments.get(symbol)
        return self.listings.market(symbol) if traded is None else traded.market

    def shut_symbols(self, now_ms: int) -> frozenset[str]:
        """The traded symbols that have no bar in the current hour."""
        hour = floor_hour(now_ms)
        if self._shut[0] != hour:
            shut = (name for name, it in self.instruments.items() if not it.market.is_open(hour))
            self._shut = (hour, frozenset(shut))
        return self._shut[1]

    def is_shut(self, named: Sequence[str], now_ms: int) -> bool:
        """Whether a request that names these symbols is answered by nobody: one of them is traded and shut, or, for a request
        that names no traded symbol, every traded symbol is."""
        shut = self.shut_symbols(now_ms)
        if not shut:
            return False
        traded = [name for name in named if name in self.instruments]
        return any(name in shut for name in traded) if traded else len(shut) == len(self.instruments)

    def set_faults(self, raw: Any) -> None:
        """Replace the active faults. Raises ConfigError that says which one is wrong and why; then nothing has changed."""
        faults = parse_faults(raw)
        known = [*self.instruments, *self.listings.all_names]
        for index, fault in enumerate(faults):
            if fault.symbol and fault.symbol not in known:
                raise ConfigError(f"fault {index}: there is no {fault.symbol} here, only {', '.join(known)}")
        self.faults = faults

    def tick(self) -> int:
        """Let everything happen that is due by now: late orders, resting orders. Returns the virtual time."""
        now_ms = self.clock.now()
        due = [late for late in self._late if now_ms >= late.due_ms and time.monotonic() >= late.due_wall_s]
        for late in sorted(due, key=lambda item: item.due_ms):
            self._late.remove(late)
            # An order held by the wall clock has no virtual due time of its own: it happens now.
            moment = late.due_ms if late.due_wall_s == 0 else now_ms
            self._advance(moment)
            self._commit_late(late, moment)
        self._advance(now_ms)
        return now_ms

    def _advance(self, now_ms: int) -> None:
        changed = self.resting.advance(now_ms)
        for order in changed:
            # The order count is credited once an order, at its first fill: in `place` for one that is filled at once.
            if len(order.trades) == 1:
                self.limiter.credit_fill(order.update_time, is_maker=True)
        if changed:
            self.save("fill", now_ms, changed)

    def _commit_late(self, late: DelayedOrder, moment: int) -> None:
        if not late.instrument.market.is_open(moment):
            return  # there is no price, and nobody is left to be told
        try:
            self.place(late.instrument, late.intent, late.rules, late.book, moment)
        except ApiError:
            # The client has timed out; the refused order leaves no trace.
            return

    def place(
        self, instrument: Instrument, intent: OrderRequest, rules: SymbolFilters, book: Book, now_ms: int
    ) -> VenueOrder:
        """Commit an order and make it durable."""
        order = instrument.matching.place(intent, rules, now_ms, book)
        self._born_wall[order.epoch, order.symbol, order.order_id] = time.monotonic()
        if order.trades:
            self.limiter.credit_fill(now_ms, is_maker=False)
        self.save("order", now_ms, [order])
        return order

    def hold_back(
        self,
        instrument: Instrument,
        intent: OrderRequest,
        rules: SymbolFilters,
        plan: RequestFaults,
        now_ms: int,
    ) -> None:
        """Keep an order for later: it executes after the client has timed out."""
        wall_s = plan.total("late_commit", "wall_s")
        due_wall_s = time.monotonic() + wall_s if wall_s else 0.0
        due_ms = now_ms if wall_s else now_ms + int(plan.total("late_commit", "ms"))
        self._late.append(DelayedOrder(instrument, intent, rules, plan.book, due_ms, due_wall_s))

    def sees(self, order: VenueOrder | None, call: ApiCall) -> bool:
        """Whether a reader sees an order already; a lagging read does not return orders younger than its lag."""
        if order is None:
            return False
        if not call.plan.has("lag"):
            return True
        born = self._born_wall.get((order.epoch, order.symbol, order.order_id), 0.0)
        age_s = time.monotonic() - born
        return call.now_ms - order.time >= call.plan.total("lag", "ms") and age_s >= call.plan.total(
            "lag", "wall_s"
        )

    def save(self, what: str, now_ms: int, orders: list[VenueOrder]) -> None:
        """Make a change durable before anybody hears of it."""
        if self.state:
            self.state.changed(what, now_ms, self.account, orders)

    def move_clock(self, time_ms: int) -> bool:
        """Jump ahead in time and let happen what was due; False for a step back."""
        if not self.clock.move_to(time_ms):
            return False
        if self.state:
            self.state.moved(time_ms)
        self.tick()
        self.streams.wake()
        return True

    def apply_world_faults(self, plan: RequestFaults, now_ms: int) -> None:
        """Faults that change the world itself, once for each request they meet."""
        for fault in plan.of("before", "wipe", "deposit", "fill"):
            filled: list[VenueOrder] = []
            if fault.action == "wipe":
                self.account.reset()
                self._late.clear()
            elif fault.action == "fill":
                filled = self.resting.fill(fault.symbol, now_ms)
            else:
                self.account.add(fault.settings["asset"], Decimal(fault.settings["amount"]))
            self.account.update_time = now_ms
            self.save(fault.action, now_ms, filled)

    def close(self) -> None:
        """Close the state file."""
        with self.lock:
            if self.state:
                self.state.close()
