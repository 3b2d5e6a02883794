"""`trader demo`: the main job on the embedded exchange, told as it goes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from trader import terminal
from trader.adapters.clocks import SimClock
from trader.app.collect import collect
from trader.app.replay import replay
from trader.app.retrain_rules import Tuner
from trader.app.tick import Bot
from trader.core.bars import gaps
from trader.core.errors import ConfigError
from trader.core.hours import Rules
from trader.core.params import Params
from trader.core.types import DAY_MS, HOUR_MS, Bars, floor_hour, iso

COLLECTED_DAYS = 730
TRADED_DAYS = 14


@dataclass(frozen=True, slots=True)
class Span:
    """What the demo collects and trades, close times in UTC ms: collected_from <= traded_from < traded_until."""

    collected_from: int
    traded_from: int
    traded_until: int


def span_of(market: Bars) -> Span:
    """The last two weeks of a market, and the two years before them as far as it goes. Raises ConfigError."""
    until = floor_hour(market.last)
    until -= until % DAY_MS
    begin = until - TRADED_DAYS * DAY_MS
    first = max(market.first, begin - COLLECTED_DAYS * DAY_MS)
    if begin - first < 400 * DAY_MS:
        raise ConfigError(
            f"the demo needs 414 days of bars; {market.symbol} has {(market.last - market.first) // DAY_MS}. "
            f"Give a longer file"
        )
    return Span(first, begin, until)


def clean(folder: Path) -> None:
    """Remove an earlier demo's journal; a folder that is not a demo's is refused."""
    marker = folder / ".demo"
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        raise ConfigError(f"{folder} is not an earlier demo's folder; choose another with --folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    marker.touch()


def act(
    bot: Bot, clock: SimClock, params: Params, span: Span, tuner: Tuner, market_name: str, quiet: bool
) -> Params:
    """Collect, search, train, trade. Returns the chosen parameters; the bot's journal holds every hour."""
    say = (lambda _: None) if quiet else terminal.say
    say(f"1/4  collecting bars over HTTP ({market_name})")
    known_until = span.traded_from - params.gap_hours * HOUR_MS
    bars = collect(bot.collector, span.collected_from, known_until + HOUR_MS)
    say(f"     {len(bars):,} hours, {iso(bars.first)} to {iso(bars.last)}, {len(gaps(bars))} gaps")
    say("2/4  searching parameters on the most recent half year, costs included")
    chosen = tuner(bot, params, span.traded_from)
    say(f"3/4  training the champion, 4/4  trading {TRADED_DAYS} days hour by hour, every order over HTTP")
    with terminal.progress("hours", quiet) as update:
        replay(bot, clock, chosen, span.traded_from, span.traded_until, update)
    return chosen


def rules_of(bot: Bot, params: Params) -> Rules:
    """The rules that the bot traded by."""
    return Rules(params, bot.exchange.filters(bot.symbol))
