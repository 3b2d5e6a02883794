"""Two days of a bot's life, made the same way in any store."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from tests.rig import quick_params
from trader import wiring
from trader.adapters.clocks import SimClock
from trader.app.halts import announce, resume
from trader.app.replay import replay
from trader.app.retrain import retrain
from trader.core.params import params_of
from trader.core.types import HOUR_MS, parse_hour

PARAMS = params_of(quick_params(), "tests")
START = parse_hour("2021-03-06")
HOURS = 48


def live(settings: Any, url: str, hours: int = HOURS) -> None:
    """Trade from START on, with a halt, a resume and a second model in between."""
    with (
        closing(SimClock(url)) as clock,
        wiring.open_bot(settings, clock, durable=False, keep_bars=False) as bot,
    ):
        cut = START + min(hours, 20) * HOUR_MS
        replay(bot, clock, PARAMS, START, cut)
        if hours > 30:
            announce(bot.journal, cut, "person", freeze=False, by="person", words="a look")
            replay(bot, clock, PARAMS, cut, cut + 2 * HOUR_MS)
            resume(bot.journal, cut + 2 * HOUR_MS, "seen")
            retrain(bot.journal, bot.collector, bot.forecaster, PARAMS, cut + 2 * HOUR_MS, "tests")
            replay(bot, clock, PARAMS, cut + 2 * HOUR_MS, START + hours * HOUR_MS)
