"""What an operator asks first: is it alive, what did it do, what does it hold, what comes next. Reads the store only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache

from trader.app.adoption import epoch_between, with_account
from trader.app.codec import ORDER
from trader.app.codec_events import ACCOUNT, BREACH, CHAMPION, DEPLOYMENT, HALT, TROUBLE
from trader.app.cursors import standing
from trader.app.halts import keeps_position, standing_halt
from trader.app.hold import BuyAndHold, buy_and_hold
from trader.app.journal import Journal
from trader.app.models import family_of
from trader.app.retrain import card_or_newest_readable, champions, deployment
from trader.app.trouble import standing_trouble
from trader.app.watch import RetrainRules, allowance, rules_in_force, seen_drift
from trader.core.events import EpochEvent
from trader.core.hours import line_json
from trader.core.ledger import Ledger
from trader.core.lifecycle import BreachRule, DriftRule, calendar_refit, is_late, serving
from trader.core.model import ModelCard
from trader.core.params import Params, params_of
from trader.core.records import Decision, HourRecord, standing_of
from trader.core.text import plural
from trader.core.types import DAY_MS, FAR_FUTURE_MS, HOUR_MS, Json, floor_hour, iso, plain

CardOf = Callable[[str], ModelCard]


def status(
    journal: Journal,
    rule: BreachRule,
    now_ms: int | None = None,
    drift: DriftRule | None = None,
    observers: Sequence[str] = (),
) -> Json:
    """The whole report. `rule`, `drift`: the settings'; a rehearsal's own go before them. Returns are compounded shares;
    `now_ms` (UTC) is None where nobody knows it.

    Keys: state, why, next always; market, "" for a real one, once a model is trained; hour, model_id, line, holding, results,
    retrain_rule, window, retrain, drift (None without its rule), champion, halt, trouble, open, behind_hours, observers (those
    named) once an hour is closed.
    """
    with journal.glance(DEPLOYMENT, CHAMPION, BREACH, HALT, ACCOUNT, TROUBLE):
        rules = rules_in_force(journal, rule, drift)
        return _status(journal, rules, rules.breach or rule, now_ms, observers)


def _status(
    journal: Journal, rules: RetrainRules, rule: BreachRule, now_ms: int | None, observers: Sequence[str]
) -> Json:
    begun = deployment(journal)
    if begun is None:
        return {"state": "not begun", "why": "no model yet", "next": {"do": "trader retrain --params P.json"}}
    newest = journal.newest_record(FAR_FUTURE_MS, begun.start_ms)
    halt = _halt(journal)
    if newest is None:
        why = f"the first hour is {iso(begun.start_ms)}"
        return {
            "state": "halted" if halt else "begun",
            "why": why,
            "market": begun.market,
            "halt": halt,
            "next": {"do": "trader tick"},
        }
    if not champions(journal):
        why = "no model is left in the store: its champion events are lost"
        return {
            "state": "halted" if halt else "begun",
            "why": why,
            "market": begun.market,
            "halt": halt,
            "next": {"do": "trader retrain --params P.json"},
        }
    hour = newest.close_time
    behind = None if now_ms is None else (floor_hour(now_ms) - hour) // HOUR_MS
    card_of: CardOf = cache(lambda model_id: card_or_newest_readable(journal, model_id))
    left = allowance(rule, hour, [event.content.at_ms for event in journal.events(BREACH)])
    pending = journal.decision(hour + HOUR_MS)
    return {
        "state": "halted" if halt else "trading",
        "why": _why(halt, behind, pending),
        "market": begun.market,
        "hour": iso(hour),
        "model_id": newest.model_id,
        "line": line_json(newest.line),
        "holding": _holding(newest, with_account(journal, newest.totals)[0].state.ledger),
        "results": _results(journal, newest, card_of, buy_and_hold(journal, begun.start_ms)),
        "retrain_rule": _rule(rule, rules.own),
        "window": _window(journal, newest, rule),
        "retrain": left,
        "drift": rules.drift
        and seen_drift(journal, rules.drift, begun.start_ms, newest, card_of(newest.model_id)),
        "champion": _champion(journal, hour, card_of),
        "halt": halt,
        "trouble": _trouble(journal),
        "open": None if pending is None else _open(pending),
        "behind_hours": behind,
        "observers": standing(journal, observers, hour, begun.start_ms),
        "next": _next(journal, begun.start_ms, hour, card_of, rule, left),
    }


def _why(halt: Json | None, behind: int | None, pending: Decision | None) -> str:
    if halt:
        return f"{halt['reason']} at {halt['at']}, by {halt['by']}" + (
            f": {halt['words']}" if halt["words"] else ""
        )
    if pending is not None:
        return "the next hour is decided and not closed: an order may be in doubt; trader tick looks for it"
    if behind is not None and behind > 1:
        return f"{plural(behind, 'hour is', 'hours are')} not closed: is the schedule running?"
    if behind is not None and behind < -1:
        return (
            f"the newest closed hour is {plural(-behind, 'hour')} ahead of the clock: the clock is wrong, or the exchange is "
            "another one than that of these hours"
        )
    return "up to date"


def _halt(journal: Journal) -> Json | None:
    halt = standing_halt(journal)
    if halt is None:
        return None
    kept = keeps_position(journal.events(HALT))
    said = {"reason": halt.reason, "by": halt.by, "words": halt.message, "freeze": kept}
    return {"at": iso(halt.at_ms), **said}


def _trouble(journal: Journal) -> Json | None:
    trouble = standing_trouble(journal)
    if trouble is None:
        return None
    return {"since": iso(trouble.at_ms), "exit_code": trouble.exit_code, "words": trouble.message}


def _open(pending: Decision) -> Json:
    order = pending.order and ORDER.write(pending.order)
    return {"hour": iso(pending.close_time), "order": order}


def _holding(newest: HourRecord, ledger: Ledger) -> Json:
    """What is held now: after the newest hour, and what account events have said since."""
    return {
        "position": plain(ledger.position),
        "close": plain(newest.close),
        "mark": plain(newest.mark),
        "unconfirmed": newest.unconfirmed,
        "worth_usdt": plain(ledger.position * newest.mark),
        "cash_usdt": plain(ledger.cash),
        "equity_usdt": plain(ledger.equity(newest.mark)),
    }


def _results(journal: Journal, newest: HourRecord, card_of: CardOf, hold: BuyAndHold | None) -> Json:
    """Since the first hour, and since the running risk epoch began, by which the limits count; chain-linked over the transfers
    of a book."""
    ledger, risk, totals, equity = newest.ledger, newest.risk, newest.totals, float(newest.equity_usdt)
    if journal.in_book:
        began = Decimal(0) if hold is None else hold.allocation_usdt
        equity_now = equity / float(totals.transfer_scale)
    else:
        began, equity_now = _allocation(journal, newest, card_of), equity
    return {
        "net_return": equity_now / float(began) - 1 if began else 0.0,
        "buy_and_hold": None if hold is None else hold.net_return(newest.mark),
        "epoch_return": equity / float(risk.base_equity) - 1 if risk.base_equity else 0.0,
        "drawdown": 1 - equity / float(risk.peak_equity) if risk.peak_equity else 0.0,
        "orders": ledger.orders,
        "fills": ledger.fills,
        "fees_usdt": plain(ledger.fees_usdt),
        "scored": totals.scored,
        "hit_rate": totals.hits / totals.scored if totals.scored else None,
    }


def _allocation(journal: Journal, newest: HourRecord, card_of: CardOf) -> Decimal:
    """What the running epoch began with: the newest one that the record has taken in, else the first model's allocation."""
    epochs = [
        event.content.allocation_usdt
        for event in journal.events(ACCOUNT)[: newest.totals.account_event]
        if isinstance(event.content, EpochEvent)
    ]
    return epochs[-1] if epochs else _params(card_of(champions(journal)[0].model_id)).allocation_usdt


def _rule(rule: BreachRule, own: bool) -> Json:
    """The rule of retraining in force; `own` where it came with the store and not from the settings."""
    return {
        "hours": rule.hours,
        "net_return_below": rule.net_return_below,
        "hit_rate_below": rule.hit_rate_below,
        "own": own,
    }


def _window(journal: Journal, newest: HourRecord, rule: BreachRule) -> Json | None:
    """The breach rule's own window, None while there are fewer hours."""
    then = journal.record(newest.close_time - rule.hours * HOUR_MS)
    if then is None or epoch_between(journal, then, newest):
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


def _params(card: ModelCard) -> Params:
    return params_of(card.params, f"models/{card.model_id}/card")


def _champion(journal: Journal, hour: int, card_of: CardOf) -> Json | None:
    events, found = journal.events(CHAMPION), champions(journal)
    chosen = serving(found, hour + HOUR_MS)
    if chosen is None:
        return None
    event = next(e for e, c in zip(reversed(events), reversed(found), strict=True) if c == chosen)
    begun, card = deployment(journal), card_of(chosen.model_id)
    return {
        "model_id": chosen.model_id,
        "family": family_of(journal, chosen.model_id),
        "valid_from": iso(chosen.valid_from),
        "age_hours": (hour + HOUR_MS - chosen.valid_from) // HOUR_MS,
        "why": event.content.cause,
        "words": event.content.message,
        "late": begun is not None
        and is_late(begun.start_ms, card.params["step_days"], chosen, hour + HOUR_MS),
    }


def _next(journal: Journal, start: int, hour: int, card_of: CardOf, rule: BreachRule, left: Json) -> Json:
    params = _params(card_of(champions(journal)[-1].model_id))
    refit = calendar_refit(start, params.step_days, hour)
    serves = None if refit is None else refit + params.step_days * DAY_MS
    breaches = [event.content for event in journal.events(BREACH)]
    known = journal.record(hour - rule.hours * HOUR_MS) is not None
    begins = iso(hour if known else start + rule.hours * HOUR_MS)
    return {
        "do": "trader tick",
        "hour": iso(hour + HOUR_MS),
        "refit": None if serves is None else iso(serves),
        "refit_is_trained_from": None if serves is None else iso(serves - params.gap_hours * HOUR_MS),
        "breach_from": max(begins, left["cooldown_until"] or "", left["budget_from"] or ""),
        "last_breach": {"at": iso(breaches[-1].at_ms), "why": breaches[-1].reason} if breaches else None,
    }
