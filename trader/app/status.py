"""What an operator asks first: is it alive, what did it do, what does it hold, what comes next. Reads the store only."""

from __future__ import annotations

from decimal import Decimal

from trader.app.journal import Journal, Json
from trader.app.retrain import champions, deployment, serving_params
from trader.core.lifecycle import calendar_refit, serving
from trader.core.types import DAY_MS, HOUR_MS, iso, plain

FAR_FUTURE = 4_102_444_800_000  # 2100-01-01


def status(journal: Journal) -> Json:
    """A flat report, in the order in which it is read."""
    begun = deployment(journal)
    if begun is None:
        return {"state": "not begun", "next": "trader retrain --params P.json"}
    newest = journal.newest_record(FAR_FUTURE, begun.start)
    if newest is None:
        return {"state": "begun", "first hour": iso(begun.start), "next": "trader tick at or after that hour"}
    state, line, hour = newest["state"], newest["line"], newest["close_time"]
    close, position = Decimal(newest["close"]), Decimal(state["position"])
    champion = serving(champions(journal), hour + HOUR_MS)
    params = serving_params(journal)
    refit = calendar_refit(begun.start, params.step_days, hour) if params else None
    return {
        "state": "halted" if state["halted_at"] else "trading",
        "halted": f"{iso(state['halted_at'])}, {state['halt_reason']}" if state["halted_at"] else "no",
        "last hour": f"{line['close_time']}: {line['order_side'] or 'no order'} ({line['reason']})",
        "P(up)": line["p_up"],
        "position": state["position"],
        "cash": f"{state['cash']} USDT",
        "equity": f"{plain(Decimal(state['cash']) + position * close)} USDT at {newest['close']}",
        "orders, fees": f"{state['orders']}, {state['fees_usdt']} USDT",
        "model": f"{champion.model_id} since {iso(champion.valid_from)}" if champion else "none",
        "next hour": iso(hour + HOUR_MS),
        "next retrain": "-" if refit is None or params is None else iso(refit + params.step_days * DAY_MS),
    }
