"""`trader forecast`: what the serving model says of the hours ahead."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from trader import terminal
from trader.commands.common import AsJson, BarsDir, StoreDir, Symbol
from trader.config import load_settings
from trader.core.model_params import LONGEST_FORECAST_HOURS
from trader.core.types import iso

if TYPE_CHECKING:
    from trader.core.fan import FanForecast

Hours = Annotated[
    int | None,
    typer.Option(
        min=1, max=LONGEST_FORECAST_HOURS, help="hours ahead; default: 24, or as far as the model reaches"
    ),
]
_LEVELS = ("2.5 %", "25 %", "median", "75 %", "97.5 %")
_PLACES = (0, 2, 3, 4, 6)  # of these among LEVELS


def forecast(
    hours: Hours = None,
    symbol: Symbol = None,
    store: StoreDir = None,
    bars: BarsDir = None,
    as_json: AsJson = False,
) -> None:
    """The serving model's distribution of the closes ahead, from the newest closed hour on: quantiles as prices, P(up), a fan.

    Nothing is decided by it and nothing is written. It needs a family that gives a distribution. Right after the first training
    the new model forecasts, though it does not trade yet.
    Example: trader forecast --hours 24
    """
    from trader import wiring
    from trader.app.forecast import newest_forecast

    settings = load_settings(symbol=symbol, store=store, bars=bars)
    with wiring.open_bot(settings, say=terminal.say) as bot:
        fan = newest_forecast(bot, hours)
    if as_json:
        terminal.emit(fan.as_json())
        return
    _show(fan)


def _show(fan: FanForecast) -> None:
    from trader.app.fan_text import PLAIN, SHADES, fan_lines, price_text, shown_steps

    rows = [
        (
            f"{h}",
            iso(fan.time(h))[5:16].replace("T", " "),
            *(price_text(fan.prices[h - 1, place]) for place in _PLACES),
            f"{fan.p_up[h - 1]:.4f}",
        )
        for h in shown_steps(fan.hours)
    ]
    late = " (its successor is late)" if fan.late else ""
    title = f"{fan.symbol} by {fan.family}, from {terminal.minute(iso(fan.hour))} at {price_text(fan.close)}"
    terminal.show(terminal.table(title, rows, ("h", "UTC", *_LEVELS, "P(up)")), "")
    terminal.show(*fan_lines(fan, terminal.WIDTH, SHADES if _is_drawable("".join(SHADES)) else PLAIN))
    trades = f"its P(up) of {fan.horizon_hours} h is what the bot trades by"
    if fan.serves_from is not None:
        trades = f"it does not trade yet: it serves from {terminal.minute(iso(fan.serves_from))} on"
    terminal.show("")
    terminal.show(
        terminal.paragraph(
            f"Shaded: the intervals of 50, 80 and 95 %, darkest first; the line is the median. Model {fan.model_id}{late}; "
            f"{trades}. --json has every hour and level."
        )
    )


def _is_drawable(marks: str) -> bool:
    """Whether standard output can say these characters."""
    try:
        marks.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
