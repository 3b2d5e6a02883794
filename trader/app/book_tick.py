"""One hour of a book, exactly once for every symbol: catch up, make the book record, decide, sell, buy.

Each step runs for every symbol before the next begins, so that the book record is there before anybody decides and sales leave
before purchases; what one symbol cannot do now holds up no other, and is told when all are done.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Generic, Literal, TypeVar

from trader.app.book import RETRY_S, Book
from trader.app.book_cover import halt_uncovered
from trader.app.book_journal import BookRecord
from trader.app.bot import Bot, RecentQuote
from trader.app.tick import Decided, Pending, Ticked, catch_up, decide, finish, one_look
from trader.app.tick_checks import require_our_time
from trader.core.book import LATE_MS
from trader.core.errors import ConfigError, OrderInDoubt, TraderError
from trader.core.types import HOUR_MS, floor_hour, iso

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BookTicked:
    """What a tick of a book did. hour: UTC ms. ticked: by symbol; failed: symbols that could not, with the reason. book_record:
    of the hour, None before it began, or where hours were only closed."""

    outcome: Literal["traded", "done", "not_begun"]
    hour: int
    ticked: dict[str, Ticked]
    failed: dict[str, TraderError]
    book_record: BookRecord | None
    message: str

    @property
    def halted(self) -> bool:
        """Whether the book is halted, or a symbol of it."""
        of_book = self.book_record is not None and self.book_record.hour.halted
        return of_book or any(it.halted for it in self.ticked.values())


@dataclass(slots=True)
class _Round(Generic[T]):
    """What a step gave, by symbol, and the symbols that it failed for."""

    done: dict[str, T] = field(default_factory=dict)
    failed: dict[str, TraderError] = field(default_factory=dict)


def tick_book(book: Book, before: int | None = None) -> BookTicked:
    """Close every hour of every symbol that is over and not closed, the current one included, as `tick` does for one.

    What fails for one symbol is in `failed`. Raises ConfigError while a symbol has no model or a clock is wrong, and what
    concerns all of them: Retry where the venue is shut, DataError where no book record can be made.
    """
    if book.start is None and (missing := book.missing()):
        raise ConfigError(
            f"this book has not begun yet: {', '.join(missing)} has no model. Train with: trader retrain --book BOOK.toml"
        )
    clock = next(iter(book.sleeves.values())).clock
    began = clock.now_ms()
    # Every connection measures its own clock.
    clocks = [book.sleeves[lane[0]].exchange.time_ms() for lane in book.lanes]
    now = clocks[0]
    # A book record stays for ever, so none is made of a wrong hour.
    require_our_time(book.sleeves[book.lanes[0][0]], now)
    hour = floor_hour(now) if before is None else min(floor_hour(now), before - HOUR_MS)
    if book.start is None or hour < book.start:
        return BookTicked("not_begun", hour, {}, {}, None, f"the first hour is {iso(book.start or 0)}")
    with ExitStack() as looks:
        for bot in book.sleeves.values():
            looks.enter_context(one_look(bot))
        begun = _caught_up(book, hour, before, now)
        # The next hour may have begun meanwhile: one that is over gets no record any more but that it was missed.
        current = floor_hour(now) == floor_hour(now + clock.now_ms() - began) == hour
        return _ticked(book, hour, begun, current=current)


def _ticked(book: Book, hour: int, begun: _Round[Ticked | Pending], *, current: bool) -> BookTicked:
    if current:
        halt_uncovered(book, hour)
    book_record = book.record_hour(hour) if current else book.book_record(hour, hour + HOUR_MS)
    pending = {it: found for it, found in begun.done.items() if isinstance(found, Pending)}
    _ask_quotes(book, pending)
    decided = _each(book, pending, lambda bot: decide(bot, pending[bot.symbol]))
    closed = _closed(book, pending, decided.done)
    ticked = {it: found for it, found in begun.done.items() if isinstance(found, Ticked)} | closed.done
    failed = dict(sorted((begun.failed | decided.failed | closed.failed).items()))
    outcome: Literal["traded", "done"] = "traded" if pending else "done"
    over = [it for it, found in ticked.items() if found.outcome != "not_begun"]
    words = f"{iso(hour)}: {len(over)} of {len(book.sleeves)} symbols closed"
    words += ", all of them before this tick" if over and not pending else ""
    return BookTicked(
        outcome if not failed else "traded", hour, dict(sorted(ticked.items())), failed, book_record, words
    )


def _caught_up(book: Book, hour: int, before: int | None, now: int) -> _Round[Ticked | Pending]:
    """Every symbol up to the hour that is to be decided. One whose hour before is not closed is tried again, until there is a
    book record of the hour, or the others wait for it no longer."""
    clock = next(iter(book.sleeves.values())).clock
    begun = _each(book, book.sleeves, lambda bot: catch_up(bot, before, now))
    while late := [it for it in begun.failed if not _is_closed(book, book.sleeves[it], hour - HOUR_MS)]:
        exchange = book.sleeves[late[0]].exchange
        if before is not None or book.hours.hour(hour) is not None or exchange.time_ms() >= hour + LATE_MS:
            break
        clock.sleep(RETRY_S)
        again = _each(book, late, lambda bot: catch_up(bot, hour + HOUR_MS))
        failed = {it: error for it, error in begun.failed.items() if it not in late} | again.failed
        begun = _Round(begun.done | again.done, failed)
    return begun


def _is_closed(book: Book, bot: Bot, hour: int) -> bool:
    first = book.first_hour(bot)
    return first is None or hour < first or bot.journal.record(hour) is not None


def _ask_quotes(book: Book, symbols: Collection[str]) -> None:
    """Quotes of all symbols of a lane in one request, for the decisions that follow. What fails here each symbol asks again
    for itself."""

    def ask(bot: Bot) -> None:
        lane = [it for it in next(lane for lane in book.lanes if bot.symbol in lane) if it in symbols]
        if len(lane) > 1:
            at_ms, quotes = bot.clock.now_ms(), bot.exchange.quotes(lane)
            for symbol, quote in quotes.items():
                book.sleeves[symbol].quoted = RecentQuote(quote, at_ms)

    firsts = [next((it for it in lane if it in symbols), None) for lane in book.lanes]
    _each(book, [it for it in firsts if it is not None], ask)


def _closed(book: Book, pending: dict[str, Pending], decided: dict[str, Decided]) -> _Round[Ticked]:
    """Sales of a lane first. A purchase waits for no outcome, not for that of a sale either, for its sleeve has the cash: an
    order whose outcome is unknown is looked for when every order has left."""
    sales = [it for it, made in decided.items() if made.decision.order and made.decision.order.side == "SELL"]
    ordered = [*sales, *(it for it in decided if it not in sales)]
    closed = _each(book, ordered, lambda bot: finish(bot, pending[bot.symbol], decided[bot.symbol], 0.0))
    doubted = [it for it, error in closed.failed.items() if isinstance(error, OrderInDoubt)]
    # Their attempts are there now, whoever made the decision.
    sent = {it: replace(decided[it], ours=False) for it in doubted}
    again = _each(book, doubted, lambda bot: finish(bot, pending[bot.symbol], sent[bot.symbol]))
    failed = {it: error for it, error in closed.failed.items() if it not in doubted} | again.failed
    return _Round(closed.done | again.done, failed)


def _each(book: Book, symbols: Collection[str], step: Callable[[Bot], T]) -> _Round[T]:
    """A step for each of these symbols: lanes beside one another, the symbols of a lane one after the other, in this order."""
    lanes = [[it for it in symbols if it in lane] for lane in map(frozenset, book.lanes)]
    busy = [lane for lane in lanes if lane]
    if len(busy) < 2:
        rounds = [_lane(book, lane, step) for lane in busy]
    else:
        with ThreadPoolExecutor(len(busy)) as pool:
            rounds = list(pool.map(lambda lane: _lane(book, lane, step), busy))
    result = _Round[T]()
    for it in rounds:
        result.done |= it.done
        result.failed |= it.failed
    return result


def _lane(book: Book, lane: Sequence[str], step: Callable[[Bot], T]) -> _Round[T]:
    result = _Round[T]()
    for symbol in lane:
        try:
            result.done[symbol] = step(book.sleeves[symbol])
        except TraderError as error:
            result.failed[symbol] = error
    return result
