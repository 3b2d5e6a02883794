"""The tick of a book over history: the venue's clock is moved hour by hour, everything else is production."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from trader.app.book import Book
from trader.app.book_tick import BookTicked, tick_book
from trader.app.pool import begin_pool, retrain_pool_if_due
from trader.app.replay import LONGEST_OUTAGE_MS, MovableClock, at_once_or_later, begin
from trader.app.retrain import deployment
from trader.app.retrain_rules import retrain_if_due
from trader.core.errors import Retry
from trader.core.params import Params
from trader.core.types import HOUR_MS, Progress


def replay_book(
    book: Book,
    clock: MovableClock,
    strategies: Mapping[str, Params],
    start: int,
    stop: int,
    progress: Progress | None = None,
) -> None:
    """Trade the hours start <= T < stop (UTC ms) of every symbol at a venue whose clock stands at or before the first training.
    Killed and called again, it goes on after the last closed hours. Raises as `replay`."""
    if book.params.is_pooled and book.missing():
        begin_pool(book.sleeves, clock, next(iter(strategies.values())), start)
    for symbol in sorted(strategies, key=lambda it: (-strategies[it].gap_hours, it)):
        bot = book.sleeves[symbol]
        if deployment(bot.journal) is None:
            begin(bot, clock, strategies[symbol], start, None)
    for hour in range(start, stop, HOUR_MS):
        clock.move_to(hour)
        with suppress(Retry):
            _require_healing(tick_book(book))
            for train in _trainings(book, hour):
                with suppress(Retry):
                    at_once_or_later(clock, hour, train)
        if progress:
            progress((hour - start) // HOUR_MS + 1, (stop - start) // HOUR_MS)
    _close_last_hours(book, clock, start, stop)


def _trainings(book: Book, hour: int) -> list[Callable[[], object]]:
    """What trains where it is due at an hour (UTC ms): each symbol its own model, or all of them theirs."""
    if book.params.is_pooled:
        return [partial(retrain_pool_if_due, book.sleeves, hour)]
    return [partial(retrain_if_due, bot, hour) for bot in book.sleeves.values()]


def _require_healing(ticked: BookTicked) -> None:
    """Raises what a later tick cannot mend for a symbol."""
    for error in ticked.failed.values():
        if not isinstance(error, Retry):
            raise error


def _close_last_hours(book: Book, clock: MovableClock, start: int, stop: int) -> None:
    """Hours at the end during which the venue of a symbol was shut are closed by the first tick after it opens again."""
    for hour in range(stop, stop + LONGEST_OUTAGE_MS, HOUR_MS):
        if all(_is_closed(book, symbol, start, stop - HOUR_MS) for symbol in book.sleeves):
            return
        clock.move_to(hour)
        with suppress(Retry):
            _require_healing(tick_book(book, before=stop))
    raise Retry("a symbol's venue stayed shut after the last hour; the hours before it are in the journal")


def _is_closed(book: Book, symbol: str, start: int, hour: int) -> bool:
    newest = book.sleeves[symbol].journal.newest_record(hour, start)
    return newest is not None and newest.close_time == hour
