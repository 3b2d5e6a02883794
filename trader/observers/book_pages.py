"""The pages of a book: one of the whole, and beside it today's page of each symbol, all with one figure library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trader import terminal, wiring
from trader.app.book_journal import BookJournal
from trader.app.book_status import BookStatus, SleeveStatus, book_status
from trader.app.book_symbols import book_start
from trader.app.journal import Journal
from trader.app.layout import BOOK
from trader.app.retrain import deployment
from trader.app.story import TimelineEntry, happened
from trader.core.book import BOOK_HALT
from trader.core.text import plural
from trader.core.types import HOUR_MS, Json, iso
from trader.dashboard.book_page import render_book
from trader.dashboard.book_series import SCHEMA, fold_book, fresh_book
from trader.dashboard.page import LIBRARY, percent
from trader.observers import page_links, pages

if TYPE_CHECKING:
    from trader.adapters.book_file import BookFile
    from trader.config import Settings

SERIES_KEY = f"pages/{BOOK}/series.json"
# Events of a symbol that the book's page tells; a model by the calendar is told by the symbol's own.
TOLD_OF_SYMBOLS = ("breach", "halt", "resume", "account", "trouble")


def journals_of(settings: Settings, book: BookFile) -> tuple[BookJournal, dict[str, Journal]]:
    """The book records, and each symbol's journal. Raises WrongStore where the store is not this book's."""
    store, names = wiring.make_store(settings), book.params.symbols
    words = Journal(store, BOOK, names)
    words.require_own()
    return BookJournal(words), {it: Journal(store, it, names) for it in names}


def write_pages(settings: Settings, book: BookFile, folder: Path, *, public: bool = False) -> Path:
    """Write every symbol's page and the book's into a folder: the book's. Raises ConfigError where that cannot be done."""
    _, journals = journals_of(settings, book)
    for symbol, journal in journals.items():
        pages.write_symbol_page(
            journal, settings.model_copy(update={"symbol": symbol}), folder, public=public
        )
    return write_book_page(settings, book, folder, public=public)


def write_book_page(settings: Settings, book: BookFile, folder: Path, *, public: bool = False) -> Path:
    """Write the book's page alone."""
    links = {it: pages.page_name(it) for it in book.params.symbols}
    page = folder / pages.PAGE
    terminal.write_lines(page, iter([book_page(settings, book, links, public=public)]))
    pages.write_library(folder)
    return page


def share_book(settings: Settings, book: BookFile, span: str, *, public: bool = False) -> str:
    """Put the pages of the book and its symbols into the bucket and return a link that reads the book's for `span`. Raises
    ConfigError."""
    hours, journals = journals_of(settings, book)
    links = {
        it: page_links.share(journal, settings.model_copy(update={"symbol": it}), span, public=public)
        for it, journal in journals.items()
    }
    bucket = page_links.bucket_of(hours.journal)
    seconds = page_links.seconds_of(span)
    library = bucket.link(f"pages/{LIBRARY}", seconds, "text/javascript")
    key = f"pages/{BOOK}/{pages.PAGE}"
    bucket.put(key, book_page(settings, book, links, public=public, library=library).encode())
    return bucket.link(key, seconds, "text/html; charset=utf-8")


def book_page(
    settings: Settings,
    book: BookFile,
    links: Mapping[str, str],
    *,
    public: bool = False,
    library: str = LIBRARY,
) -> str:
    """The book's page as text. links: of each symbol's page."""
    hours, journals = journals_of(settings, book)
    symbols = {it: pages.series_of(journal) for it, journal in journals.items()}
    until = min((it["until"] for it in symbols.values() if it["until"]), default=0)
    series = book_series_of(hours, journals, until)
    view = book_view(settings, book, symbols, series, links)
    return render_book(view, series, symbols, public=public, library=library)


def book_series_of(hours: BookJournal, journals: Mapping[str, Journal], until: int) -> Json:
    """The folded book records up to an hour that every symbol has closed (UTC ms), cached as a symbol's series is."""
    store, start = hours.journal.store, book_start(hours.journal, journals.values())
    series = _read(store.get(SERIES_KEY))
    before = series["until"]
    if start is None:
        return series
    for hour in range(max(start, before + HOUR_MS), until + HOUR_MS, HOUR_MS):
        book_record = hours.hour(hour)
        if book_record is None:
            break
        fold_book(series, book_record.hour)
    if series["until"] != before:
        store.put(SERIES_KEY, json.dumps(series, separators=(",", ":")).encode())
    return series


def _read(cached: bytes | None) -> Json:
    series = pages.cached_json(cached)
    return series if isinstance(series, dict) and series.get("schema") == SCHEMA else fresh_book()


def book_view(
    settings: Settings, book: BookFile, symbols: Mapping[str, Json], series: Json, links: Mapping[str, str]
) -> Json:
    """What the page says beside its figures."""
    hours, journals = journals_of(settings, book)
    report = book_status(hours.journal, journals, book.params, None)
    begun = [event for it in journals.values() if (event := deployment(it)) is not None]
    halted = report.state == "halted"
    own = happened(hours.journal)
    return {
        "venue": settings.venue,
        "market": begun[0].market if begun else "",
        "state": report.state,
        "colour": "bad" if halted else "good" if report.state == "trading" else "warn",
        "why": _why(report),
        "do": f"trader resume {book.option} --reason '...' after the runbook's page on it" if halted else "",
        "hour": iso(series["until"]) if series["until"] else None,
        "tiles": _tiles(report),
        "next": _next(report, book),
        "happened": [_told(it) for it in own],
        "story": _story(own, journals, series),
        "capital": float(book.params.capital_usdt),
        "weights": _weights(hours, series),
        "halt_drawdown": _number(book.params.halt_drawdown),
        "halt_cumulative_return": _number(book.params.halt_cumulative_return),
        "symbols": [_row(it, symbols[it.symbol], report, links[it.symbol]) for it in report.sleeves],
    }


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))


def _why(report: BookStatus) -> str:
    if report.halt is not None:
        halt = report.halt
        return f"halted: {halt.reason} at {iso(halt.at_ms)}, by {halt.by}" + (
            f": {halt.message}" if halt.message else ""
        )
    if report.state == "not begun":
        missing = [it.symbol for it in report.sleeves if it.state == "not begun"]
        return f"no model yet: {', '.join(missing)}"
    alone = [it for it in report.sleeves if it.state == "halted"]
    if alone:
        return f"halted alone: {', '.join(f'{it.symbol} ({it.halt_reason})' for it in alone)}"
    return (
        "up to date"
        if report.newest_hour is not None
        else f"the first hour is {iso(report.next_rebalance or 0)}"
    )


def _tiles(report: BookStatus) -> list[Json]:
    """Name and value; `amount` marks what a public page leaves out."""
    if report.newest_hour is None:
        return []
    trading = sum(it.state == "trading" for it in report.sleeves)
    shown = [
        ("net return", percent(report.net_return), False),
        ("drawdown", percent(-(report.drawdown or 0.0) or 0.0), False),
        ("equity, USDT", f"{float(report.equity_usdt):,.2f}", True),
        ("cash in no symbol, USDT", f"{float(report.newest_hour.reserve_usdt):,.2f}", True),
        ("symbols that trade", f"{trading} of {len(report.sleeves)}", False),
        ("late symbols", ", ".join(report.newest_hour.late) or "none", False),
    ]
    return [{"name": name, "value": value, "amount": amount} for name, value, amount in shown]


def _next(report: BookStatus, book: BookFile) -> list[str]:
    if report.newest_hour is None or report.next_rebalance is None:
        return ["trader retrain" if report.state == "not begun" else "trader tick"]
    params, newest_hour = book.params, report.newest_hour
    lines = [
        f"cash moves at {iso(report.next_rebalance)[:16].replace('T', ' ')} UTC by {params.shares}, every "
        f"{plural(params.rebalance_hours, 'hour')}"
    ]
    if params.halt_cumulative_return is not None and newest_hour.risk.base_equity:
        now = float(report.equity_usdt / newest_hour.risk.base_equity - 1)
        lines.append(
            f"the book halts at a return of {percent(float(params.halt_cumulative_return))}; it is {percent(now)}"
        )
    if params.halt_drawdown is not None:
        lines.append(
            f"the book halts at a drawdown of {float(params.halt_drawdown):.2%}; it is {report.drawdown or 0.0:.2%}"
        )
    waiting = [f"{symbol} {it.total_usdt:+,.2f}" for symbol, it in newest_hour.pending.items()]
    return [*lines, *([f"on its way, not booked yet: {', '.join(waiting)}"] if waiting else [])]


def _told(entry: TimelineEntry, of: str = "") -> Json:
    words = f"{of}: {entry.words}" if of else entry.words
    return {"at": entry.at, "when": iso(entry.at), "kind": entry.kind, "words": words}


def _story(own: list[TimelineEntry], journals: Mapping[str, Journal], series: Json) -> list[Json]:
    """Newest first: the book's halts and moves of cash, and what happened to a symbol alone."""
    told, of_book = [_told(it) for it in own], {(it.at, it.words) for it in own}
    for symbol, journal in journals.items():
        alone = (it for it in happened(journal) if it.kind in TOLD_OF_SYMBOLS)
        told += [
            _told(it, symbol)
            for it in alone
            if not it.words.startswith(f"{BOOK_HALT},") and (it.at, it.words) not in of_book
        ]
    for time, moved in series["moves"][-pages.LISTED :]:
        count = plural(len(moved), "symbol")
        told.append({"at": time, "when": iso(time), "kind": "rebalance", "words": f"cash of {count} moved"})
    return sorted(told, key=lambda it: -it["at"])[: pages.LISTED]


def _weights(hours: BookJournal, series: Json) -> dict[str, float]:
    """Shares that cash last moved towards, {} before it did."""
    if not series["moves"]:
        return {}
    book_record = hours.hour(series["moves"][-1][0])
    return (
        {} if book_record is None else {it: float(weight) for it, weight in book_record.hour.weights.items()}
    )


def _row(sleeve: SleeveStatus, series: Json, report: BookStatus, link: str) -> Json:
    newest = series["audit"][-1]["line"] if series["audit"] else {}
    state = f"{sleeve.state}: {sleeve.halt_reason}" if sleeve.halt_reason else sleeve.state
    return {
        "symbol": sleeve.symbol,
        "page": link,
        "state": state,
        "halted": sleeve.state == "halted",
        "late": report.newest_hour is not None and sleeve.symbol in report.newest_hour.late,
        "hour": None if sleeve.hour is None else iso(sleeve.hour),
        "net_return": sleeve.net_return,
        "equity": float(sleeve.equity_usdt),
        "target": newest.get("target"),
        "p_up": newest.get("p_up"),
        "model_id": sleeve.model_id,
    }
