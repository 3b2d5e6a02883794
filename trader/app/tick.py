"""One hour, exactly once: gather, decide, apply. Safe to run twice, at once, and after any crash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal, get_args

from trader.app import trouble
from trader.app.adoption import is_attempted, made_after_the_fact, taken_in, with_account
from trader.app.codec_events import ACCOUNT, CHAMPION, DEPLOYMENT, HALT, TROUBLE
from trader.app.collect import Collector
from trader.app.comparison import Unknown, require_known, unknown_orders
from trader.app.cover import OrderLimits, broken_limit, covered
from trader.app.fee_stock import shortage
from trader.app.flatten import settle_flatten
from trader.app.halts import announce, standing_halt, with_events
from trader.app.journal import Journal, hour_folder
from trader.app.orders import ExecutionContext, carry_out
from trader.app.prediction import Model, Prediction, bars_hash_of, predict
from trader.app.retrain import champions, deployment, load_model
from trader.core.costs import exact
from trader.core.errors import ConfigError, DataError, Halt
from trader.core.hours import (
    MISSED,
    HourLine,
    Rules,
    Seen,
    State,
    decide_hour,
    doubt_at,
)
from trader.core.labels import hurdle_of, is_up
from trader.core.ledger import Ledger
from trader.core.lifecycle import is_late, serving
from trader.core.params import Params, params_of
from trader.core.policy import HaltReason
from trader.core.ports import Clock, Exchange, ForecasterOf, OrderState
from trader.core.records import Decision, HourRecord, Order, Totals, record_of
from trader.core.sanity import marked_at, mid
from trader.core.types import DAY_MS, HOUR_MS, Bars, Fill, Filters, floor_hour, iso, plain

DEADLINE_MS = 10 * 60_000


@dataclass(slots=True)
class Bot:
    """A bot and everything it reaches the world through. Loaded models and filters are kept between ticks."""

    name: str
    journal: Journal
    exchange: Exchange
    collector: Collector
    forecaster_of: ForecasterOf
    clock: Clock
    version: str
    freeze_on_halt: bool = False
    price_band: Decimal | None = None  # a share, for parameters without one of their own; None is off
    limits: OrderLimits = field(default_factory=OrderLimits)
    _models: dict[str, Model] = field(default_factory=dict)
    _params: dict[str, Params] = field(default_factory=dict)
    _filters: tuple[int, Filters] | None = None

    @property
    def symbol(self) -> str:
        """The one symbol that it trades."""
        return self.journal.symbol

    @property
    def context(self) -> ExecutionContext:
        """What carrying out an order needs."""
        return ExecutionContext(self.journal, self.exchange, self.clock, self.name, self.renew_filters)

    def model(self, model_id: str) -> Model:
        """A published model, read, checked and loaded by its card's family once."""
        if model_id not in self._models:
            card, stored = load_model(self.journal, model_id)
            forecaster = self.forecaster_of(card.family)
            if forecaster.format != card.format:
                raise DataError(
                    f"models/{model_id}: its card says format {card.format!r}, this program's {card.family} reads "
                    f"{forecaster.format!r}. Train again: trader retrain"
                )
            params = params_of(card.params, f"models/{model_id}/card")
            predictor = forecaster.load(stored, f"models/{model_id}/model")
            self._models[model_id] = Model(card, params, forecaster.traits, predictor)
        return self._models[model_id]

    def params(self, model_id: str) -> Params:
        """A published model's parameters, read and checked once; the model need not be loaded for them."""
        if model_id in self._models:
            return self._models[model_id].params
        if model_id not in self._params:
            card, _ = load_model(self.journal, model_id)
            self._params[model_id] = params_of(card.params, f"models/{model_id}/card")
        return self._params[model_id]

    def totals_before(self, newest: HourRecord | None) -> Totals:
        """The totals after the newest record; before the first, flat with the allocation of the first champion."""
        if newest is not None:
            return newest.totals
        published = champions(self.journal)
        if not published:
            raise ConfigError("no model serves yet; train one with: trader retrain --params P.json")
        return Totals(State.fresh(self.params(published[0].model_id).allocation_usdt))

    def filters(self, hour: int) -> Filters:
        """What the venue accepts, asked again every day."""
        if self._filters is None or self._filters[0] != hour // DAY_MS:
            return self.renew_filters(hour)
        return self._filters[1]

    def renew_filters(self, hour: int) -> Filters:
        """The same, asked again now: for an order that was refused by the filters of before."""
        found = self.exchange.filters(self.symbol)
        self._filters = hour // DAY_MS, found
        return found


@dataclass(frozen=True, slots=True)
class Ticked:
    """What a tick did. `lines` are the hours it closed, oldest first; `halted` says whether trading has stopped."""

    outcome: Literal["traded", "done", "not_begun"]
    hour: int
    lines: list[HourLine]
    message: str
    halted: bool = False


def tick(bot: Bot, before: int | None = None) -> Ticked:
    """Close every hour that is over and not closed, the current one included.

    Hours that passed without a decision are recorded as missed, or as shut where the venue was; they are never
    traded late. `before` (UTC ms) leaves the hours from it on alone. Raises Retry (nothing lost, try again), OrderInDoubt
    (an order is unknown), Halt (written to the store before it is raised), ConfigError.
    """
    with bot.journal.glance(DEPLOYMENT, CHAMPION, ACCOUNT, TROUBLE):
        return _tick(bot, before)


def _tick(bot: Bot, before: int | None) -> Ticked:
    now = bot.exchange.time_ms()
    hour = floor_hour(now) if before is None else min(floor_hour(now), before - HOUR_MS)
    begun = deployment(bot.journal)
    if begun is None:
        raise ConfigError(
            "this bot has not begun yet; train its first model with: trader retrain --params P.json"
        )
    if hour < begun.start_ms:
        return Ticked(
            "not_begun", hour, [], f"{bot.symbol}: the first hour is {iso(begun.start_ms)}; nothing to do"
        )
    newest = bot.journal.newest_record(hour, begun.start_ms)
    if newest is not None and newest.close_time == hour:
        settle_flatten(bot.context)
        halted = _stands_halted(bot.journal, newest)
        return Ticked("done", hour, [], f"{bot.symbol} {iso(hour)}: already done", halted)
    first = newest.close_time + HOUR_MS if newest else begun.start_ms
    lines = []
    try:
        found = _compared(bot, newest, first, floor_hour(now))
        for todo in range(first, hour + HOUR_MS, HOUR_MS):
            newest = _close(bot, todo, floor_hour(now), newest, found.lost.get(todo, ()))
            lines.append(newest.line)
    except Halt as halt:
        announce(bot.journal, floor_hour(now), halt.reason, freeze=True, message=str(halt))
        raise
    trouble.over(bot.journal, now)
    halted = newest is not None and newest.halted
    said = f"{bot.symbol} {iso(hour)}: {_sentence(lines[-1])}"
    if newest is not None and (short := shortage(bot.exchange, newest.fills)):
        said = f"{said}. {short}"
    return Ticked("traded", hour, lines, said, halted)


def _stands_halted(journal: Journal, newest: HourRecord) -> bool:
    """Whether trading is halted now: as the newest hour was, unless a halt or a resume came after it."""
    if journal.listed(HALT) <= newest.totals.halt_event:
        return newest.halted
    return standing_halt(journal) is not None


def _compared(bot: Bot, newest: HourRecord | None, first: int, current: int) -> Unknown:
    """What the venue executed and the journal does not know, once a sale that a person ordered is settled. Raises Halt where
    only a person can say whose an order is."""
    settle_flatten(bot.context)
    found = unknown_orders(bot.context, newest, first, current, bot.journal.events(ACCOUNT))
    if found.strangers or found.closed:
        require_known(found, standing_halt(bot.journal))
    return found


def _close(
    bot: Bot, hour: int, current: int, newest: HourRecord | None, lost: Sequence[OrderState]
) -> HourRecord:
    """Decide the hour if nobody has, carry the decision out, close the hour. Each step is created if absent. `lost`: orders
    that the venue executed for it and the journal does not know."""
    decision, ours = bot.journal.decision(hour), False
    if decision is None:
        proposal = (
            _adopting(bot, hour, current, newest, lost) if lost else _covered(bot, hour, current, newest)
        )
        reason = proposal.totals.state.risk.halt_reason
        if proposal.halts and reason in get_args(HaltReason):
            announce(bot.journal, hour, reason or "", freeze=bot.freeze_on_halt)
        decision, ours = bot.journal.decide(proposal)
    if not ours:
        _require_sound(bot, decision, newest)
    fills = _carried_out(bot, decision, ours)
    return bot.journal.close_hour(record_of(decision, fills))


def _adopting(
    bot: Bot, hour: int, current: int, newest: HourRecord | None, lost: Sequence[OrderState]
) -> Decision:
    """The decision of an hour whose own was lost. Raises Halt where the bars to close the hour are not there."""
    try:
        return made_after_the_fact(bot.journal, propose(bot, hour, current, newest), lost)
    except DataError as error:
        name = lost[-1].client_order_id
        raise Halt(
            "foreign_order",
            f"order {name} was executed for {iso(hour)}, the journal does not know it, and the hour cannot be closed: {error}. "
            f"Collect the bars (trader collect), then trader resume; or book it as it is: trader adopt {name} --reason ...",
        ) from None


def _covered(bot: Bot, hour: int, current: int, newest: HourRecord | None) -> Decision:
    """What the hour should decide, with an order that the account covers."""
    return covered(
        bot.context, propose(bot, hour, current, newest), lambda: propose(bot, hour, current, newest)
    )


def _carried_out(bot: Bot, decision: Decision, ours: bool) -> list[Fill]:
    """What was executed of the decision. An order that exceeds a limit and was not sent yet never is, and trading halts."""
    hour, untried = decision.close_time, ours and not decision.found_at_venue
    allocation = bot.params(decision.model_id).allocation_usdt if decision.order else Decimal(0)
    why = broken_limit(bot.context, decision, bot.limits, allocation)
    if not why or (not ours and bot.journal.attempt(hour, 1) is not None):
        return carry_out(bot.context, hour, decision, untried=untried)
    announce(
        bot.journal,
        hour,
        "limit",
        freeze=True,
        message=f"the order of {iso(hour)} was not sent: {why}",
    )
    return carry_out(bot.context, hour, decision, forbidden=why)


def _require_sound(bot: Bot, decision: Decision, newest: HourRecord | None) -> None:
    """Raises DataError for a decision of the store that does not follow from the hour before it: whoever wrote it, nothing is
    sent for it."""
    before = newest.totals if newest else None
    if before is None:
        before = Totals(State.fresh(bot.params(decision.model_id).allocation_usdt))
    events = bot.journal.events(ACCOUNT)[: decision.totals.account_event]
    follows = taken_in(before, events, lambda name: is_attempted(bot.journal, name))[0].state.ledger
    wrong = []
    if decision.totals.state.ledger != follows:
        wrong.append(f"it begins with {_held(decision.totals.state.ledger)}, and {_held(follows)} follows")
    if decision.deadline_ms != decision.close_time + DEADLINE_MS:
        wrong.append(f"its deadline is {iso(decision.deadline_ms)}")
    if wrong:
        raise DataError(
            f"{hour_folder(bot.symbol, decision.close_time)}/decision does not follow from the hour before: {'; '.join(wrong)}. "
            f"Somebody else wrote it; nothing is sent for it. See: trader store repair"
        )


def _held(ledger: Ledger) -> str:
    return f"{plain(ledger.cash)} USDT and {plain(ledger.position)} held"


def propose(bot: Bot, hour: int, current: int, newest: HourRecord | None) -> Decision:
    """What `hour` should decide, by what is known at it. Nothing is sent and nothing is written here.

    `newest` is the record of the hour before, None for the first.
    """
    # Gather: the model that serves, bars as the hour knew them, the price one can trade at.
    model, late = _champion(bot, hour)
    params = model.params
    bars = bot.collector.waiting(model.reads_from(hour), current, bot.clock)
    in_time = hour == current and bot.exchange.time_ms() <= hour + DEADLINE_MS
    shut = hour < current and not bars.has(hour + HOUR_MS)
    told = predict(bars, hour, model) if in_time or shut else Prediction(None, MISSED)
    quote = bot.exchange.quote(bot.symbol) if in_time else None
    rules = Rules(params, bot.filters(hour), bot.freeze_on_halt, bot.price_band)

    # Decide: all of it is core.
    close = exact(float(bars.close[bars.row(hour)]))
    seen = Seen(
        hour,
        close,
        quote,
        told.p_up,
        told.no_p_up,
        gap=not bars.has(hour),
        close_before=None if newest is None else newest.close,
        price_after=None if quote is not None else _price_after(bot, bars, hour, current, rules),
    )
    begun, adopted = with_account(bot.journal, _totals(bot, newest, params, bars, hour))
    mark = marked_at(close, doubt_at(begun.state, seen, rules))
    before = with_events(bot.journal, begun, hour, mark)
    made = decide_hour(before.state, seen, rules)

    # Apply: the caller does.
    return Decision(
        symbol=bot.symbol,
        close_time=hour,
        p_up=made.p_up,
        no_p_up=told.no_p_up,
        target=made.target,
        reason=made.reason,
        order=Order(made.order.side, made.order.qty, made.order.expected_price) if made.order else None,
        close=close,
        gap=seen.gap,
        quote=quote,
        equity_before_usdt=made.equity_before,
        totals=replace(before, state=replace(before.state, risk=made.risk, doubt=made.doubt)),
        model_id=model.card.model_id,
        model_late=late,
        bars_hash=bars_hash_of(bars.span(model.reads_from(hour), hour + HOUR_MS)),
        features=told.features,
        enter_edge=params.enter_edge,
        exit_edge=params.exit_edge,
        deadline_ms=hour + DEADLINE_MS,
        filters=rules.filters,
        code_version=bot.version,
        quantiles=told.quantiles,
        adopted=adopted,
    )


def _price_after(bot: Bot, bars: Bars, hour: int, current: int, rules: Rules) -> Decimal | None:
    """The venue's price of an hour that was not met in time, to compare its close with: the open at it, or the book's now
    while that bar is forming; None where the venue was shut, or nobody compares."""
    if rules.band is None:
        return None
    if bars.has(hour + HOUR_MS):
        return exact(float(bars.open[bars.row(hour + HOUR_MS)]))
    return mid(bot.exchange.quote(bot.symbol)) if hour == current else None


def _champion(bot: Bot, hour: int) -> tuple[Model, bool]:
    """The model that serves the hour, and whether its successor is late."""
    champion, begun = serving(champions(bot.journal), hour), deployment(bot.journal)
    if champion is None or begun is None:
        raise ConfigError(f"no model serves {iso(hour)}; train one with: trader retrain")
    model = bot.model(champion.model_id)
    return model, is_late(begun.start_ms, model.params.step_days, champion, hour)


def _totals(bot: Bot, newest: HourRecord | None, params: Params, bars: Bars, hour: int) -> Totals:
    """The totals at the end of the hour before, and the call that is about this hour's close scored by it."""
    if newest is None:
        return Totals(State.fresh(params.allocation_usdt))
    totals, ahead = newest.totals, params.horizon_hours
    called = newest if ahead == 1 else bot.journal.record(hour - ahead * HOUR_MS)
    p_up = None if called is None else called.line.p_up
    if called is None or p_up is None or called.gap or not bars.has(hour):
        return totals
    rose = is_up(float(called.close), float(bars.close[bars.row(hour)]), hurdle_of(params))
    return replace(totals, scored=totals.scored + 1, hits=totals.hits + ((p_up >= 0.5) == rose))


def _sentence(line: HourLine) -> str:
    held = f"position {plain(line.position)}, equity {plain(line.equity)} USDT"
    if line.order_side is None or line.order_qty is None:
        return f"no order ({line.reason}), {held}"
    filled = "not filled" if line.fill_price is None else f"filled at {plain(line.fill_price)}"
    return f"{line.order_side} {plain(line.order_qty)} ({line.reason}) {filled}, {held}"
