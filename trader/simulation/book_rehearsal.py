"""The replay of a book on an embedded exchange: which markets, which settings, the files and figures of its hours."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from trader import terminal, wiring
from trader.adapters.book_file import BookFile
from trader.adapters.clocks import SimClock
from trader.app.book import Book
from trader.app.book_hours import line_of
from trader.app.book_replay import replay_book
from trader.config import Settings
from trader.core.book_line import BookLine, book_line_text
from trader.core.errors import DataError
from trader.core.hours import line_text
from trader.core.metrics import hourly_returns, max_drawdown, sharpe
from trader.core.records import HourRecord
from trader.core.types import HOUR_MS, Bars, Filters, iso, plain
from trader.simulation.markets import assets_of


@dataclass(frozen=True, slots=True, eq=False)
class BookReplayed:
    """Replayed hours. records: of every symbol, in alphabetical order, one an hour. lines: the book's own. seconds: that the
    replay took."""

    records: Mapping[str, list[HourRecord]]
    lines: list[BookLine]
    seconds: float


def write_info_rows(path: Path, filters: Mapping[str, Filters]) -> None:
    """exchangeInfo's row of each symbol with these filters, for a child process."""
    from trader.exchange.filters import symbol_row

    path.write_text(json.dumps([symbol_row(it, *assets_of(it), said) for it, said in filters.items()]))


def filters_at(markets: Mapping[str, Bars], hour: int) -> dict[str, Filters]:
    """Filters that suit each symbol's close at `hour` (UTC ms)."""
    return {it: Filters.derived(float(bars.close[bars.row(hour)])) for it, bars in markets.items()}


def replay_book_hours(
    settings: Settings, book: BookFile, first: int, last: int, quiet: bool, *, keep_bars: bool = False
) -> BookReplayed:
    """Replay the hours first <= T < last (UTC ms). keep_bars: into the settings' folder. Raises DataError where a book record
    is lost."""
    clock_at = closing(SimClock(settings.exchange_url))
    with (
        clock_at as clock,
        wiring.open_book(settings, book.params, clock, durable=False, keep_bars=keep_bars) as opened,
    ):
        began = time.perf_counter()
        with terminal.progress("hours", quiet=quiet) as update:
            replay_book(opened, clock, book.strategies, first, last, update)
        seconds = time.perf_counter() - began
        records = {it: list(bot.journal.records(first, last)) for it, bot in opened.sleeves.items()}
        return BookReplayed(records, list(_lines(opened, records, first, last)), seconds)


def _lines(book: Book, records: Mapping[str, list[HourRecord]], first: int, last: int) -> Iterator[BookLine]:
    for i, hour in enumerate(range(first, last, HOUR_MS)):
        book_record = book.book_record(hour, last)
        if book_record is None:
            raise DataError(f"there is no book record of {iso(hour)}")
        yield line_of(book_record.hour, [it[i] for it in records.values()])


def write_hours(replayed: BookReplayed, folder: Path) -> None:
    """A file of hours for each symbol, and the book's own. Raises ConfigError where they cannot be written."""
    for symbol, records in replayed.records.items():
        terminal.write_lines(folder / f"{symbol}.jsonl", (line_text(it.line) for it in records))
    terminal.write_lines(folder / "book.jsonl", map(book_line_text, replayed.lines))


def summary_of(replayed: BookReplayed, capital_usdt: Decimal) -> dict[str, Any]:
    """The book's figures, returns compounded over the capital, and each symbol's, chain-linked over transfers."""
    import numpy as np

    equity = np.array([float(it.equity) for it in replayed.lines])
    final, hours = replayed.lines[-1].equity, len(replayed.lines)
    symbols = {it: _sleeve_summary(records) for it, records in replayed.records.items()}
    halted = next((it.close_time for it in replayed.lines if it.halted), None)
    return {
        "hours": hours,
        "net_return": float(final / capital_usdt - 1),
        "max_drawdown": max_drawdown(equity, float(capital_usdt)),
        "sharpe": sharpe(hourly_returns(equity, float(capital_usdt))),
        "orders": sum(it["orders"] for it in symbols.values()),
        "fees_usdt": plain(sum((Decimal(it["fees_usdt"]) for it in symbols.values()), Decimal(0))),
        "transfers": sum(len(it.transfers) for it in replayed.lines),
        "final_equity_usdt": plain(final),
        "halted_at": None if halted is None else iso(halted),
        "symbols": symbols,
        "seconds": round(replayed.seconds, 3),
        "symbol_hours_per_second": round(hours * len(symbols) / replayed.seconds, 1),
    }


def _sleeve_summary(records: list[HourRecord]) -> dict[str, Any]:
    newest, first = records[-1], records[0].totals.state.risk.base_equity
    linked = newest.line.equity / newest.totals.transfer_scale
    return {
        "net_return": float(linked / first - 1) if first else 0.0,
        "orders": newest.ledger.orders,
        "fills": newest.ledger.fills,
        "fees_usdt": plain(newest.ledger.fees_usdt),
        "final_equity_usdt": plain(newest.line.equity),
        "halted_at": None if newest.risk.halted_at is None else iso(newest.risk.halted_at),
    }
