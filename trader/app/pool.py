"""The training of a pooled book: one fit on the rows of all symbols, one model, and a champion event for each symbol that the
fit saw. Safe to repeat and to kill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from trader.app.bot import Bot
from trader.app.certificates import Certifier
from trader.app.collect import Collector
from trader.app.history import collected
from trader.app.replay import LONGEST_OUTAGE_MS, MovableClock, at_once_or_later
from trader.app.retrain import (
    ASKED,
    CALENDAR,
    FIRST,
    TrainingCause,
    champions,
    deployment,
    keep_model,
    load_card,
    publish,
    require_certified,
    require_tradable,
)
from trader.app.retrain_rules import require_not_refused, wanted
from trader.core.errors import DataError, Retry
from trader.core.forecast import Traits
from trader.core.jumps import require_no_jump
from trader.core.lifecycle import BreachRule, DriftRule
from trader.core.model import ModelCard, card_for
from trader.core.params import Params
from trader.core.pooled_rows import awaits, learns_from, require_pools
from trader.core.training import Training, training_of
from trader.core.types import HOUR_MS, Bars, iso
from trader.core.windows import Refit, refit_of, require_history

# The cause of a symbol's new model by its name; a symbol that is not there has the training's own cause.
CausesBySymbol = Mapping[str, TrainingCause]
# Who examines a symbol's new model, by its name; nobody where there is none.
Certifiers = Mapping[str, Certifier | None]
NO_CERTIFIERS: Certifiers = {}


def retrain_pool(
    bots: Mapping[str, Bot],
    params: Params,
    serve_from: int,
    cause: TrainingCause = ASKED,
    causes: CausesBySymbol | None = None,
    certifiers: Certifiers = NO_CERTIFIERS,
) -> ModelCard:
    """Fit once for the hours from `serve_from` (UTC ms) on, by what was known `gap_hours` before it, and publish the model for
    every symbol of the fit. Where there are certifiers, by symbol, the model must pass the certificate of every symbol before it
    is named champion of any.

    Killed between two symbols, the next training makes the same model and names it where it is not named yet. Raises ConfigError
    for a family that does not pool, DataError where no symbol's history reaches over the window or a symbol is not seen, Retry
    while a symbol's newest bar is missing.
    """
    require_tradable(params)
    # The list of symbols may have changed since the parameters were last trained with.
    params = params.model_copy(update={"train_symbols": tuple(sorted(bots))})
    one = next(iter(bots.values()))
    forecaster = one.forecaster_of(params.model.family)
    require_pools(params.model.family, forecaster.traits)
    for bot in bots.values():
        bot.journal.require_whole()
    collectors = {symbol: bot.collector for symbol, bot in bots.items()}
    window, training = pool_training(collectors, params, serve_from, forecaster.traits, one.clock.now_ms())
    _require_begun_or_seen(bots, training.panel.symbols)
    model = forecaster.fit(
        training.panel, training.y, params,
        horizon=params.horizon_hours, until=training.until, seed=params.seed,
    )  # fmt: skip  # what is learnt from, then by which rules
    begun = any(deployment(bot.journal) for bot in bots.values())
    card = card_for(
        model, forecaster, params, window, training, one.version, cause.message if begun else FIRST.message
    )
    own = {
        symbol: (causes or {}).get(symbol, cause) if deployment(bots[symbol].journal) else FIRST
        for symbol in card.symbols
    }
    for symbol in card.symbols:
        keep_model(bots[symbol].journal, card, model)
    for symbol in card.symbols:
        if certifier := certifiers.get(symbol):
            require_certified(bots[symbol].journal, card, certifier, own[symbol])
    for symbol in card.symbols:
        publish(bots[symbol].journal, card, own[symbol], bots[symbol].collector.served, None)
    return card


def retrain_pool_if_due(
    bots: Mapping[str, Bot],
    now_ms: int,
    rule: BreachRule | None = None,
    drift: DriftRule | None = None,
    certifiers: Certifiers = NO_CERTIFIERS,
) -> ModelCard | None:
    """Train for the calendar's next refit, or answer the breaches of single symbols with one fit for all; None if nothing is
    due."""
    asked = {symbol: found for symbol, bot in bots.items() if (found := wanted(bot, now_ms, rule, drift))}
    for symbol, (_, hour, answered) in asked.items():
        if certifiers.get(symbol):
            require_not_refused(bots[symbol], now_ms, hour, answered)
    by_calendar = [(params, hour) for params, hour, answered in asked.values() if answered is None]
    if by_calendar:
        params, hour = max(by_calendar, key=lambda it: it[1])
        late = [it for it, (_, at, answered) in asked.items() if answered is None and at == hour]
        if _is_missing(bots, late, hour):
            return retrain_pool(bots, params, hour, CALENDAR, certifiers=certifiers)
    causes: dict[str, TrainingCause] = {}
    for symbol, (params, hour, answered) in asked.items():
        if answered is not None:
            message = f"breach {answered.number} of {symbol}: {answered.content.reason}"
            causes[symbol] = TrainingCause("breach", message, answered.number)
            chosen, at = params, hour
    if not causes:
        return None
    together = TrainingCause("breach", "; ".join(it.message for it in causes.values()))
    return retrain_pool(bots, chosen, at, together, causes, certifiers)


def begin_pool(bots: Mapping[str, Bot], clock: MovableClock, params: Params, start: int) -> None:
    """The first training of a replay, `gap_hours` before it serves, or as soon as the venue answers."""
    for hour in range(start - params.gap_hours * HOUR_MS, start + LONGEST_OUTAGE_MS, HOUR_MS):
        clock.move_to(hour)
        with suppress(Retry):
            at_once_or_later(clock, hour, partial(retrain_pool, bots, params, start))
            return
    raise Retry("a symbol's venue stayed shut at the first hour; start later")


def _is_missing(bots: Mapping[str, Bot], late: list[str], hour: int) -> bool:
    """Whether one of these symbols still waits for the model of an hour (UTC ms): one that was delisted before the fit is no part
    of it, and waits for nothing."""
    for bot in bots.values():
        made = [it.model_id for it in champions(bot.journal) if it.valid_from == hour]
        if made:
            return any(it in load_card(bot.journal, made[-1]).symbols for it in late)
    return True


def pool_training(
    collectors: Mapping[str, Collector], params: Params, serve_from: int, traits: Traits, now_ms: int
) -> tuple[Refit, Training]:
    """What one fit on all of these symbols learns from for the hours from `serve_from` (UTC ms) on, and its window. Raises as
    `retrain_pool`."""
    params = params.model_copy(update={"train_symbols": tuple(sorted(collectors))})
    window = refit_of(params, 0, serve_from)
    first, *others = _pool_bars(collectors, params, window, traits, now_ms)
    return window, training_of(first, window, params, traits, others)


def require_seen(
    collectors: Mapping[str, Collector],
    params: Params,
    serve_from: int,
    traits: Traits,
    now_ms: int,
    added: Sequence[str],
) -> None:
    """Raises DataError where the next fit on all symbols would not see one that is to be added, and as `retrain_pool`."""
    window, training = pool_training(collectors, params, serve_from, traits, now_ms)
    if unseen := [it for it in added if it not in training.panel.symbols]:
        raise DataError(
            f"{', '.join(unseen)}: a fit on all symbols would not see it, for it has no bars between {iso(window.train_from)} "
            f"and {iso(window.train_until)}. The list of symbols is not changed; add it later, or lengthen look_back_days"
        )


def _pool_bars(
    collectors: Mapping[str, Collector], params: Params, window: Refit, traits: Traits, now_ms: int
) -> list[Bars]:
    """Of every symbol, in the order of the collectors. Raises DataError where none reaches over the window or a price jumps,
    Retry for a newest bar that is still to come."""
    found = [collected(it, params, window, traits) for it in collectors.values()]
    reach = window.train_until + params.horizon_hours * HOUR_MS
    there = [it for it in found if learns_from(it, window, reach)]
    if not there:
        raise DataError(
            f"{', '.join(collectors)}: there are no bars up to {iso(window.train_until)}; begin later"
        )
    oldest = min(there, key=lambda it: it.first)
    require_history(oldest, window, params, f"the history of {oldest.symbol}")
    for it in there:
        known = it.span(window.train_from, reach + HOUR_MS)
        require_no_jump(known, f"the history of {it.symbol}", but_for_prints=True)
    coming = [it for it in there if awaits(it, reach, now_ms)]
    if coming:
        late = ", ".join(f"{it.symbol} (newest {iso(it.last)})" for it in coming)
        raise Retry(
            f"the training of all symbols for {iso(window.serve_from)} needs the bar of {iso(reach)} of {late}; a symbol without "
            "bars for a day counts as no longer traded"
        )
    return [*there, *(it for it in found if not learns_from(it, window, reach))]


def _require_begun_or_seen(bots: Mapping[str, Bot], symbols: tuple[str, ...]) -> None:
    """Raises DataError where a symbol would begin without a model."""
    unseen = [it for it, bot in bots.items() if it not in symbols and deployment(bot.journal) is None]
    if unseen:
        raise DataError(
            f"{', '.join(unseen)}: the first training on all symbols finds no bars there; leave such a symbol out of the book, "
            "or begin later"
        )
