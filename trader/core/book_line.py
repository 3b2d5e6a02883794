"""The book's line of an hour: what all of its symbols closed it with, as backtest and bot write it to `book.jsonl`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from trader.core.book import SIX, BookHour
from trader.core.types import iso, plain


@dataclass(frozen=True, slots=True)
class SleeveHour:
    """What a symbol's closed hour adds to the book's line: USDT after its fill."""

    equity_usdt: Decimal
    cash_usdt: Decimal


@dataclass(frozen=True, slots=True)
class BookLine:
    """The book's line of an hour. close_time: UTC ms. equity, cash: of the book and all sleeves, after their fills, USDT.
    exposure: share of the equity that is held in symbols; drawdown: share lost from the peak of the risk epoch, both of 6
    decimals."""

    close_time: int
    equity: Decimal
    cash: Decimal
    exposure: Decimal
    drawdown: Decimal
    halted: bool
    transfers: Mapping[str, Decimal]


def book_line(record: BookHour, sleeves: Iterable[SleeveHour]) -> BookLine:
    """The line of an hour, from the book record of it and every symbol's closed hour."""
    hours = list(sleeves)
    return line_of_sums(
        record,
        sum((it.equity_usdt for it in hours), Decimal(0)),
        sum((it.cash_usdt for it in hours), Decimal(0)),
    )


def line_of_sums(record: BookHour, sleeves_equity: Decimal, sleeves_cash: Decimal) -> BookLine:
    """`book_line`, from the sums over all symbols."""
    equity, cash = record.reserve_usdt + sleeves_equity, record.reserve_usdt + sleeves_cash
    peak = max(record.risk.peak_equity, equity)
    return BookLine(
        record.close_time,
        equity,
        cash,
        _share(equity - cash, equity),
        _share(peak - equity, peak),
        record.halted,
        record.transfers,
    )


def _share(part: Decimal, of: Decimal) -> Decimal:
    return (part / of).quantize(SIX, ROUND_HALF_EVEN) if of else Decimal(0)


def book_line_json(line: BookLine) -> dict[str, Any]:
    """A line as machines read it: the hour in ISO, amounts and shares as decimal text."""
    return {
        "close_time": iso(line.close_time),
        "equity": plain(line.equity),
        "cash": plain(line.cash),
        "exposure": plain(line.exposure),
        "drawdown": plain(line.drawdown),
        "halted": line.halted,
        "transfers": {symbol: plain(amount) for symbol, amount in line.transfers.items()},
    }


def book_line_text(line: BookLine) -> str:
    """A line as one row of JSON Lines, without the newline: the very bytes that backtest and bot write."""
    transfers = {symbol: plain(amount) for symbol, amount in line.transfers.items()}
    # `book_line_json` as JSON; nothing in it but symbols could need an escape, and a backtest writes many of these.
    return (
        f'{{"close_time": "{iso(line.close_time)}", "equity": "{plain(line.equity)}", "cash": "{plain(line.cash)}", '
        f'"exposure": "{plain(line.exposure)}", "drawdown": "{plain(line.drawdown)}", '
        f'"halted": {"true" if line.halted else "false"}, "transfers": {json.dumps(transfers) if transfers else "{}"}}}'
    )
