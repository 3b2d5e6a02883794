"""A live bot on an embedded exchange whose bars come out of a database that somebody fills hour by hour."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.rig import quick_params
from tests.support.rig_bars import made_bars
from tests.support.served import exchange_at, settings_at
from trader import wiring
from trader.adapters.clocks import SimClock
from trader.adapters.files import read_bars
from trader.app.retrain import retrain
from trader.app.store_check import check
from trader.app.tick import tick
from trader.core.errors import Retry
from trader.core.hours import line_text
from trader.core.params import params_of
from trader.core.types import HOUR_MS, Bars, parse_hour

START, HOURS, LATE_HOUR = parse_hour("2021-03-05T04:00"), 8, 3
PARAMS = params_of(quick_params(), "tests")

# Adds bars to the database.
Fill = Callable[[Bars], None]


def bars_file(folder: Path) -> Path:
    """Bars of seven weeks."""
    folder.mkdir(exist_ok=True)
    return made_bars(folder, "2021-01-20", "2021-03-06")


def lines_by_rest(folder: Path, file: Path) -> list[str]:
    """The hours of a bot whose bars come from the exchange itself, as always."""
    return _lines(folder, file, None, None)


def lines_by_source(folder: Path, file: Path, url: str, fill: Fill) -> list[str]:
    """The hours of a bot whose bars come from `url`, which `fill` fills as they close; one bar comes late, and the tick before it
    ends with Retry."""
    return _lines(folder, file, url, fill)


def _lines(folder: Path, file: Path, url: str | None, fill: Fill | None) -> list[str]:
    bars = read_bars(file)
    with exchange_at(file, START - HOUR_MS, PARAMS) as served:
        more = {} if url is None else {"data_url": url}
        settings = settings_at(served.url, store=folder / "store", bars=folder / "bars", **more)
        with closing(SimClock(served.url)) as clock, wiring.open_bot(settings, clock, durable=False) as bot:
            if fill:
                fill(bars.until(START - HOUR_MS))
            retrain(bot.journal, bot.collector, bot.forecaster_of, PARAMS, START, "tests")
            for hour in range(START, START + HOURS * HOUR_MS, HOUR_MS):
                clock.move_to(hour)
                if fill and hour == START + LATE_HOUR * HOUR_MS:
                    with pytest.raises(
                        Retry, match=r"the bar of 2021-03-05T07:00:00Z is not there after 45 s; newest is"
                    ):
                        tick(bot)
                if fill:
                    fill(bars.span(hour, hour + HOUR_MS))
                tick(bot)
            assert check(bot.journal).problems == []
            return [line_text(record.line) for record in bot.journal.records()]
