"""`trader replay --book`: many symbols on one account of an embedded exchange."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trader import terminal, wiring
from trader.adapters.bar_folder import BarSources
from trader.adapters.book_file import BookFile, read_book
from trader.adapters.sources import local_file
from trader.core.text import plural
from trader.core.types import iso, parse_hour
from trader.simulation import book_rehearsal, rehearsal
from trader.simulation.markets import s3_access


def replay_book(
    path: Path,
    bars: Sequence[str],
    start: str,
    stop: str,
    out: Path | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Replay the hours of a book and write its files to the folder `out`. Raises ConfigError or DataError."""
    book, first, last = read_book(path), parse_hour(start), parse_hour(stop)
    sources = BarSources.of(bars, book.params.symbols[0], access=s3_access)
    markets = {symbol: sources.read(symbol, terminal.say) for symbol in book.params.symbols}
    for symbol, market in markets.items():
        chosen, place = book.strategies[symbol], sources.path(symbol)
        rehearsal.require_replayable(market, first, last, chosen, place, young=book.params.is_pooled)
    with tempfile.TemporaryDirectory(prefix="trader-replay-") as folder:
        rows = Path(folder) / "filters.json"
        book_rehearsal.write_info_rows(rows, book_rehearsal.filters_at(markets, first))
        served = ["--symbols", ",".join(book.params.symbols), "--filters", str(rows)]
        for symbol in _symbols(book):
            read = markets[symbol] if symbol in markets else sources.read(symbol, terminal.say)
            served += ["--bars", str(local_file(sources.path(symbol), read, Path(folder)))]
        earliest = max(book.strategies.values(), key=lambda params: params.gap_hours)
        with wiring.embedded_exchange(served, earliest, first) as venue:
            settings = rehearsal.embedded_settings(
                venue, book.params.symbols[0], store or Path(folder) / "store"
            )
            replayed = book_rehearsal.replay_book_hours(settings, book, first, last, as_json)
    if out is not None:
        book_rehearsal.write_hours(replayed, out)
    summary = book_rehearsal.summary_of(replayed, book.params.capital_usdt)
    if as_json:
        terminal.emit(summary)
    else:
        show_summary(
            summary, f"{plural(len(markets), 'symbol')}, {iso(first)} to {iso(last)}, replayed through HTTP"
        )


def _symbols(book: BookFile) -> list[str]:
    """Every symbol that is traded, and those that a fit sees beside it."""
    seen = {it for params in book.strategies.values() for it in params.train_symbols or ()}
    return sorted({*book.params.symbols, *seen})


def show_summary(summary: dict[str, Any], title: str) -> None:
    """A book's figures, and a row for each of its symbols."""
    rows = [
        ("net return", terminal.percent(summary["net_return"])),
        ("max drawdown", f"{summary['max_drawdown'] * 100:.2f} %"),
        ("Sharpe ratio, a year", f"{summary['sharpe']:.2f}"),
        ("orders", f"{summary['orders']:,}"),
        ("fees", f"{float(summary['fees_usdt']):,.2f} USDT"),
        ("transfers of cash", f"{summary['transfers']:,}"),
        ("final equity", f"{float(summary['final_equity_usdt']):,.2f} USDT"),
        ("halted", terminal.minute(summary["halted_at"]) if summary["halted_at"] else "no"),
    ]
    terminal.show(terminal.table(title, rows))
    symbols = [
        (
            symbol,
            terminal.percent(it["net_return"]),
            f"{it['orders']:,}",
            f"{float(it['fees_usdt']):,.2f}",
            f"{float(it['final_equity_usdt']):,.2f}",
            terminal.minute(it["halted_at"]) if it["halted_at"] else "no",
        )
        for symbol, it in summary["symbols"].items()
    ]
    head = ("symbol", "net return", "orders", "fees USDT", "equity USDT", "halted")
    terminal.show(terminal.table("", symbols, head))
    terminal.show(
        f"{summary['symbol_hours_per_second']:.0f} symbol-hours a second, {summary['seconds']:.1f} s"
    )
