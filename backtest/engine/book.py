"""A book of symbols, traded hour by hour as the bot trades it: the book records, then every sleeve, then the book's line.

Between two hours at which the book may move cash the sleeves are traded on their own, as single runs are. The book record of
every hour is `book_hour`; where it halts them, what was traded beyond that hour is traded again from there.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from backtest.engine.signal_columns import SignalColumns
from backtest.engine.simulate import Run, first_mark, joined, trade
from trader.core.book import BOOK_HALT, BookHour, BookRules, book_hour, marked_hour, missed_book_hour
from trader.core.book_limits import SleeveStanding
from trader.core.book_line import BookLine, line_of_sums
from trader.core.hours import HourState, Rules
from trader.core.marks import Marks, summed
from trader.core.risk import halted
from trader.core.shares import Shares, shares_at
from trader.core.transfers import with_transfer
from trader.core.types import DAY_MS, HOUR_MS, Bars, Bools, Floats, Ints, Matrix


@dataclass(frozen=True, slots=True, eq=False)
class Sleeve:
    """A symbol of a book: its bars, the rules it is traded by, and P(up) of the book's hours, (n,) float32."""

    bars: Bars
    rules: Rules
    p_up: Matrix


@dataclass(frozen=True, slots=True, eq=False)
class SleeveRun:
    """A symbol's hours. index: (n,) float64, the worth of 1 USDT that was given at the beginning, chain-linked over transfers: it
    moves with the sleeve's trading and not with its transfers. 1 before the first transfer."""

    symbol: str
    run: Run
    index: Floats


@dataclass(frozen=True, slots=True, eq=False)
class BookRun:
    """n hours of a book: the book record of each, their lines, and every symbol's own hours, in alphabetical order."""

    hours: list[BookHour]
    lines: list[BookLine]
    sleeves: list[SleeveRun]


def simulate_book(sleeves: Sequence[Sleeve], rules: BookRules, stop: int) -> BookRun:
    """Trade the hours rules.start <= T < stop (UTC ms) of a book of two symbols or more. Raises DataError where a symbol's bars
    do not reach over the window that shares are computed from."""
    hours = (stop - rules.start) // HOUR_MS
    trading = [_SleeveTrading(it, rules.start, stop) for it in sorted(sleeves, key=lambda it: it.bars.symbol)]
    book = _BookTrading(rules, trading)
    while len(book.hours) < hours:
        book.trade_until_next_move(hours)
    cash = sums([it.cash for it in trading])
    lines = list(map(line_of_sums, book.hours, book.equity, cash))
    return BookRun(book.hours, lines, [it.ended() for it in trading])


def sums(columns: Sequence[Sequence[Decimal]]) -> list[Decimal]:
    """The sum of the columns in every hour, (n,)."""
    return [sum(row, Decimal(0)) for row in zip(*columns, strict=True)]


class _BookTrading:
    """The book while it is traded: its records so far, hour by hour. equity: USDT of all sleeves after each hour so far."""

    def __init__(self, rules: BookRules, sleeves: Sequence[_SleeveTrading]) -> None:
        self.rules, self.sleeves = rules, sleeves
        self.hours: list[BookHour] = []
        self._bars = [it.bars for it in sleeves]
        self.equity: list[Decimal] = []
        self._names = [it.bars.symbol for it in sleeves]
        self._shut = ~np.any([it.columns.venue_open for it in sleeves], axis=0)
        # Hours that every symbol begins with a record of the hour before: only their equities are needed.
        newest = np.array([it.newest for it in sleeves])
        self._usual = (np.all(newest == np.arange(newest.shape[1]) - 1, axis=0) & ~self._shut).tolist()

    def trade_until_next_move(self, stop: int) -> None:
        """Make the record of the next hour, then trade all sleeves until the book may move cash again or halts, at most up to
        index `stop`."""
        first = len(self.hours)
        now = self._record_of(first)
        self.hours.append(now)
        for it in self.sleeves:
            it.begin(first, now)
        until = self._next_move(first + 1, stop, now)
        for it in self.sleeves:
            it.trade(first, until, now)
        self.equity[first:] = summed([it.marks for it in self.sleeves])
        changed = self._first_change(first + 1, until)
        if changed < until:
            for it in self.sleeves:
                it.trade(first, changed, now)
            del self.equity[changed:]
        for it in self.sleeves:
            it.keep()

    def _next_move(self, first: int, stop: int, now: BookHour) -> int:
        """The first hour at or after index `first` at which cash may move."""
        if now.halted:
            return stop
        moves = (i for i in range(first, stop) if self.rules.rebalances(self._hour(i), now))
        return next(moves, stop)

    def _first_change(self, first: int, stop: int) -> int:
        """Make the records of the hours first <= i < stop, at which no cash moves, up to the one that halts the book or holds
        back a purchase; its index, or `stop`."""
        by_sums = not self.rules.params.limits_purchases
        for i in range(first, stop):
            record = (
                self._marked_record(i, self.equity[i - 1])
                if self._usual[i] and by_sums
                else self._record_of(i)
            )
            if record.halted and not self.hours[-1].halted:
                return i
            if any(
                it.bought_usdt(i) > record.limits[it.bars.symbol].most_usdt
                for it in self.sleeves
                if it.bars.symbol in record.limits
            ):
                return i
            self.hours.append(record)
        return stop

    def _record_of(self, i: int) -> BookHour:
        """The book record of hour i. While the exchange is closed for all symbols the hour is missed."""
        hour = self._hour(i)
        before = self.hours[-1] if self.hours else self.rules.before_first()
        if self._shut[i]:
            return missed_book_hour(hour, before)
        return book_hour(
            self.rules,
            hour,
            before,
            [it.standing(i, hour) for it in self.sleeves],
            lambda symbols: self._shares(symbols, hour),
        )

    def _shares(self, symbols: Sequence[str], hour: int) -> Shares:
        bars = [it for it in self._bars if it.symbol in symbols]
        return shares_at(bars, hour, self.rules.params.share_settings)

    def _marked_record(self, i: int, sleeves_equity: Decimal) -> BookHour:
        """`_record_of` for an hour before which every symbol has closed its own, whose equities are `sleeves_equity` together."""
        hour, before = self._hour(i), self.hours[-1]
        records = dict.fromkeys(self._names, hour - HOUR_MS)
        return marked_hour(self.rules, hour, before, before.reserve_usdt + sleeves_equity, records, {})

    def _hour(self, i: int) -> int:
        return self.rules.start + i * HOUR_MS


class _SleeveTrading:
    """A sleeve while it is traded. cash: USDT after each hour so far. newest: of every hour the index of the newest hour
    that has a record when it begins, -1 for none."""

    def __init__(self, sleeve: Sleeve, start: int, stop: int) -> None:
        self.bars = sleeve.bars
        self.columns = SignalColumns.of(sleeve.bars, sleeve.p_up, sleeve.rules, start, stop)
        self.cash: list[Decimal] = []
        self.newest = newest_records(self.columns.venue_open).tolist()
        self._state = HourState.fresh(Decimal(0))
        self._orders: list[int] = []  # indices of the hours with an order, of what is kept
        self._runs: list[Run] = []
        self._firsts: list[
            int
        ] = []  # the index of the first hour of each run, and of the one that is not kept yet
        self._index: list[Floats] = []
        self._worth, self._scale = 1.0, 0.0  # the index now, and the index that 1 USDT of equity stands for
        self._run: Run | None = None

    def standing(self, i: int, hour: int) -> SleeveStanding:
        """What the newest record holds when hour i (`hour`, UTC ms) begins."""
        newest = self.newest[i]
        if newest < 0:
            return SleeveStanding(self.bars.symbol)
        record = hour - (i - newest) * HOUR_MS
        state = self._state if self._run is None else self._run.state
        stopped = state.risk.halted_at is not None and state.risk.halted_at <= record
        equity, cash = self._equity(newest), self.cash[newest]
        return SleeveStanding(self.bars.symbol, record, equity, cash, stopped, self._orders_until(i, newest))

    def _orders_until(self, i: int, newest: int) -> int:
        """Orders of the hours after i - 24, up to the hour `newest`."""
        first = i - DAY_MS // HOUR_MS + 1
        kept = max(0, bisect_right(self._orders, newest) - bisect_left(self._orders, first))
        if self._run is None:
            return kept
        here = range(max(first, self._firsts[-1]), newest + 1)
        return kept + sum(self._event_has_order(it) for it in here)

    def _event_has_order(self, i: int) -> bool:
        """Whether hour i of what is traded and not kept yet has an order."""
        event = None if self._run is None else self._run.track.events.get(i - self._firsts[-1])
        return event is not None and event.order is not None

    def bought_usdt(self, i: int) -> Decimal:
        """What a purchase of hour i costs, of what is traded and not kept yet; 0 without one."""
        event = None if self._run is None else self._run.track.events.get(i - self._firsts[-1])
        if event is None or event.order is None or event.order.side == "SELL":
            return Decimal(0)
        return event.order.qty * event.order.expected_price

    def _equity(self, i: int) -> Decimal:
        """After hour i."""
        part = bisect_right(self._firsts, i) - 1
        run = self._runs[part] if part < len(self._runs) else self._run
        if run is None:
            raise ValueError(f"hour {i} was not traded")
        return run.track.marks.exact(i - self._firsts[part])

    @property
    def marks(self) -> Marks:
        """The equities since what was kept."""
        if self._run is None:
            raise ValueError("nothing was traded")
        return self._run.track.marks

    def begin(self, i: int, record: BookHour) -> None:
        """Take in the book record of hour i: its transfer, then its halt."""
        amount = record.transfer(self.bars.symbol)
        if amount:
            mark = first_mark(self.columns.part(i, i + 1), self._state)
            equity = self._state.ledger.equity(mark)
            worth = self._scale * float(equity) or self._worth
            self._scale = worth / float(equity + amount) if equity + amount else 0.0
            self._worth = worth
            self._state = with_transfer(self._state, amount, mark)
        if record.halted:
            risk = halted(self._state.risk, record.close_time, BOOK_HALT, frozen=record.risk.frozen)
            self._state = replace(self._state, risk=risk)

    def trade(self, first: int, stop: int, record: BookHour) -> None:
        """Trade the hours first <= i < stop, in place of what was traded from `first` on and not kept. record: the
        book record of the first of them."""
        most = record.most_usdt(self.bars.symbol)
        self._run = trade(self.columns.part(first, stop), self._state, most)
        if len(self._firsts) == len(self._runs):
            self._firsts.append(first)
        self.cash[first:] = self._run.track.cash()

    def keep(self) -> None:
        """What was traded is final."""
        if self._run is None:
            raise ValueError("nothing was traded")
        equity = self._run.equity
        events = self._run.track.events.items()
        self._orders += [self._firsts[-1] + i for i, event in events if event.order is not None]
        self._index.append(self._scale * equity if self._scale else np.full(len(equity), self._worth))
        self._worth = float(self._index[-1][-1])
        self._runs.append(self._run)
        self._state, self._run = self._run.state, None

    def ended(self) -> SleeveRun:
        """All hours."""
        return SleeveRun(self.bars.symbol, joined(self._runs), np.concatenate(self._index))


def newest_records(venue_open: Bools) -> Ints:
    """The index of the newest hour, of (n,), that is closed by a record when each hour begins; -1 for none.

    While the exchange is closed for a symbol none of its hours can be closed; when it opens, all that are over are.
    """
    hours = np.arange(len(venue_open))
    last_open = np.maximum.accumulate(np.where(venue_open, hours, -1))
    before = np.concatenate([[-1], last_open[:-1]])
    newest: Ints = np.where(venue_open, hours - 1, before)
    return newest
