"""The venue: clock, market, account, limits and faults behind one lock, and what an order's commit means."""

from __future__ import annotations

import copy
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from trader.core.costs import CostModel
from trader.core.errors import ConfigError
from trader.core.types import Bars, Filters
from trader.exchange.account import Account, VenueOrder
from trader.exchange.clock import VirtualClock
from trader.exchange.faults import Fault, RequestFaults, parse_faults
from trader.exchange.filters import SymbolFilters, symbol_row
from trader.exchange.limits import Limiter, RequestLimits
from trader.exchange.listings import ListedSymbol, Listings
from trader.exchange.market import Market
from trader.exchange.matching import Book, FeeAsset, Matching, OrderRequest
from trader.exchange.params import RequestParams
from trader.exchange.replies import ApiError
from trader.exchange.state import StateFile

LOGGED_REQUESTS = 200_000


@dataclass(frozen=True)
class ExchangeConfig:
    """What the embedded exchange starts from.

    balances: asset -> amount. at_ms: virtual time at the start, UTC ms. speed: virtual seconds per wall second, 0
    stands still. port 0 takes a free one. state_path: a file that survives restarts. faults: see `faults.py`.
    exchange_info_row: a real exchangeInfo row, which then rules instead of `filters`. fee_asset: what commission is taken
    in while the account holds some, None takes it from what is received. market: what the bars are where they are no real
    market's, else "". others: symbols that are quoted beside the traded one.
    """

    bars: Bars
    base: str
    quote: str
    filters: Filters
    costs: CostModel
    at_ms: int
    balances: Mapping[str, Decimal]
    api_key: str
    api_secret: str
    port: int = 0
    speed: Decimal | float = 0
    state_path: Path | None = None
    faults: Sequence[Mapping[str, Any]] = ()
    exchange_info_row: Mapping[str, Any] | None = None
    limits: RequestLimits = field(default_factory=RequestLimits)
    fee_asset: FeeAsset | None = None
    market: str = ""
    others: Sequence[ListedSymbol] = ()


@dataclass(slots=True)
class ApiCall:
    """One request on its way through the API: its parameters, the server's time for it, and its faults."""

    params: RequestParams
    now_ms: int
    plan: RequestFaults
    symbol_row: Mapping[str, Any]
    rules: SymbolFilters
    time_unit: str = "MILLISECOND"


@dataclass(slots=True)
class DelayedOrder:
    """An order that was received and will be committed only at its due time."""

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
        self.symbol = config.bars.symbol
        self.row = self._checked_row()
        self.rules = SymbolFilters(self.row)
        self.market = Market(config.bars, config.costs, config.filters.tick_size)
        self.listings = Listings(config.others, config.costs)
        self.account = Account(config.base, config.quote, config.balances)
        self.matching = Matching(
            self.market, self.account, config.costs.fee_rate, self.symbol, config.fee_asset
        )
        self.limiter = Limiter(config.limits)
        self.faults: list[Fault] = parse_faults(config.faults)
        self.requests: deque[dict[str, Any]] = deque(maxlen=LOGGED_REQUESTS)
        self.request_count = 0
        self.state = None if config.state_path is None else StateFile(config.state_path, self.symbol)
        start_ms = max(config.at_ms, self.state.restore(self.account) if self.state else 0)
        self.clock = VirtualClock(start_ms, float(config.speed))
        self.matching.advance(start_ms)
        self._late: list[DelayedOrder] = []
        self._born_wall: dict[tuple[int, int], float] = {}

    @property
    def fee_pair(self) -> str:
        """The symbol that quotes the fee asset, "" without one."""
        fee = self.config.fee_asset
        return "" if fee is None else f"{fee.name}{self.config.quote}"

    def quoted(self, now_ms: int) -> list[str]:
        """The symbols that have a price: the traded one first."""
        return [self.symbol, *self.listings.names(now_ms)]

    def market_of(self, symbol: str) -> Market:
        """The market of a quoted symbol."""
        return self.market if symbol == self.symbol else self.listings.market(symbol)

    def _checked_row(self) -> dict[str, Any]:
        config = self.config
        given = config.exchange_info_row
        if given is None:
            return symbol_row(self.symbol, config.base, config.quote, config.filters)
        row = copy.deepcopy(dict(given))
        wanted = {"symbol": self.symbol, "baseAsset": config.base, "quoteAsset": config.quote}
        for name, value in wanted.items():
            if row.setdefault(name, value) != value:
                raise ConfigError(
                    f"the exchangeInfo row says {name} {row[name]}, the exchange was asked for {value}"
                )
        if not isinstance(row.get("filters"), list):
            raise ConfigError("the exchangeInfo row has no list of filters")
        return {**symbol_row(self.symbol, config.base, config.quote, config.filters), **row}

    def row_for(self, plan: RequestFaults) -> tuple[dict[str, Any], SymbolFilters]:
        """The symbol's row and rules as a request's faults make them look."""
        statuses = plan.of("before", "status")
        patches = plan.of("before", "filters")
        if not statuses and not patches:
            return self.row, self.rules
        row = copy.deepcopy(self.row)
        for fault in statuses:
            row["status"] = fault.settings["status"]
        for fault in patches:
            for entry in row["filters"]:
                entry.update(fault.settings["set"].get(entry["filterType"], {}))
        return row, SymbolFilters(row)

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
        changed = self.matching.advance(now_ms)
        for order in changed:
            # The order count is credited once an order, at its first fill: in `place` for one that is filled at once.
            if len(order.trades) == 1:
                self.limiter.credit_fill(order.update_time, is_maker=True)
        if changed:
            self.save("fill", now_ms, changed)

    def _commit_late(self, late: DelayedOrder, moment: int) -> None:
        if not self.market.is_open(moment):
            return  # there is no price, and nobody is left to be told
        try:
            self.place(late.intent, late.rules, late.book, moment)
        except ApiError:
            # The client has timed out; the refused order leaves no trace.
            return

    def place(self, intent: OrderRequest, rules: SymbolFilters, book: Book, now_ms: int) -> VenueOrder:
        """Commit an order and make it durable."""
        order = self.matching.place(intent, rules, now_ms, book)
        self._born_wall[order.epoch, order.order_id] = time.monotonic()
        if order.trades:
            self.limiter.credit_fill(now_ms, is_maker=False)
        self.save("order", now_ms, [order])
        return order

    def hold_back(self, intent: OrderRequest, rules: SymbolFilters, plan: RequestFaults, now_ms: int) -> None:
        """Keep an order for later: it executes after the client has timed out."""
        wall_s = plan.total("late_commit", "wall_s")
        due_wall_s = time.monotonic() + wall_s if wall_s else 0.0
        due_ms = now_ms if wall_s else now_ms + int(plan.total("late_commit", "ms"))
        self._late.append(DelayedOrder(intent, rules, plan.book, due_ms, due_wall_s))

    def sees(self, order: VenueOrder | None, call: ApiCall) -> bool:
        """Whether a reader sees an order already; a lagging read does not return orders younger than its lag."""
        if order is None:
            return False
        if not call.plan.has("lag"):
            return True
        age_s = time.monotonic() - self._born_wall.get((order.epoch, order.order_id), 0.0)
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
        return True

    def apply_world_faults(self, plan: RequestFaults, now_ms: int) -> None:
        """Faults that change the world itself, once for each request they meet."""
        for fault in plan.of("before", "wipe", "deposit", "fill"):
            filled: list[VenueOrder] = []
            if fault.action == "wipe":
                self.account.reset()
                self._late.clear()
            elif fault.action == "fill":
                filled = self.matching.fill_open(now_ms)
            else:
                self.account.add(fault.settings["asset"], Decimal(fault.settings["amount"]))
            self.account.update_time = now_ms
            self.save(fault.action, now_ms, filled)

    def close(self) -> None:
        """Close the state file."""
        with self.lock:
            if self.state:
                self.state.close()
