"""What an hour should decide, by what is known at it: gathered here, decided by the core, written by nobody yet."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from trader.app.adoption import with_account
from trader.app.book_journal import halted_with_book, with_transfer_booked
from trader.app.bot import Bot
from trader.app.halts import with_events
from trader.app.retrain import champions, deployment
from trader.core.costs import exact
from trader.core.errors import ConfigError, OtherSymbol
from trader.core.events import DeploymentEvent
from trader.core.hours import MISSED, HourInputs, Rules, decide_hour, doubt_at
from trader.core.labels import hurdle_of, is_up
from trader.core.lifecycle import Champion, is_late, serving
from trader.core.params import Params
from trader.core.prediction import LoadedModel, Prediction, bars_hash_of, predict
from trader.core.records import Decision, HourRecord, Order, Totals
from trader.core.sanity import marked_at, mid
from trader.core.types import HOUR_MS, Bars, iso

DEADLINE_MS = 10 * 60_000


def propose(bot: Bot, hour: int, current: int, newest: HourRecord | None) -> Decision:
    """What `hour` should decide, by what is known at it. Nothing is sent and nothing is written here.

    `newest` is the record of the hour before, None for the first.
    """
    # Gather: the model that serves, bars as the hour knew them, the price one can trade at.
    champion, deployed = _champion(bot, hour)
    model_id, model = champion.model_id, _model(bot, champion.model_id, hour, current)
    params = bot.params(model_id)  # after the model, which holds them already
    late = is_late(deployed.start_ms, params.step_days, champion, hour)
    reads_from = hour if model is None else model.reads_from(hour)
    bars = bot.collector.waiting(reads_from, current, bot.clock)
    in_time = hour == current and bot.exchange.time_ms() <= hour + DEADLINE_MS
    shut = hour < current and not bars.has(hour + HOUR_MS)
    told = predict(bars, hour, model) if model and (in_time or shut) else Prediction(None, MISSED)
    quote = bot.quote() if in_time else None
    rules = Rules(params, bot.filters(hour), bot.freeze_on_halt, bot.price_band)

    # Decide: all of it is core.
    close = exact(float(bars.close[bars.row(hour)]))
    book_record = None if bot.book is None else bot.book.book_record(hour, current)
    seen = HourInputs(
        hour,
        close,
        quote,
        told.p_up,
        told.no_p_up,
        gap=not bars.has(hour),
        close_before=None if newest is None else newest.close,
        price_after=None if quote is not None else _price_after(bot, bars, hour, current, rules),
        most_usdt=None if book_record is None else book_record.hour.most_usdt(bot.symbol),
    )
    begun, adopted = with_account(bot.journal, _totals(bot, newest, params, bars, hour))
    mark = marked_at(close, doubt_at(begun.state, seen, rules))
    given = Decimal(0) if book_record is None else book_record.hour.transfer(bot.symbol)
    before = with_events(bot.journal, with_transfer_booked(begun, given, mark), hour, mark)
    if book_record is not None and book_record.hour.halted:
        before = halted_with_book(before, hour, freeze=book_record.hour.risk.frozen)
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
        model_id=model_id,
        model_late=late,
        bars_hash=bars_hash_of(bars.span(reads_from, hour + HOUR_MS)),
        features=told.features,
        enter_edge=params.enter_edge,
        exit_edge=params.exit_edge,
        deadline_ms=hour + DEADLINE_MS,
        filters=rules.filters,
        code_version=bot.version,
        quantiles=told.quantiles,
        adopted=adopted,
        book="" if book_record is None else book_record.digest,
        transfer_usdt=given,
    )


def _price_after(bot: Bot, bars: Bars, hour: int, current: int, rules: Rules) -> Decimal | None:
    """The venue's price of an hour that was not met in time, to compare its close with: the open at it, or the book's now
    while that bar is forming; None where the venue was shut, or nobody compares."""
    if rules.band is None:
        return None
    if bars.has(hour + HOUR_MS):
        return exact(float(bars.open[bars.row(hour + HOUR_MS)]))
    return mid(bot.exchange.quote(bot.symbol)) if hour == current else None


def _champion(bot: Bot, hour: int) -> tuple[Champion, DeploymentEvent]:
    """The model that serves the hour, and the deployment whose calendar it follows."""
    published, begun = champions(bot.journal), deployment(bot.journal)
    # An hour whose own champion is lost is missed by the rules of the first that is left.
    champion = serving(published, hour) or min(published, key=lambda later: later.valid_from, default=None)
    if champion is None or begun is None:
        raise ConfigError(f"no model serves {iso(hour)}; train one with: trader retrain")
    return champion, begun


def _require_serving(bot: Bot, hour: int) -> None:
    if serving(champions(bot.journal), hour) is None:
        raise ConfigError(f"no model serves {iso(hour)}; train one with: trader retrain")


def _model(bot: Bot, model_id: str, hour: int, current: int) -> LoadedModel | None:
    """The model, ready to predict. None where it is lost, or cannot be read here, and the hour is too late to be traded: then it
    is missed, and holds up no later one. Raises DataError or ConfigError while the hour could still be traded."""
    try:
        _require_serving(bot, hour)
        return bot.model(model_id)
    except OtherSymbol:
        raise
    except ConfigError:
        if hour == current and bot.exchange.time_ms() <= hour + DEADLINE_MS:
            raise
        return None


def _totals(bot: Bot, newest: HourRecord | None, params: Params, bars: Bars, hour: int) -> Totals:
    """The totals at the end of the hour before, and the call that is about this hour's close scored by it."""
    if newest is None:
        return bot.fresh(params)
    totals, ahead = newest.totals, params.horizon_hours
    called = newest if ahead == 1 else bot.journal.record(hour - ahead * HOUR_MS)
    p_up = None if called is None else called.line.p_up
    if called is None or p_up is None or called.gap or not bars.has(hour):
        return totals
    rose = is_up(float(called.close), float(bars.close[bars.row(hour)]), hurdle_of(params))
    return replace(totals, scored=totals.scored + 1, hits=totals.hits + ((p_up >= 0.5) == rose))
