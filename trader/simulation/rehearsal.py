"""Rehearsals on the embedded exchange: which market, which settings, the replay of hours and its summary."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Any

from trader import terminal, wiring
from trader.adapters.clocks import SimClock
from trader.app.bot import Bot
from trader.app.replay import replay
from trader.config import Settings, load_settings
from trader.core.hours import HourLine, Rules, line_text
from trader.core.jumps import require_no_jump
from trader.core.labels import direction
from trader.core.metrics import hit_rate
from trader.core.params import Params
from trader.core.summary import summarise
from trader.core.trades import trades_of
from trader.core.types import HOUR_MS, Bars, iso
from trader.core.windows import refit_of, require_history, require_span
from trader.simulation.markets import synthetic_market


def require_replayable(
    market: Bars, first: int, last: int, params: Params, source: object, *, young: bool = False
) -> None:
    """Raises ConfigError or DataError, with the numbers and the way out, unless these hours can be replayed. young: the bars may
    begin within the first training."""
    require_span(market, first, last, str(source))
    window = refit_of(params, 0, first)
    if not young:
        require_history(market, window, params, str(source))
    require_no_jump(market.span(window.train_from, last + HOUR_MS), str(source))


def embedded_settings(
    venue: dict[str, str], symbol: str, store: str | Path, bars: Path | None = None
) -> Settings:
    """Settings of a bot at an embedded exchange, from its ready line."""
    return load_settings(
        bars=bars,
        venue="embedded",
        venue_url=venue["url"],
        data_url=venue["url"],
        api_key=venue["api_key"],
        api_secret=venue["api_secret"],
        symbol=symbol,
        store=store,
    )


def replay_hours(
    settings: Settings, market: Bars, rules: Rules, first: int, last: int, quiet: bool
) -> tuple[dict[str, Any], list[str]]:
    """Replay the hours and return the summary with the lines as the hours file has them."""
    clock_at = closing(SimClock(settings.exchange_url))
    with clock_at as clock, wiring.open_bot(settings, clock, durable=False, keep_bars=False) as bot:
        began = time.perf_counter()
        with terminal.progress("hours", quiet=quiet) as update:
            replay(bot, clock, rules.params, first, last, update)
        seconds = time.perf_counter() - began
        summary, lines = summary_of(bot, market, rules, first, last, seconds)
    summary["ticks_per_second"] = round(len(lines) / seconds, 1)
    return summary, [line_text(line) for line in lines]


def summary_of(
    bot: Bot,
    market: Bars,
    rules: Rules,
    first: int,
    last: int,
    seconds: float,
    known_until: int | None = None,
) -> tuple[dict[str, Any], list[HourLine]]:
    """The summary of the journal's hours first <= T < last, and their lines. known_until: predictions are scored by what
    was known at this hour (UTC ms), as the bot's own totals are; without it by the whole market, as a backtest's are."""
    records = list(bot.journal.records(first, last))
    lines = [record.line for record in records]
    ledger, halted_at = records[-1].ledger, records[-1].risk.halted_at
    summary = summarise(
        lines,
        market,
        rules,
        orders=ledger.orders,
        fills=ledger.fills,
        trades=trades_of(
            ((record.close_time, fill) for record in records for fill in record.fills),
            rules.filters.min_notional,
        ),
        halted_at=None if halted_at is None else iso(halted_at),
        seconds=seconds,
        known_until=known_until,
    )
    summary["filters"] = rules.filters.as_json()
    return summary, lines


def true_hit_rate(seed: int, first: int, last: int) -> float:
    """How often an oracle that knows the synthetic market's true P(up) is right, over first <= T < last."""
    market = synthetic_market(seed)
    rows = slice(market.bars.row(first), market.bars.row(last))
    return hit_rate(market.p_up[rows], direction(market.bars, 1)[rows]) or 0.0
