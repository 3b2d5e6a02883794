"""What an operator asks first: is it alive, what did it do, what does it hold, what comes next. Reads the store only."""

from __future__ import annotations

from decimal import Decimal

from trader.app.halts import newest_event
from trader.app.journal import Journal, Json
from trader.app.objects import standing_of
from trader.app.retrain import deployment, load_model, serving_params
from trader.core.lifecycle import BreachRule, Champion, calendar_refit, is_late, serving
from trader.core.params import Params, params_of
from trader.core.types import DAY_MS, HOUR_MS, floor_hour, iso, plain

FAR_FUTURE = 4_102_444_800_000  # 2100-01-01


def status(journal: Journal, rule: BreachRule, now_ms: int | None = None) -> Json:
    """The whole report. Returns are compounded shares; `now_ms` (UTC) is None where the venue has a clock of its own.

    Keys: state, why, next always; hour, model_id, line, holding, results, window, champion, halt, open, behind_hours
    once an hour is closed.
    """
    begun = deployment(journal)
    if begun is None:
        return {"state": "not begun", "why": "no model yet", "next": {"do": "trader retrain --params P.json"}}
    newest = journal.newest_record(FAR_FUTURE, begun.start)
    halt = _halt(journal)
    if newest is None:
        why = f"the first hour is {iso(begun.start)}"
        return {
            "state": "halted" if halt else "begun",
            "why": why,
            "halt": halt,
            "next": {"do": "trader tick"},
        }
    hour = int(newest["close_time"])
    behind = None if now_ms is None else (floor_hour(now_ms) - hour) // HOUR_MS
    params = serving_params(journal)
    pending = journal.decision(hour + HOUR_MS)
    return {
        "state": "halted" if halt else "trading",
        "why": _why(halt, behind, pending),
        "hour": iso(hour),
        "model_id": newest["model_id"],
        "line": newest["line"],
        "holding": _holding(newest),
        "results": _results(journal, newest),
        "window": _window(journal, newest, rule),
        "champion": _champion(journal, hour),
        "halt": halt,
        "open": None if pending is None else {"hour": iso(hour + HOUR_MS), "order": pending["order"]},
        "behind_hours": behind,
        "next": _next(journal, begun.start, hour, params, rule),
    }


def _why(halt: Json | None, behind: int | None, pending: Json | None) -> str:
    if halt:
        return f"{halt['reason']} at {halt['at']}, by {halt['by']}" + (
            f": {halt['words']}" if halt["words"] else ""
        )
    if pending is not None:
        return "the next hour is decided and not closed: an order may be in doubt; trader tick looks for it"
    if behind is not None and behind > 1:
        return f"{behind} hours are not closed: is the schedule running?"
    return "every hour so far is closed"


def _halt(journal: Journal) -> Json | None:
    event = newest_event(journal)
    if event is None or event.content["kind"] != "halt":
        return None
    keys = ("reason", "by", "words", "freeze")
    return {"at": iso(event.content["at"]), **{key: event.content[key] for key in keys}}


def _holding(newest: Json) -> Json:
    state, close = newest["state"], Decimal(newest["close"])
    worth = Decimal(state["position"]) * close
    return {
        "position": state["position"],
        "close": newest["close"],
        "worth_usdt": plain(worth),
        "cash_usdt": state["cash"],
        "equity_usdt": plain(Decimal(state["cash"]) + worth),
    }


def _results(journal: Journal, newest: Json) -> Json:
    """Since the first hour, and since the running risk epoch began, by which the limits count."""
    state, equity = newest["state"], standing_of(newest).equity
    first = journal.events("champion")[0].content["model_id"]
    allocation = params_of(load_model(journal, first)[0].params, f"models/{first}/card.json").allocation_usdt
    return {
        "net_return": equity / float(allocation) - 1,
        "epoch_return": equity / float(state["base_equity"]) - 1,
        "drawdown": 1 - equity / float(state["peak_equity"]),
        "orders": state["orders"],
        "fills": state["fills"],
        "fees_usdt": state["fees_usdt"],
        "scored": state["scored"],
        "hit_rate": state["hits"] / state["scored"] if state["scored"] else None,
    }


def _window(journal: Journal, newest: Json, rule: BreachRule) -> Json | None:
    """The breach rule's own window, None while there are fewer hours."""
    then = journal.record(newest["close_time"] - rule.hours * HOUR_MS)
    if then is None:
        return None
    now, past = standing_of(newest), standing_of(then)
    scored = now.scored - past.scored
    return {
        "hours": rule.hours,
        "net_return": now.equity / past.equity - 1,
        "hit_rate": (now.hits - past.hits) / scored if scored else None,
        "net_return_below": rule.net_return_below,
        "hit_rate_below": rule.hit_rate_below,
    }


def _champion(journal: Journal, hour: int) -> Json | None:
    events = journal.events("champion")
    found = [Champion(event.content["model_id"], int(event.content["valid_from"])) for event in events]
    chosen = serving(found, hour + HOUR_MS)
    if chosen is None:
        return None
    event = next(e for e, c in zip(reversed(events), reversed(found), strict=True) if c == chosen)
    begun, card = deployment(journal), load_model(journal, chosen.model_id)[0]
    return {
        "model_id": chosen.model_id,
        "valid_from": iso(chosen.valid_from),
        "age_hours": (hour + HOUR_MS - chosen.valid_from) // HOUR_MS,
        "why": event.content["why"],
        "words": event.content.get("words", ""),
        "late": begun is not None and is_late(begun.start, card.params["step_days"], chosen, hour + HOUR_MS),
    }


def _next(journal: Journal, start: int, hour: int, params: Params | None, rule: BreachRule) -> Json:
    refit = calendar_refit(start, params.step_days, hour) if params else None
    breaches = journal.events("breach")
    again = int(breaches[-1].content["at"]) + rule.cooldown_hours * HOUR_MS if breaches else None
    known = journal.record(hour - rule.hours * HOUR_MS) is not None
    begins = hour if known else start + rule.hours * HOUR_MS
    return {
        "do": "trader tick",
        "hour": iso(hour + HOUR_MS),
        "refit": None if refit is None or params is None else iso(refit + params.step_days * DAY_MS),
        "refit_is_trained_from": None
        if refit is None or params is None
        else iso(refit + params.step_days * DAY_MS - params.gap_hours * HOUR_MS),
        "breach_from": iso(max(begins, again or 0)),
        "last_breach": {"at": iso(breaches[-1].content["at"]), "why": breaches[-1].content["why"]}
        if breaches
        else None,
    }
