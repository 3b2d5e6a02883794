"""The same tick over history: the venue's clock is moved hour by hour, everything else is production."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from trader.app.bot import Bot
from trader.app.retrain import deployment, retrain
from trader.app.retrain_rules import Tuner, retrain_if_due
from trader.app.tick import tick
from trader.core.errors import Retry
from trader.core.lifecycle import BreachRule, DriftRule
from trader.core.params import Params
from trader.core.ports import Clock
from trader.core.types import HOUR_MS, Progress

LONGEST_OUTAGE_MS = 7 * 24 * HOUR_MS
# The schedule trains a quarter past: a bar that is missing then will not come any more.
TRAINING_MS = 15 * 60_000


class MovableClock(Clock, Protocol):
    """A clock that can be set forward."""

    def move_to(self, time_ms: int) -> None:
        """Advance to a time; moving to the past does nothing."""


def replay(
    bot: Bot,
    clock: MovableClock,
    params: Params,
    start: int,
    stop: int,
    progress: Progress | None = None,
    rule: BreachRule | None = None,
    tuner: Tuner | None = None,
    drift: DriftRule | None = None,
) -> None:
    """Trade the hours start <= T < stop (UTC ms) at a venue whose clock stands at or before `start` - gap.

    Retrains on the calendar, `gap` hours before a model serves. While the venue is shut nothing can be done; the
    tick after it closes those hours. With a rule for breaches or drift they are answered as in production; without one
    the hours are the backtest's. Killed and called again, it goes on after the last closed hour.
    """
    if deployment(bot.journal) is None:
        begin(bot, clock, params, start, rule)
    for hour in range(start, stop, HOUR_MS):
        clock.move_to(hour)
        with suppress(Retry):
            tick(bot)
            at_once_or_later(clock, hour, partial(retrain_if_due, bot, hour, rule, tuner, drift))
        if progress:
            progress((hour - start) // HOUR_MS + 1, (stop - start) // HOUR_MS)
    _close_last_hours(bot, clock, start, stop)


def begin(bot: Bot, clock: MovableClock, params: Params, start: int, rule: BreachRule | None) -> None:
    """The first training, `gap` hours before it serves, or as soon as the venue answers. The rule is stored with it, so that
    who looks at these hours later sees the rule that they were traded under."""
    for hour in range(start - params.gap_hours * HOUR_MS, start + LONGEST_OUTAGE_MS, HOUR_MS):
        clock.move_to(hour)
        with suppress(Retry):
            train = partial(
                retrain, bot.journal, bot.collector, bot.forecaster_of, params, start, bot.version
            )
            at_once_or_later(clock, hour, partial(train, own_rule=rule, now_ms=hour))
            return
    raise Retry("the venue stayed shut at the first hour; start later")


def at_once_or_later(clock: MovableClock, hour: int, train: Callable[[], object]) -> None:
    """Train at an hour (UTC ms); where a bar of it is missing, once more when the schedule does. Raises Retry as that does."""
    try:
        train()
    except Retry:
        clock.move_to(hour + TRAINING_MS)
        train()


def _close_last_hours(bot: Bot, clock: MovableClock, start: int, stop: int) -> None:
    """Hours at the end during which the venue was shut are closed by the first tick after it opens again."""
    for hour in range(stop, stop + LONGEST_OUTAGE_MS, HOUR_MS):
        newest = bot.journal.newest_record(stop - HOUR_MS, start)
        if newest is not None and newest.close_time == stop - HOUR_MS:
            return
        clock.move_to(hour)
        with suppress(Retry):
            tick(bot, before=stop)
    raise Retry("the venue stayed shut after the last hour; the hours before it are in the journal")
