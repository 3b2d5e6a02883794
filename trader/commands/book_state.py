"""What `trader status` shows of a book."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trader import terminal, wiring
from trader.adapters.book_file import BookFile
from trader.app.book_status import BookStatus, SleeveStatus, book_status
from trader.app.journal import Journal
from trader.app.retrain import deployment
from trader.commands.book import book_journal_of
from trader.commands.common import hour_clock
from trader.commands.stream_parts import stream_said
from trader.core.text import plural
from trader.core.types import iso, plain

if TYPE_CHECKING:
    from trader.config import Settings


def status(settings: Settings, book: BookFile, as_json: bool) -> None:
    """How the book and each of its symbols stand."""
    store, names = wiring.make_store(settings), book.params.symbols
    clock = hour_clock(settings)
    now_ms = clock.now_ms if clock.answered else None
    journals = {it: Journal(store, it, names) for it in names}
    report = book_status(book_journal_of(settings, book), journals, book.params, now_ms)
    stream = stream_said(settings)
    if as_json:
        told = {"book": book.name, "store": settings.store, "clock": clock.words}
        if stream is not None:
            told["stream"] = stream
        terminal.emit({**told, **status_json(report)})
        return
    market = next((event.market for it in journals.values() if (event := deployment(it)) is not None), "")
    title = f"{book.name} in {settings.store}" + (f" ({market})" if market else "")
    heading = terminal.paragraph(title)
    terminal.show(heading, "-" * max(map(len, heading.splitlines())))
    streamed = [] if stream is None else [("stream", stream)]
    terminal.show(terminal.labelled([*_rows(report, clock.words), *streamed]), "")
    head = ("symbol", "state", "hour closed", "equity USDT", "return", "holds")
    terminal.show(terminal.table("", [_row(it) for it in report.sleeves], head))


def status_json(report: BookStatus) -> dict[str, Any]:
    """The report for machines."""
    newest_hour = report.newest_hour
    return {
        "state": report.state,
        "halt": None if report.halt is None else report.halt.reason,
        "hour": None if newest_hour is None else iso(newest_hour.close_time),
        "behind_hours": report.behind_hours,
        "equity_usdt": plain(report.equity_usdt),
        "net_return": report.net_return,
        "drawdown": report.drawdown,
        "next_rebalance": None if report.next_rebalance is None else iso(report.next_rebalance),
        "late": [] if newest_hour is None else list(newest_hour.late),
        "symbols": {
            it.symbol: {
                "state": it.state,
                "halt": it.halt_reason or None,
                "hour": None if it.hour is None else iso(it.hour),
                "equity_usdt": plain(it.equity_usdt),
                "net_return": it.net_return,
                "position": plain(it.position),
                "model_id": it.model_id,
                "held_back": it.held_back or None,
            }
            for it in report.sleeves
        },
    }


def _rows(report: BookStatus, clock: str) -> list[tuple[str, str]]:
    newest_hour, halt = report.newest_hour, report.halt
    state = report.state if halt is None else f"{report.state}: {halt.reason} {halt.message}".strip()
    rows = [("state", state), ("clock", clock)] if clock else [("state", state)]
    if newest_hour is None:
        first = "no model yet; train with: trader retrain --book BOOK.toml"
        return [
            *rows,
            ("next", first if report.next_rebalance is None else f"first hour {iso(report.next_rebalance)}"),
        ]
    behind = report.behind_hours
    return [
        *rows,
        ("newest hour", f"{terminal.minute(iso(newest_hour.close_time))}{_behind(behind)}"),
        ("equity", f"{float(report.equity_usdt):,.2f} USDT"),
        ("cash of the book, in no symbol", f"{float(newest_hour.reserve_usdt):,.2f} USDT"),
        ("net return, compounded", terminal.percent(report.net_return)),
        ("drawdown", f"{(report.drawdown or 0.0) * 100:.2f} %"),
        ("next rebalance", terminal.minute(iso(report.next_rebalance or 0))),
        ("late symbols", ", ".join(newest_hour.late) or "none"),
        *([("purchases held back", held)] if (held := _held_back(report)) else []),
    ]


def _held_back(report: BookStatus) -> str:
    """Which limits of the book held back whose purchase of the newest hour."""
    limits: dict[str, list[str]] = {}
    for it in report.sleeves:
        if it.held_back:
            limits.setdefault(it.held_back, []).append(it.symbol)
    return "; ".join(f"{', '.join(symbols)} by {limit}" for limit, symbols in limits.items())


def _behind(hours: int | None) -> str:
    return "" if not hours else f" ({plural(hours, 'hour')} behind)"


def _row(it: SleeveStatus) -> tuple[str, ...]:
    state = f"{it.state}: {it.halt_reason}" if it.halt_reason else it.state
    hour = "-" if it.hour is None else terminal.minute(iso(it.hour))
    gained = "-" if it.net_return is None else terminal.percent(it.net_return)
    return it.symbol, state, hour, f"{float(it.equity_usdt):,.2f}", gained, plain(it.position)
