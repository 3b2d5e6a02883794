"""`trader demo`: the main job on the embedded exchange, told as it goes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from trader import terminal, wiring
from trader.adapters.clocks import SimClock
from trader.app.collect import collect
from trader.app.replay import replay
from trader.app.retrain_rules import Tuner
from trader.app.tick import Bot
from trader.config import Settings
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
    settings: Settings, params: Params, span: Span, tuner: Tuner, market_name: str, quiet: bool
) -> tuple[Bot, Params]:
    """Collect, search, train, trade. Returns the bot, whose journal holds every hour, and the chosen parameters."""
    say = (lambda _: None) if quiet else terminal.say
    clock = SimClock(settings.exchange_url)
    bot = wiring.make_bot(settings, clock, rehearsal=True)
    say(f"1/4  collecting bars over HTTP ({market_name})")
    with terminal.progress("bars", quiet) as update:
        wanted = (span.traded_from - span.collected_from) // HOUR_MS
        collector = wiring.make_collector(settings, clock, lambda done: update(done, wanted))
        bars = collect(
            collector, span.collected_from, span.traded_from - params.gap_hours * HOUR_MS + HOUR_MS
        )
    bot.collector = collector
    say(f"     {len(bars):,} hours, {iso(bars.first)} to {iso(bars.last)}, {len(gaps(bars))} gaps")
    say("2/4  searching parameters on the most recent half year, costs included")
    chosen = tuner(bot, params, span.traded_from)
    say(f"3/4  training the champion, 4/4  trading {TRADED_DAYS} days hour by hour, every order over HTTP")
    with terminal.progress("hours", quiet) as update:
        replay(bot, clock, chosen, span.traded_from, span.traded_until, update)
    return bot, chosen


def rules_of(bot: Bot, params: Params) -> Rules:
    """The rules that the bot traded by."""
    return Rules(params, bot.exchange.filters(bot.symbol))
