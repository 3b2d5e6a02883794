"""The slow, obvious twin of `simulate_book`: one bot a symbol and one book, hour by hour. A bot whose exchange is closed for its
symbol closes no hour; when it opens, the bot closes those that are over before the book speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial

from backtest.engine.book import Sleeve
from tests.support.published_study import hour_by_hour, seen_at
from trader.core.book import BOOK_HALT, BookHour, BookRules, book_hour, missed_book_hour
from trader.core.book_limits import SleeveStanding
from trader.core.book_line import BookLine, SleeveHour, book_line
from trader.core.hours import HourLine, HourState, doubt_at
from trader.core.risk import halted
from trader.core.sanity import marked_at
from trader.core.shares import Shares, ShareSettings, shares_at
from trader.core.transfers import with_transfer
from trader.core.types import DAY_MS, HOUR_MS, Bars


@dataclass
class Bot:
    """A symbol's bot: its closed hours, and the book's objects of hours that are over and not closed yet."""

    sleeve: Sleeve
    start: int
    state: HourState = field(default_factory=lambda: HourState.fresh(Decimal(0)))
    lines: list[HourLine] = field(default_factory=list)
    states: list[HourState] = field(default_factory=list)
    waiting: list[BookHour] = field(default_factory=list)

    def opened(self, hour: int) -> bool:
        """Whether a bar opens at an hour."""
        return self.sleeve.bars.has(hour + HOUR_MS)

    def standing(self, hour: int) -> SleeveStanding:
        """What the newest record says when an hour begins (UTC ms)."""
        if not self.lines:
            return SleeveStanding(self.sleeve.bars.symbol)
        line, state = self.lines[-1], self.states[-1]
        return SleeveStanding(
            self.sleeve.bars.symbol,
            line.close_time,
            line.equity,
            state.ledger.cash,
            state.risk.halted_at is not None,
            sum(it.order_side is not None for it in self.lines if it.close_time > hour - DAY_MS),
        )

    def close_hours(self) -> None:
        """Decide and close every hour that waits."""
        for record in self.waiting:
            self._close(record)
        self.waiting.clear()

    def _close(self, record: BookHour) -> None:
        bars, rules, hour = self.sleeve.bars, self.sleeve.rules, record.close_time
        p_up = self.sleeve.p_up[(hour - self.start) // HOUR_MS]
        seen = seen_at(bars, p_up, rules, hour)
        mark = marked_at(seen.close, doubt_at(self.state, seen, rules))
        state = with_transfer(self.state, record.transfer(bars.symbol), mark)
        if record.halted:
            state = replace(state, risk=halted(state.risk, hour, BOOK_HALT, frozen=False))
        line, self.state = hour_by_hour(bars, p_up, rules, hour, state, record.most_usdt(bars.symbol))
        self.lines.append(line)
        self.states.append(self.state)


def shares_among(bars: Sequence[Bars], settings: ShareSettings, hour: int, symbols: Sequence[str]) -> Shares:
    """The shares of these symbols alone, at an hour (UTC ms)."""
    return shares_at([it for it in bars if it.symbol in symbols], hour, settings)


def book_hour_by_hour(
    sleeves: list[Sleeve], rules: BookRules, stop: int
) -> tuple[list[BookHour], list[BookLine], list[Bot]]:
    """The book record of each hour, the book's lines, and the bots in alphabetical order."""
    bots = [Bot(it, rules.start) for it in sorted(sleeves, key=lambda it: it.bars.symbol)]
    bars = [it.sleeve.bars for it in bots]
    settings = rules.params.share_settings
    hours = [rules.before_first()]
    for hour in range(rules.start, stop, HOUR_MS):
        opened = [it for it in bots if it.opened(hour)]
        for bot in opened:
            bot.close_hours()
        if opened:
            standings = [it.standing(hour) for it in bots]
            now = book_hour(rules, hour, hours[-1], standings, partial(shares_among, bars, settings, hour))
        else:
            now = missed_book_hour(hour, hours[-1])
        hours.append(now)
        for bot in bots:
            bot.waiting.append(now)
        for bot in opened:
            bot.close_hours()
    for bot in bots:
        bot.close_hours()  # what the bots do when the exchange opens after the last hour
    del hours[0]
    lines = [
        book_line(now, [SleeveHour(it.lines[i].equity, it.states[i].ledger.cash) for it in bots])
        for i, now in enumerate(hours)
    ]
    return hours, lines, bots
