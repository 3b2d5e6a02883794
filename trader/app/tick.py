"""One hour, exactly once: gather, decide, apply. Safe to run twice, at once, and after any crash."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal

from trader.app.codec_events import CHAMPION, DEPLOYMENT
from trader.app.collect import Collector
from trader.app.fee_stock import shortage
from trader.app.halts import announce, with_events
from trader.app.journal import Journal
from trader.app.orders import ExecutionContext, carry_out, refuse_another_life
from trader.app.prediction import Model, Prediction, bars_hash_of, predict
from trader.app.retrain import champions, deployment, load_model
from trader.core.costs import exact
from trader.core.errors import ConfigError, DataError, Halt
from trader.core.hours import MISSED, PRICE_BAND, HourLine, Rules, Seen, State, decide_hour
from trader.core.labels import hurdle_of, is_up
from trader.core.lifecycle import is_late, serving
from trader.core.params import Params, params_of
from trader.core.ports import Clock, Exchange, ForecasterOf
from trader.core.records import Decision, HourRecord, Order, Totals, record_of
from trader.core.sanity import out_of_band
from trader.core.types import DAY_MS, HOUR_MS, Bars, Filters, floor_hour, iso, plain

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
    price_band: Decimal | None = None  # a share; None is off
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
    with bot.journal.glance(DEPLOYMENT, CHAMPION):
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
        return Ticked("done", hour, [], f"{bot.symbol} {iso(hour)}: already done", newest.halted)
    lines = []
    try:
        for todo in range(newest.close_time + HOUR_MS if newest else begun.start_ms, hour + HOUR_MS, HOUR_MS):
            newest = _close(bot, todo, floor_hour(now), newest)
            lines.append(newest.line)
    except Halt as halt:
        announce(bot.journal, now, halt.reason, freeze=True, message=str(halt))
        raise
    halted = newest is not None and newest.halted
    said = f"{bot.symbol} {iso(hour)}: {_sentence(lines[-1])}"
    if newest is not None and (short := shortage(bot.exchange, newest.fills)):
        said = f"{said}. {short}"
    return Ticked("traded", hour, lines, said, halted)


def _close(bot: Bot, hour: int, current: int, newest: HourRecord | None) -> HourRecord:
    """Decide the hour if nobody has, carry the decision out, close the hour. Each step is created if absent."""
    ours = False
    decision = bot.journal.decision(hour)
    if decision is None:
        proposal = propose(bot, hour, current, newest)
        _require_cover(bot, hour, proposal.order)
        if proposal.halts:
            reason = proposal.totals.state.risk.halt_reason or ""
            announce(bot.journal, hour, reason, freeze=bot.freeze_on_halt)
        decision, ours = bot.journal.decide(proposal)
    fills = carry_out(bot.context, hour, decision, untried=ours)
    return bot.journal.close_hour(record_of(decision, fills))


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
    rules = Rules(params, bot.filters(hour), bot.freeze_on_halt)

    # Decide: all of it is core.
    close = exact(float(bars.close[bars.row(hour)]))
    before = with_events(bot.journal, _totals(bot, newest, params, bars, hour), hour, close)
    refused = PRICE_BAND if out_of_band(close, quote, bot.price_band) else ""
    seen = Seen(hour, close, quote, told.p_up, told.no_p_up, refused)
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
        gap=not bars.has(hour),
        quote=quote,
        equity_before_usdt=made.equity_before,
        totals=replace(before, state=replace(before.state, risk=made.risk)),
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
    )


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


def _require_cover(bot: Bot, hour: int, order: Order | None) -> None:
    """The bot trades its own allocation inside an account; the account only has to cover the order.

    Another process of this bot may have traded this hour meanwhile. Its decision stands before its order leaves, so a
    shortage counts only while the hour is still undecided after it was seen.
    """
    if order is None:
        return
    base, quote = bot.exchange.assets(bot.symbol)
    free = bot.exchange.balances()
    asset, needed = (quote, order.qty * order.expected_price) if order.side == "BUY" else (base, order.qty)
    if free.get(asset, Decimal(0)) < needed and bot.journal.decision(hour) is None:
        refuse_another_life(bot.context, hour)  # the better reason, where there is one
        raise Halt(
            "reconcile",
            f"the journal says that {plain(needed)} {asset} can be spent, the account has "
            f"{plain(free.get(asset, Decimal(0)))} free. Find what moved it before resuming",
        )


def _sentence(line: HourLine) -> str:
    held = f"position {plain(line.position)}, equity {plain(line.equity)} USDT"
    if line.order_side is None or line.order_qty is None:
        return f"no order ({line.reason}), {held}"
    filled = "not filled" if line.fill_price is None else f"filled at {plain(line.fill_price)}"
    return f"{line.order_side} {plain(line.order_qty)} ({line.reason}) {filled}, {held}"
