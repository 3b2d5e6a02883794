"""How a book stands: the whole, and a row for each of its symbols. Reads, and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from trader.app.book_journal import BookJournal
from trader.app.book_symbols import book_start, first_hour
from trader.app.halts import standing_halt
from trader.app.journal import Journal
from trader.app.retrain import champions, deployment
from trader.core.book import BookHour
from trader.core.book_params import BookParams
from trader.core.events import HaltEvent
from trader.core.records import HourRecord
from trader.core.sizing import BOOK_LIMIT
from trader.core.types import FAR_FUTURE_MS, HOUR_MS, floor_hour


@dataclass(frozen=True, slots=True)
class SleeveStatus:
    """A symbol's part. state: not begun, begun, trading or halted. hour: its newest closed one, UTC ms. net_return: a share,
    chain-linked over transfers, None before its first transfer. position: in base. held_back: the limit of the book that held
    back its purchase of the newest hour, "" for none."""

    symbol: str
    state: str
    halt_reason: str
    hour: int | None = None
    equity_usdt: Decimal = Decimal(0)
    net_return: float | None = None
    position: Decimal = Decimal(0)
    model_id: str = ""
    held_back: str = ""


@dataclass(frozen=True, slots=True)
class BookStatus:
    """state: not begun, begun, trading or halted, of the whole. halt: the one that stands. newest_hour: of the book, None
    before the first. behind_hours: closed by the clock and not by every symbol, None where nobody knows the time. drawdown,
    net_return: shares of the newest equity, None before there is one. next_rebalance: UTC ms."""

    state: str
    halt: HaltEvent | None
    newest_hour: BookHour | None
    behind_hours: int | None
    equity_usdt: Decimal
    net_return: float | None
    drawdown: float | None
    next_rebalance: int | None
    sleeves: tuple[SleeveStatus, ...]


def book_status(
    journal: Journal, sleeves: Mapping[str, Journal], params: BookParams, now_ms: int | None
) -> BookStatus:
    """The report. journal: the book's own. `now_ms` (UTC) is None where nobody knows it."""
    parts = tuple(_sleeve(it) for it in sleeves.values())
    halt = standing_halt(journal)
    start = book_start(journal, sleeves.values())
    if start is None:
        return BookStatus("not begun", halt, None, None, params.capital_usdt, None, None, None, parts)
    newest = BookJournal(journal).newest(_last_possible(now_ms, start), start)
    if newest is None:
        return BookStatus("begun", halt, None, None, params.capital_usdt, None, None, start, parts)
    newest_hour = newest.hour
    parts = tuple(replace(it, held_back=held_back(sleeves[it.symbol], newest_hour)) for it in parts)
    equity = newest_hour.reserve_usdt + sum((it.equity_usdt for it in parts), Decimal(0))
    firsts = {it: first_hour(start, sleeve) for it, sleeve in sleeves.items()}
    trading = [
        it for it in parts if (first := firsts[it.symbol]) is not None and first <= newest_hour.close_time
    ]
    closed = min(((it.hour or start - HOUR_MS) for it in trading), default=start - HOUR_MS)
    span = params.rebalance_hours * HOUR_MS
    return BookStatus(
        state="halted" if halt is not None or newest_hour.halted else "trading",
        halt=halt,
        newest_hour=newest_hour,
        behind_hours=None if now_ms is None else max(0, (floor_hour(now_ms) - closed) // HOUR_MS),
        equity_usdt=equity,
        net_return=float(equity / params.capital_usdt - 1),
        drawdown=float(max(Decimal(0), 1 - equity / newest_hour.risk.peak_equity)),
        next_rebalance=start + ((newest_hour.close_time - start) // span + 1) * span,
        sleeves=parts,
    )


def held_back(sleeve: Journal, newest_hour: BookHour) -> str:
    """The limit of the book that held back a symbol's purchase of this hour, "" for none."""
    found = newest_hour.limits.get(sleeve.symbol)
    record = None if found is None else sleeve.record(newest_hour.close_time)
    return (
        found.limit if found is not None and record is not None and record.line.reason == BOOK_LIMIT else ""
    )


def _last_possible(now_ms: int | None, start: int) -> int:
    """The last hour of which there may be a book record: now, or as far as anybody could have come."""
    return max(start, FAR_FUTURE_MS - HOUR_MS if now_ms is None else floor_hour(now_ms))


def _sleeve(journal: Journal) -> SleeveStatus:
    halt, begun = standing_halt(journal), deployment(journal)
    reason = "" if halt is None else halt.reason
    if begun is None:
        return SleeveStatus(journal.symbol, "not begun", reason)
    newest = journal.newest_record(FAR_FUTURE_MS, begun.start_ms)
    serving = champions(journal)
    model_id = serving[-1].model_id if serving else ""
    if newest is None:
        return SleeveStatus(journal.symbol, "halted" if halt else "begun", reason, model_id=model_id)
    return SleeveStatus(
        journal.symbol,
        "halted" if halt is not None or newest.halted else "trading",
        reason,
        newest.close_time,
        newest.equity_usdt,
        _net_return(newest),
        newest.ledger.position,
        newest.model_id,
    )


def _net_return(newest: HourRecord) -> float | None:
    """Chain-linked since the first transfer, which the risk epoch began with unless a person has begun another."""
    base = newest.risk.base_equity
    return None if base == 0 else float(newest.equity_usdt / base - 1)
