"""Faults of the data itself: candles that are late, lost, doubled, empty, stale or absurd."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from trader.exchange.faults import Fault
from trader.exchange.replies import Reply, dump

Rows = list[list[Any]]
PRICES = slice(1, 5)
FIELDS = 12


def edit_klines(reply: Reply, fault: Fault) -> Reply:
    """Spoil a page of candles; other replies and empty pages are left alone."""
    rows = json.loads(reply.body) if reply.status == 200 and reply.body.startswith(b"[[") else None
    if rows and len(rows[0]) == FIELDS:
        reply.body = dump(EDITS[fault.settings["edit"]](rows))
        reply.note = fault.name
    return reply


def _extreme(rows: Rows) -> Rows:
    """The forming candle, last of the page, closes far away from all others."""
    rows[-1][4] = rows[-1][2] = f"{float(rows[-1][4]) * 2:.8f}"
    return rows


def _late(rows: Rows) -> Rows:
    """The two newest rows are not there yet: the forming one and the one that just closed."""
    return rows[:-2]


def _gap(rows: Rows) -> Rows:
    """Three hours in the middle are missing."""
    middle = len(rows) // 2
    return rows[:middle] + rows[middle + 3 :]


def _unsorted(rows: Rows) -> Rows:
    """One row comes twice, and the last two have changed places."""
    doubled = [*rows[: len(rows) // 2 + 1], *rows[len(rows) // 2 :]]
    doubled[-1], doubled[-2] = doubled[-2], doubled[-1]
    return doubled


def _nan(rows: Rows) -> Rows:
    """A price is no number, another is zero."""
    rows[len(rows) // 2][4] = "NaN"
    rows[len(rows) // 3][1] = "0.00000000"
    return rows


def _short(rows: Rows) -> Rows:
    """A row has eleven fields."""
    rows[len(rows) // 2].pop()
    return rows


def _stale(rows: Rows) -> Rows:
    """The newest four hours are missing."""
    return rows[:-4]


def _spike(rows: Rows) -> Rows:
    """The newest closed candle prints 100,000."""
    rows[-2 if len(rows) > 1 else -1][PRICES] = ["100000.00000000"] * 4
    return rows


def _halved(rows: Rows) -> Rows:
    """The newest closed candle closes at half of what it did."""
    row = rows[-2 if len(rows) > 1 else -1]
    row[4] = f"{float(row[4]) / 2:.8f}"
    row[3] = min(row[3], row[4], key=float)
    return rows


EDITS: dict[str, Callable[[Rows], Rows]] = {
    "extreme": _extreme,
    "late": _late,
    "gap": _gap,
    "unsorted": _unsorted,
    "nan": _nan,
    "short": _short,
    "stale": _stale,
    "spike": _spike,
    "halved": _halved,
}
