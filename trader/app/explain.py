"""Why an hour went as it did: from its features to its fill, in words and in numbers. Reads the store only."""

from __future__ import annotations

from decimal import Decimal
from itertools import count
from math import exp, expm1

import numpy as np

from trader.app.book_journal import book_record_json
from trader.app.codec import FILLS, QUOTE
from trader.app.journal import Journal
from trader.app.retrain import deployment, load_model
from trader.core.costs import slippage_bps
from trader.core.errors import ConfigError, DataError
from trader.core.forecast import LEVELS
from trader.core.hours import average_price
from trader.core.ledger import fee_usdt
from trader.core.model import RANGE_QUANTILES, ModelCard
from trader.core.params import Params, params_of
from trader.core.policy import held_until, target_side, within_holding_period
from trader.core.pooled_rows import SYMBOL_COLUMN, with_symbol
from trader.core.ports import Contributing, Explaining, ForecasterOf
from trader.core.records import Decision, HourRecord
from trader.core.types import FAR_FUTURE_MS, Json, iso, plain


def newest_hour(journal: Journal) -> int | None:
    """The close time (UTC ms) of the newest closed hour, None before the first."""
    begun = deployment(journal)
    newest = None if begun is None else journal.newest_record(FAR_FUTURE_MS, begun.start_ms)
    return None if newest is None else newest.close_time


def explain(journal: Journal, forecaster_of: ForecasterOf, hour: int) -> Json:
    """Everything the store knows about the decision of an hour (close time, UTC ms), as JSON.

    Contributions are in log-odds: with `base` they add up to the log-odds of P(up); none where the family gives none.
    Raises ConfigError where the hour was never decided.
    """
    decision = journal.decision(hour)
    if decision is None:
        raise ConfigError(f"{journal.symbol} {iso(hour)}: nothing was decided. Closed hours: trader journal")
    card, model = load_model(journal, decision.model_id)
    params = params_of(card.params, f"models/{card.model_id}/card")
    record = journal.record(hour)
    return {
        "hour": iso(hour),
        "symbol": journal.symbol,
        "closed": record is not None,
        "bar": {"close": plain(decision.close), "gap": decision.gap, "bars_hash": decision.bars_hash},
        "model": _model(card, decision),
        "features": _features(decision, card, journal.symbol),
        **_contributions(forecaster_of, card, model, decision, journal.symbol),
        "terms": _terms(forecaster_of, card, model, decision),
        "p_up": decision.p_up,
        "no_p_up": decision.no_p_up,
        "quantiles": _quantiles(decision),
        "horizon_hours": params.horizon_hours,
        "enter_at": round(params.thresholds.enter_long, 6),
        "leave_at": round(params.thresholds.leave_long, 6),
        "book": book_record_json(journal, decision),
        "hold": _hold(decision, params),
        "risk": _risk(decision, params),
        "decision": _decided(decision),
        "attempts": _attempts(journal, hour),
        "cost": None if record is None else _cost(decision, record, params),
        "after": None if record is None else _after(record),
    }


def _model(card: ModelCard, decision: Decision) -> Json:
    return {
        "id": card.model_id,
        "family": card.family,
        "late": decision.model_late,
        "valid_from": iso(card.valid_from),
        "trained_from": iso(card.train_from),
        "trained_until": iso(card.train_until),
        "rows": card.rows,
        "symbols": card.symbols,
        "features": card.features,
        "version": decision.code_version,
    }


def _quantiles(decision: Decision) -> list[Json]:
    """The distribution of the return over the horizon, as simple returns by level; [] for a family that gives P(up) alone."""
    return [
        {"level": level, "return": round(expm1(value), 8)}
        for level, value in zip(LEVELS, decision.quantiles, strict=False)
    ]


def _features(decision: Decision, card: ModelCard, symbol: str) -> list[Json]:
    """Each feature beside what the model was trained on; `place` is the share of training rows below it."""
    rows = []
    for name in card.columns if decision.features else ():
        value = decision.features.get(name)
        known = card.known_ranges(symbol).get(name, [])
        row = {
            "name": name,
            "value": value,
            "low": None,
            "middle": None,
            "high": None,
            "place": None,
            "outside": False,
        }
        if known and value is not None:
            row |= {
                "low": known[0],
                "middle": known[RANGE_QUANTILES.index(0.5)],
                "high": known[-1],
                "place": round(float(np.interp(value, known, RANGE_QUANTILES)), 3),
                "outside": not known[0] <= value <= known[-1],
            }
        rows.append(row)
    return rows


def _contributions(
    forecaster_of: ForecasterOf, card: ModelCard, model: bytes, decision: Decision, symbol: str
) -> Json:
    values = [decision.features.get(name) for name in card.columns]
    if not values or None in values or decision.p_up is None:
        return {"contributions": {}, "base": None}
    predictor = forecaster_of(card.family).load(model, f"models/{card.model_id}/model")
    if not isinstance(predictor, Contributing):
        return {"contributions": {}, "base": None}
    X, names = np.array([values], dtype=np.float32), list(card.columns)
    if len(card.symbols) > 1:  # the model also knows whose hour it is
        X, names = with_symbol(X, card.symbols.index(symbol)), [*names, SYMBOL_COLUMN]
    shares = predictor.contributions(X)[0]
    total = 1 / (1 + exp(-float(shares.sum())))
    if abs(total - decision.p_up) > 1e-4:
        raise DataError(
            f"{decision.model_id} now says {total:.6f} for these features, the hour was decided by "
            f"{decision.p_up}: the model in the store is not the one that decided"
        )
    parts = {name: round(float(share), 6) for name, share in zip(names, shares, strict=False)}
    return {"contributions": parts, "base": round(float(shares[-1]), 6)}


def _terms(
    forecaster_of: ForecasterOf, card: ModelCard, model: bytes, decision: Decision
) -> dict[str, str | float]:
    """What the model is made of at the hour, by the family's own names; {} for a family of rows, and for one that cannot say."""
    if card.columns:
        return {}
    predictor = forecaster_of(card.family).load(model, f"models/{card.model_id}/model")
    return predictor.explain(decision.close_time) if isinstance(predictor, Explaining) else {}


def _hold(decision: Decision, params: Params) -> Json | None:
    """The minimum holding period where it decides the target: the entry, the first hour that may leave, and the target by
    P(up) alone (None without one). None in an hour that was free."""
    if params.horizon_hours == 1:
        return None
    state = decision.totals.state
    held, entered_at = state.ledger.held(state.mark(decision.close), decision.filters), state.entered_at
    bound = within_holding_period(held, decision.close_time, entered_at, params.horizon_hours)
    if entered_at is None or not bound or state.risk.halted_at:
        return None
    p_up = decision.p_up
    return {
        "held": held,
        "entered_at": iso(entered_at),
        "until": iso(held_until(entered_at, params.horizon_hours)),
        "horizon_hours": params.horizon_hours,
        "by_p_up": None if p_up is None else target_side(p_up, held, params.thresholds),
    }


def _risk(decision: Decision, params: Params) -> Json:
    state, equity = decision.totals.state, decision.equity_before_usdt
    risk = state.risk
    return {
        "equity_before": plain(equity),
        "mark": plain(state.mark(decision.close)),
        "unconfirmed": state.unconfirmed,
        "cumulative_return": round(float(equity / risk.base_equity - 1), 6),
        "halt_cumulative_return": _number(params.halt_cumulative_return),
        "drawdown": round(float(1 - equity / risk.peak_equity), 6),
        "halt_drawdown": _number(params.halt_drawdown),
        "halted_at": None if risk.halted_at is None else iso(risk.halted_at),
        "halt_reason": risk.halt_reason,
    }


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _decided(decision: Decision) -> Json:
    order, ledger = decision.order, decision.totals.state.ledger
    return {
        "target": decision.target,
        "reason": decision.reason,
        "position_before": plain(ledger.position),
        "cash_before": plain(ledger.cash),
        "quote": QUOTE.write(decision.quote),
        "side": order and order.side,
        "qty": order and plain(order.qty),
        "expected_price": order and plain(order.expected_price),
        "deadline": iso(decision.deadline_ms),
    }


def _attempts(journal: Journal, hour: int) -> list[Json]:
    rows: list[Json] = []
    for n in count(1):
        attempt = journal.attempt(hour, n)
        if attempt is None:
            return rows
        outcome = journal.outcome(hour, n)
        rows.append(
            {
                "n": n,
                "client_order_id": attempt.client_order_id,
                "qty": plain(attempt.qty),
                "signed_at_ms": attempt.timestamp_ms,
                "expires_at_ms": attempt.expires_at_ms,
                "outcome": outcome.kind if outcome else "unknown",
                "said": outcome.message if outcome else "",
                "fills": FILLS.write(outcome.fills) if outcome else [],
            }
        )
    return rows


def _cost(decision: Decision, record: HourRecord, params: Params) -> Json | None:
    """The modelled cost of the executed quantity beside the paid one; None without a fill. `slippage_bps` is positive
    where the fill was worse than modelled, in 1/10,000 of the expected price."""
    fills, order = record.fills, decision.order
    paid = average_price(fills)
    if paid is None or order is None:
        return None
    qty = sum((fill.qty for fill in fills), Decimal(0))
    fee, paid_in = params.costs.commission(order.side, qty, order.expected_price)
    modelled = fee * (order.expected_price if paid_in == "base" else 1)
    return {
        "qty": plain(qty),
        "expected_price": plain(order.expected_price),
        "paid_price": plain(paid),
        "slippage_bps": slippage_bps(order.side, paid, order.expected_price),
        "modelled_fee_usdt": plain(modelled),
        "paid_fee_usdt": plain(sum((fee_usdt(fill) for fill in fills), Decimal(0))),
    }


def _after(record: HourRecord) -> Json:
    return {"position": plain(record.line.position), "equity": plain(record.line.equity)}
