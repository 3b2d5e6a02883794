"""What the page remembers of the hours: folded from records one by one, so that an hour costs an hour, not a year.

The last KEPT_HOURS stand hourly, everything older by day. Amounts are floats here: they are drawn, never traded on.
"""

from __future__ import annotations

from typing import Any

from trader.core.hours import line_json
from trader.core.records import HourRecord
from trader.core.types import DAY_MS, HOUR_MS, Json, plain

SCHEMA = "series/3"
KEPT_HOURS = 90 * 24
AUDITED_HOURS = 48
DRIFT_HOURS = 14 * 24
BIN_WIDTH = 0.01
KEPT_FILLS = 500


def fresh() -> Json:
    """Before the first hour."""
    return {
        "schema": SCHEMA,
        "until": 0,
        "first": None,
        "hours": [],
        "days": [],
        "audit": [],
        "features": [],
        "bins": {},
        "fills": [],
        "traded": [],
    }


def fold(series: Json, record: HourRecord) -> None:
    """Take one closed hour in. Records come in the order of their hours; one that was taken in already is passed over."""
    time = record.close_time
    if time <= series["until"]:
        return
    row = _row(record)
    before = series["hours"][-1] if series["hours"] else None
    if series["first"] is None:
        series["first"] = {"time": time, "close": row[1], "equity": 0.0}
    if not series["first"]["equity"]:  # a symbol of a book has nothing before its first transfer
        series["first"]["equity"] = float(record.risk.base_equity)
    _calibrate(series["bins"], before, row)
    series["hours"].append(row)
    series["audit"] = [*series["audit"], _audit(record)][-AUDITED_HOURS:]
    if record.features:  # hours of earlier code have none
        series["features"] = [*series["features"], dict(record.features)][-DRIFT_HOURS:]
    if record.line.fill_price is not None:
        done = [time, record.line.order_side, plain(record.line.fill_price)]
        series["traded"] = [*series["traded"], done][-KEPT_FILLS:]
    if (worse := record.slippage_bps()) is not None:
        series["fills"] = [*series["fills"], [time, worse]][-KEPT_FILLS:]
    series["until"] = time
    if len(series["hours"]) > KEPT_HOURS + 24:
        _retire(series)


def _row(record: HourRecord) -> list[Any]:
    """time, mark, equity without a book's transfers, held, p_up, hits, scored, fees, drawdown, since_base, orders, halted,
    cash, equity."""
    ledger, risk, totals, close = record.ledger, record.risk, record.totals, float(record.mark)
    equity, peak, base = float(record.equity_usdt), float(risk.peak_equity), float(risk.base_equity)
    return [
        record.close_time,
        close,
        round(equity / float(totals.transfer_scale), 2),
        int(abs(float(ledger.position)) * close > 1),
        record.line.p_up,
        totals.hits,
        totals.scored,
        round(float(ledger.fees_usdt), 4),
        round(max(0.0, 1 - equity / max(peak, equity)), 6) if peak or equity else 0.0,
        round(equity / base - 1, 6) if base else 0.0,
        ledger.orders,
        int(record.halted),
        round(float(ledger.cash), 2),
        round(equity, 2),
    ]


def _audit(record: HourRecord) -> Json:
    """What the page's table tells of an hour."""
    return {
        "close_time": record.close_time,
        "line": line_json(record.line),
        "fills": [
            {"side": fill.side, "price": plain(fill.price), "qty": plain(fill.qty)} for fill in record.fills
        ],
        "close": plain(record.close),
        "gap": record.gap,
        "unconfirmed": record.unconfirmed,
        "expected_price": None if record.expected_price is None else plain(record.expected_price),
        "features": dict(record.features),
        "model_id": record.model_id,
        "model_late": record.model_late,
    }


def _calibrate(bins: Json, before: list[Any] | None, row: list[Any]) -> None:
    """Score the call of the hour before by what this hour's totals say of it."""
    if before is None or before[4] is None or row[6] == before[6]:
        return
    p_up, right = before[4], row[5] > before[5]
    rose = right == (p_up >= 0.5)
    key = f"{int(p_up / BIN_WIDTH) * BIN_WIDTH:.2f}"
    n, ups, total = bins.get(key, (0, 0, 0.0))
    bins[key] = [n + 1, ups + int(rose), round(total + p_up, 6)]


def _retire(series: Json) -> None:
    """Let the oldest whole day go from the hours into the days."""
    rows = series["hours"]
    day = rows[0][0] // DAY_MS
    cut = next(i for i, row in enumerate(rows) if row[0] // DAY_MS != day)
    series["days"].append(by_day(rows[:cut]))
    series["hours"] = rows[cut:]


def by_day(rows: list[list[Any]]) -> list[Any]:
    """A daily row of a day's hourly ones: time, close, equity without transfers, exposure, hits, scored, fees, drawdown, orders,
    cash, equity. It is marked at the day's last hour; exposure is the day's share held, drawdown its worst."""
    last = rows[-1]
    exposure = sum(row[3] for row in rows) / len(rows)
    worst = max(row[8] for row in rows)
    return [
        last[0],
        last[1],
        last[2],
        round(exposure, 4),
        last[5],
        last[6],
        last[7],
        worst,
        last[10],
        *last[12:],
    ]


def rolling(series: Json, hours: int) -> tuple[list[int], list[float | None], list[float | None]]:
    """(times, net return, hit rate) over the `hours` before each kept hour; None where they are not all kept or where
    nothing was scored."""
    rows = series["hours"]
    times, returns, hits = [], [], []
    for i, row in enumerate(rows):
        times.append(row[0])
        then = rows[i - hours] if i >= hours and row[0] - rows[i - hours][0] == hours * HOUR_MS else None
        scored = row[6] - then[6] if then else 0
        returns.append(round(row[2] / then[2] - 1, 6) if then and then[2] else None)
        hits.append(round((row[5] - then[5]) / scored, 4) if then and scored else None)
    return times, returns, hits
