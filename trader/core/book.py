"""A book: many symbols on one account. Each has a sleeve, which is traded as a bot of one symbol is; the book marks all of them
once an hour, halts them together, and moves cash among them at rebalance hours. Pure.

What an hour T of the book says follows from the records of T - 1 h and is fixed before any symbol decides T.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import Literal

from trader.core.book_limits import PurchaseLimit, SleeveStanding, purchase_limits
from trader.core.book_params import BookParams
from trader.core.policy import LossLimits
from trader.core.risk import RiskState, assess
from trader.core.shares import Shares
from trader.core.transfers import transfers
from trader.core.types import HOUR_MS

BookReason = Literal["", "rebalance", "halt", "halted", "missed"]

# Why a symbol is halted whose book is.
BOOK_HALT = "book"

# A symbol whose hour before is not closed so long after the close is marked by an older record, and moves no cash.
LATE_MS = 60_000
SIX = Decimal("1e-6")


@dataclass(frozen=True, slots=True)
class PendingTransfer:
    """A transfer that the newest record of its sleeve does not hold yet. hour: of the book record, UTC ms. earlier: transfers of
    the same sleeve that came before it and are on their way too, where a person has released a symbol meanwhile."""

    hour: int
    amount_usdt: Decimal
    earlier: tuple[PendingTransfer, ...] = ()

    @property
    def each(self) -> tuple[PendingTransfer, ...]:
        """Every one of them, oldest first."""
        return (*self.earlier, replace(self, earlier=()))

    @property
    def total_usdt(self) -> Decimal:
        """What is on its way in all."""
        return sum((it.amount_usdt for it in self.each), Decimal(0))


@dataclass(frozen=True, slots=True)
class BookHour:
    """The book record of one hour, made before any of its symbols decides it.

    close_time: UTC ms. equity_usdt: cash of the book and every sleeve, by the records that `records` names (close times by
    symbol; a symbol without a record is not there). risk: the limits' state after that equity was marked. reserve_usdt: the
    book's cash that no sleeve has, after the transfers. transfers: USDT added to a sleeve's cash, negative where it gives;
    symbols without one are not there. weights and bars_hash: of a rebalance hour, by which shares. halt_event: the number of the
    newest halt or resume of the book that `risk` holds already. pending: transfers of earlier hours that no record holds yet, by
    symbol; they are part of the equity. release_event: the number of the newest release of a symbol's cash that was taken in.
    limits: what symbols may spend in this hour, where a limit of the book leaves one less than its cash. symbols_event: the
    number of the newest change of the book's symbols that was known.
    """

    close_time: int
    reason: BookReason
    equity_usdt: Decimal
    risk: RiskState
    reserve_usdt: Decimal
    transfers: Mapping[str, Decimal]
    weights: Mapping[str, Decimal]
    bars_hash: str
    records: Mapping[str, int]
    halt_event: int = 0
    pending: Mapping[str, PendingTransfer] = field(default_factory=dict)
    release_event: int = 0
    limits: Mapping[str, PurchaseLimit] = field(default_factory=dict)
    symbols_event: int = 0

    @property
    def halted(self) -> bool:
        """Whether the whole book is halted at this hour."""
        return self.risk.halted_at is not None

    @property
    def late(self) -> tuple[str, ...]:
        """Symbols that were marked by a record older than that of the hour before."""
        return tuple(it for it, hour in self.records.items() if hour < self.close_time - HOUR_MS)

    def transfer(self, symbol: str) -> Decimal:
        """What a sleeve's cash gains at this hour, 0 for nothing."""
        return self.transfers.get(symbol, Decimal(0))

    def most_usdt(self, symbol: str) -> Decimal | None:
        """The most that a purchase of a symbol may cost in this hour, None for all of its cash."""
        return self.limits[symbol].most_usdt if symbol in self.limits else None


@dataclass(frozen=True)
class BookRules:
    """Everything that decides beside the sleeves: the parameters, the book's first hour (UTC ms), and what a halt does with what
    is held."""

    params: BookParams
    start: int
    freeze_on_halt: bool = False

    @cached_property
    def limits(self) -> LossLimits:
        """The losses that halt the book."""
        return self.params.limits(freeze=self.freeze_on_halt)

    def before_first(self) -> BookHour:
        """The book before its first hour: all capital is its own cash."""
        capital = self.params.capital_usdt
        risk = RiskState.fresh(capital)
        return BookHour(self.start - HOUR_MS, "", capital, risk, capital, {}, {}, "", {})

    def rebalances(self, hour: int, before: BookHour) -> bool:
        """Whether cash may move at `hour`: every `rebalance_hours` from the first one on, and as soon as it can while no symbol
        has been given anything yet."""
        begun = before.reserve_usdt != self.params.capital_usdt
        return not begun or (hour - self.start) % (self.params.rebalance_hours * HOUR_MS) == 0


def book_hour(
    rules: BookRules,
    hour: int,
    before: BookHour,
    standings: Sequence[SleeveStanding],
    shares: Callable[[Sequence[str]], Shares],
    released: Collection[str] = (),
    unshared: Collection[str] = (),
) -> BookHour:
    """The book record of `hour` (UTC ms), by the hour before and every symbol's newest record. shares: of this hour among some
    symbols, asked for only where cash may move. released: symbols whose cash a person has ordered back to the book. unshared:
    symbols of which nobody can say a share now.

    At a rebalance hour the symbols that can give and take share what they and the book have: one that is late, halted, unshared
    or has a transfer on its way keeps what it has, and is left out.
    """
    record = _with_transfers(rules, hour, before, standings, shares, released, unshared)
    if record.halted or not rules.params.limits_purchases:
        return record
    return replace(
        record, limits=purchase_limits(rules.params, hour, record.equity_usdt, standings, record.transfers)
    )


def _with_transfers(
    rules: BookRules,
    hour: int,
    before: BookHour,
    standings: Sequence[SleeveStanding],
    shares: Callable[[Sequence[str]], Shares],
    released: Collection[str],
    unshared: Collection[str],
) -> BookHour:
    """`book_hour` before limits on purchases."""
    pending = _pending_now(before, standings)
    equity = _equity(before, standings, pending)
    records = {it.symbol: it.record_hour for it in standings if it.record_hour is not None}
    record = _with_released(marked_hour(rules, hour, before, equity, records, pending), standings, released)
    if record.halted or not rules.rebalances(hour, before):
        return record
    stays = {*pending, *released, *unshared}
    moving = [it for it in standings if it.moves(hour) and it.symbol not in stays]
    if not moving:
        return record
    asked, reserve = shares([it.symbol for it in moving]), record.reserve_usdt
    moved = transfers(reserve + sum((it.equity_usdt for it in moving), Decimal(0)), reserve, moving, asked)
    return replace(
        record,
        reason="rebalance",
        reserve_usdt=reserve - sum(moved.values(), Decimal(0)),
        transfers=dict(sorted({**record.transfers, **moved}.items())),
        weights=asked.weights,
        bars_hash=asked.bars_hash,
    )


def _with_released(
    record: BookHour, standings: Sequence[SleeveStanding], released: Collection[str]
) -> BookHour:
    """The record with all cash of released symbols moved to the book, that on its way to them as well."""
    moved: dict[str, Decimal] = {}
    for it in standings:
        coming = record.pending.get(it.symbol)
        cash = it.cash_usdt + (coming.total_usdt if coming else 0)
        if it.symbol in released and cash > 0:
            moved[it.symbol] = -cash
    given = sum(moved.values(), Decimal(0))
    return replace(record, transfers=moved, reserve_usdt=record.reserve_usdt - given) if moved else record


def marked_hour(
    rules: BookRules,
    hour: int,
    before: BookHour,
    equity_usdt: Decimal,
    records: Mapping[str, int],
    pending: Mapping[str, PendingTransfer],
) -> BookHour:
    """`book_hour` where no cash moves: the equity by the newest records, and what the limits say of it."""
    risk = assess(before.risk, equity_usdt, hour, rules.limits)
    return BookHour(
        hour,
        _halt_reason(risk, hour),
        equity_usdt,
        risk,
        before.reserve_usdt,
        {},
        {},
        "",
        records,
        before.halt_event,
        pending,
        before.release_event,
    )


def book_equity(before: BookHour, standings: Sequence[SleeveStanding]) -> Decimal:
    """The book's equity by every symbol's newest record: its own cash, the sleeves, and what is on its way to one."""
    return _equity(before, standings, _pending_now(before, standings))


def _equity(
    before: BookHour, standings: Sequence[SleeveStanding], pending: Mapping[str, PendingTransfer]
) -> Decimal:
    equity = before.reserve_usdt + sum((it.equity_usdt for it in standings), Decimal(0))
    return equity + sum((it.total_usdt for it in pending.values()), Decimal(0))


def _pending_now(before: BookHour, standings: Sequence[SleeveStanding]) -> dict[str, PendingTransfer]:
    return _pending(before, {it.symbol: it.record_hour for it in standings})


def _halt_reason(risk: RiskState, hour: int) -> BookReason:
    if risk.halted_at is None:
        return ""
    return "halt" if risk.halted_at == hour else "halted"


def missed_book_hour(hour: int, before: BookHour) -> BookHour:
    """The book record of an hour (UTC ms) that passed before one was made: nothing moves, and nothing is marked."""
    return replace(
        before,
        close_time=hour,
        reason="missed",
        transfers={},
        weights={},
        bars_hash="",
        records={},
        pending=_pending(before, {}),
        limits={},
    )


def _pending(before: BookHour, records: Mapping[str, int | None]) -> dict[str, PendingTransfer]:
    """Of all transfers up to the hour before those that come after the newest record of their sleeve, whose decision of that hour
    is still to be made: its exchange is closed, or it is slow."""
    coming = {symbol: it.each for symbol, it in before.pending.items()}
    for symbol, amount in before.transfers.items():
        # Two where a person has released a symbol to which a transfer was on its way.
        coming[symbol] = (*coming.get(symbol, ()), PendingTransfer(before.close_time, amount))
    left = {
        symbol: [it for it in each if (record := records.get(symbol)) is None or record < it.hour]
        for symbol, each in sorted(coming.items())
    }
    return {symbol: replace(each[-1], earlier=tuple(each[:-1])) for symbol, each in left.items() if each}


def pending_after(record: BookHour, symbol: str, record_hour: int) -> Decimal:
    """What is on its way to a symbol, or from it, after its record of an hour (UTC ms): transfers up to those of `record`."""
    earlier = record.pending[symbol].each if symbol in record.pending else ()
    coming = sum((it.amount_usdt for it in earlier if it.hour > record_hour), Decimal(0))
    return coming + (record.transfer(symbol) if record.close_time > record_hour else 0)


def of_symbols(record: BookHour, symbols: Collection[str]) -> BookHour:
    """The record of an hour, without what is on its way to others: they were removed since, flat and released."""
    return replace(
        record,
        transfers={it: amount for it, amount in record.transfers.items() if it in symbols},
        pending={it: coming for it, coming in record.pending.items() if it in symbols},
    )
