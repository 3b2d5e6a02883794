"""One hour, exactly once: gather, decide, apply. Safe to run twice, at once, and after any crash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import numpy as np

from trader.app.collect import Collector
from trader.app.journal import Journal, Json
from trader.app.orders import Desk, carry_out, write_fill
from trader.app.retrain import champions, deployment, load_model
from trader.core.costs import exact
from trader.core.decision import shortest
from trader.core.errors import ConfigError, Halt
from trader.core.features import anchor_of, features, preset_named
from trader.core.hours import (
    GAP,
    MISSED,
    WARM_UP,
    Decision,
    Rules,
    Seen,
    State,
    decide_hour,
    line_of,
    settle,
)
from trader.core.ledger import Ledger
from trader.core.lifecycle import Champion, is_late, serving
from trader.core.model import ModelCard, predict_defined
from trader.core.params import Params, params_of
from trader.core.ports import Clock, Exchange, Forecaster, Predictor
from trader.core.risk import RiskState
from trader.core.sizing import SizedOrder
from trader.core.types import HOUR_MS, Bars, Fill, Filters, Target, floor_hour, iso, plain

DEADLINE_MS = 10 * 60_000


@dataclass(slots=True)
class Bot:
    """A bot and everything it reaches the world through. Loaded models and filters are kept between ticks."""

    name: str
    journal: Journal
    exchange: Exchange
    collector: Collector
    forecaster: Forecaster
    clock: Clock
    version: str
    _models: dict[str, tuple[ModelCard, Params, Predictor]] = field(default_factory=dict)
    _filters: tuple[int, Filters] | None = None

    @property
    def symbol(self) -> str:
        """The one symbol that it trades."""
        return self.journal.symbol

    def model(self, model_id: str) -> tuple[ModelCard, Params, Predictor]:
        """A published model, read and checked once."""
        if model_id not in self._models:
            card, model = load_model(self.journal, model_id)
            source = f"models/{model_id}/card.json"
            predictor = self.forecaster.load(model, f"models/{model_id}/model.ubj")
            self._models[model_id] = card, params_of(card.params, source), predictor
        return self._models[model_id]

    def filters(self, hour: int) -> Filters:
        """What the venue accepts, asked again every day."""
        day = hour // (24 * HOUR_MS)
        if self._filters is None or self._filters[0] != day:
            self._filters = day, self.exchange.filters(self.symbol)
        return self._filters[1]


@dataclass(frozen=True, slots=True)
class Ticked:
    """What a tick did. `lines` are the hours it closed, oldest first; `state` is the one after the last."""

    outcome: Literal["traded", "done", "not_begun"]
    hour: int
    lines: list[Json]
    message: str


def tick(bot: Bot, before: int | None = None) -> Ticked:
    """Close every hour that is over and not closed, the current one included.

    Hours that passed without a decision are recorded as missed, or as shut where the venue was; they are never
    traded late. `before` (UTC ms) leaves the hours from it on alone. Raises Retry (nothing lost, try again), Parked (an order is unknown), Halt, ConfigError.
    """
    now = floor_hour(bot.exchange.time_ms())
    hour = now if before is None else min(now, before - HOUR_MS)
    begun = deployment(bot.journal)
    if begun is None:
        raise ConfigError(
            "this bot has not begun yet; train its first model with: trader retrain --params P.json"
        )
    if hour < begun.start:
        return Ticked(
            "not_begun", hour, [], f"{bot.symbol}: the first hour is {iso(begun.start)}; nothing to do"
        )
    newest = bot.journal.newest_record(hour, begun.start)
    if newest is not None and newest["close_time"] == hour:
        return Ticked("done", hour, [], f"{bot.symbol} {iso(hour)}: already done")
    state = _state_of(newest) if newest else None
    lines = []
    for todo in range(newest["close_time"] + HOUR_MS if newest else begun.start, hour + HOUR_MS, HOUR_MS):
        record = _close(bot, todo, now, state)
        state = _state_of(record)
        lines.append(record["line"])
    return Ticked("traded", hour, lines, f"{bot.symbol} {iso(hour)}: {_sentence(lines[-1])}")


def _close(bot: Bot, hour: int, current: int, before: State | None) -> Json:
    decision = bot.journal.decision(hour)
    if decision is None:
        proposal = _propose(bot, hour, current, before)
        if proposal["halts"]:
            _announce_halt(bot.journal, hour, proposal["state"]["halt_reason"])
        decision = bot.journal.decide(hour, proposal)
    fills = carry_out(Desk(bot.journal, bot.exchange, bot.clock, bot.name), hour, decision)
    return bot.journal.close_hour(hour, _record(hour, decision, fills))


def _propose(bot: Bot, hour: int, current: int, before: State | None) -> Json:
    """Gather what is known at `hour`, let the core decide, and write it down. Nothing is sent here."""
    champion, late = _champion(bot, hour)
    card, params, predictor = bot.model(champion.model_id)
    bars = bot.collector.waiting(anchor_of(hour), current, bot.clock)
    is_now = hour == current
    venue_open = is_now or bars.has(hour + HOUR_MS)
    p_up, why_not = _predict(bars, hour, params, predictor) if is_now or not venue_open else (None, MISSED)
    quote = bot.exchange.quote(bot.symbol) if is_now else None
    now = bot.exchange.time_ms() if is_now else None
    deadline = hour + DEADLINE_MS
    if now is not None and now > deadline:
        quote, p_up, why_not = None, None, MISSED

    rules = Rules(params, bot.filters(hour))
    state = before or State.fresh(params.allocation_usdt)
    seen = Seen(hour, _mark(bars, hour), quote, p_up, why_not)
    decision = decide_hour(state, seen, rules)

    if decision.order is not None:
        _require_cover(bot, decision.order)
    return {
        **_write(decision, seen, state),
        "model_id": card.model_id,
        "model_late": late,
        "bars_hash": _bars_hash(bars, hour),
        "deadline": deadline,
        "decided_ms": now,
        "filters": rules.filters.as_json(),
        "version": bot.version,
    }


def _champion(bot: Bot, hour: int) -> tuple[Champion, bool]:
    published = champions(bot.journal)
    champion = serving(published, hour)
    begun = deployment(bot.journal)
    if champion is None or begun is None:
        raise ConfigError(f"no model serves {iso(hour)}; train one with: trader retrain")
    params = bot.model(champion.model_id)[1]
    return champion, is_late(begun.start, params.step_days, champion, hour)


def _predict(bars: Bars, hour: int, params: Params, predictor: Predictor) -> tuple[float | None, str]:
    if not bars.has(hour):
        return None, GAP
    row = features(bars.until(hour), preset_named(params.features), hour, hour + HOUR_MS)
    score = predict_defined(predictor, row)[0]
    return (None, WARM_UP) if np.isnan(score) else (shortest(score), "")


def _mark(bars: Bars, hour: int) -> Decimal:
    return exact(float(bars.close[bars.row(hour)]))


def _bars_hash(bars: Bars, hour: int) -> str:
    """Of the block that the hour's features were computed from: what was seen can be compared later."""
    block = bars.span(anchor_of(hour), hour + HOUR_MS)
    digest = hashlib.sha256(block.close_time.tobytes())
    for column in (block.open, block.high, block.low, block.close, block.volume):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()[:16]


def _require_cover(bot: Bot, order: SizedOrder) -> None:
    """The bot trades its own allocation inside an account; the account only has to cover the order."""
    base, quote = bot.exchange.assets(bot.symbol)
    free = bot.exchange.balances()
    asset, needed = (quote, order.qty * order.expected_price) if order.side == "BUY" else (base, order.qty)
    if free.get(asset, Decimal(0)) < needed:
        raise Halt(
            "reconcile",
            f"the journal says that {plain(needed)} {asset} can be spent, the account has "
            f"{plain(free.get(asset, Decimal(0)))} free. Find what moved it before resuming",
        )


def _announce_halt(journal: Journal, hour: int, reason: str) -> None:
    if not any(event.content["at"] == hour for event in journal.events("halt")):
        journal.append("halt", {"kind": "halt", "at": hour, "reason": reason})


def _write(decision: Decision, seen: Seen, before: State) -> Json:
    order = decision.order
    return {
        "close_time": decision.close_time,
        "p_up": decision.p_up,
        "no_p_up": seen.no_p_up,
        "target": decision.target,
        "reason": decision.reason,
        "order": None
        if order is None
        else {"side": order.side, "qty": plain(order.qty), "expected_price": plain(order.expected_price)},
        "halts": decision.halts,
        "close": plain(seen.close),
        "quote": None if seen.quote is None else {"bid": plain(seen.quote.bid), "ask": plain(seen.quote.ask)},
        "equity_before": plain(decision.equity_before),
        "state": _write_state(State(before.ledger, decision.risk)),
    }


def _record(hour: int, decision: Json, fills: Sequence[Fill]) -> Json:
    """Follows from the decision and the venue's answers alone, so that two writers write the same."""
    made, close = _read_decision(decision), Decimal(decision["close"])
    after = settle(_read_state(decision["state"]), made, fills)
    return {
        "close_time": hour,
        "line": line_of(made, fills, after, close),
        "fills": [write_fill(fill) for fill in fills],
        "close": decision["close"],
        "model_id": decision["model_id"],
        "model_late": decision["model_late"],
        "state": _write_state(after),
    }


def _read_decision(content: Json) -> Decision:
    order = content["order"]
    target: Target = content["target"]
    return Decision(
        close_time=content["close_time"],
        p_up=content["p_up"],
        target=target,
        order=None
        if order is None
        else SizedOrder(
            order["side"], Decimal(order["qty"]), Decimal(order["expected_price"]), content["reason"]
        ),
        reason=content["reason"],
        risk=_read_state(content["state"]).risk,
        equity_before=Decimal(content["equity_before"]),
    )


def _write_state(state: State) -> Json:
    ledger, risk = state.ledger, state.risk
    return {
        "cash": plain(ledger.cash),
        "position": plain(ledger.position),
        "fees_usdt": plain(ledger.fees_usdt),
        "orders": ledger.orders,
        "fills": ledger.fills,
        "base_equity": plain(risk.base_equity),
        "peak_equity": plain(risk.peak_equity),
        "halted_at": risk.halted_at,
        "halt_reason": risk.halt_reason,
    }


def _read_state(content: dict[str, Any]) -> State:
    ledger = Ledger(
        Decimal(content["cash"]),
        Decimal(content["position"]),
        Decimal(content["fees_usdt"]),
        content["orders"],
        content["fills"],
    )
    risk = RiskState(
        Decimal(content["base_equity"]),
        Decimal(content["peak_equity"]),
        content["halted_at"],
        content["halt_reason"],
    )
    return State(ledger, risk)


def _state_of(record: Json) -> State:
    return _read_state(record["state"])


def _sentence(line: Json) -> str:
    if line["order_side"] is None:
        return f"no order ({line['reason']}), position {line['position']}, equity {line['equity']} USDT"
    filled = "not filled" if line["fill_price"] is None else f"filled at {line['fill_price']}"
    return (
        f"{line['order_side']} {line['order_qty']} ({line['reason']}) {filled}, "
        f"position {line['position']}, equity {line['equity']} USDT"
    )
