"""`backtest predict`: every series of a selection, forecast by the models that it kept."""

from __future__ import annotations

import csv
import io
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backtest.commands.inputs import s3_access, writable
from backtest.commands.options import AsJson
from trader import terminal
from trader.core.errors import DataError
from trader.core.model_params import LONGEST_FORECAST_HOURS
from trader.core.text import plural
from trader.core.types import iso

if TYPE_CHECKING:
    from backtest.select.predict import SeriesForecast

Out = Annotated[Path, typer.Option(help="folder of a selection (backtest select)")]
Hours = Annotated[
    int,
    typer.Option(min=1, max=LONGEST_FORECAST_HOURS, help="steps ahead: hours, or days of a selection at 1d"),
]
Csv = Annotated[Path | None, typer.Option("--csv", help="write a line per series and step to this file")]
_MEDIAN, _LOW, _HIGH = 3, 0, 6


def predict(out: Out, hours: Hours = 24, csv_out: Csv = None, as_json: AsJson = False) -> None:
    """Forecast every series of a selection from its newest close on, by the models that the selection kept. Nothing is fitted.

    The bars are read again from where the selection read them, so collect them first.
    Example: backtest predict --out selected --hours 24
    """
    from backtest.select.predict import HEAD, predict_all
    from trader.adapters.bar_folder import read_place
    from trader.forecasters.registry import forecaster_of

    writable(csv_out)
    found = predict_all(out, partial(read_place, access=s3_access), forecaster_of, hours)
    if csv_out:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([HEAD, *(row for it in found for row in it.rows())])
        terminal.write_lines(csv_out, iter(text.getvalue().splitlines()))
    failed = [it for it in found if it.reason]
    if len(failed) == len(found):
        raise DataError(
            f"none of {plural(len(found), 'series', 'series')} can be forecast; {failed[0].reason}"
        )
    if as_json:
        terminal.emit([it.as_json() for it in found])
        return
    _show(found)
    for it in failed[:5]:
        terminal.say(f"{it.symbol}: {it.reason}")
    if len(failed) > 5:
        terminal.say(f"and {len(failed) - 5} more have no forecast; see --json")


def _show(found: list[SeriesForecast]) -> None:
    rows = [_row(it) for it in found if not it.reason]
    head = ("", "candidate", "from", "close", "ahead", "2.5 %", "median", "97.5 %", "P(up)")
    columns, fitting = terminal.narrowed(head, rows, ("candidate", "P(up)"))
    terminal.show(terminal.table("The last step of each forecast", fitting, columns))


def _row(it: SeriesForecast) -> tuple[str, ...]:
    p_up = "-" if it.p_up is None else f"{it.p_up:.3f}"
    start = iso(it.time)[:13] if it.step_ms < 24 * 3_600_000 else iso(it.time)[:10]
    if it.prices is None:
        return it.symbol, it.candidate, start, _price(it.close), "-", "-", "-", "-", p_up
    last = it.prices[-1]
    ahead = f"{len(it.prices)} {'h' if it.step_ms < 24 * 3_600_000 else 'd'}"
    return (
        it.symbol,
        it.candidate,
        start,
        _price(it.close),
        ahead,
        *map(_price, (last[_LOW], last[_MEDIAN], last[_HIGH])),
        p_up,
    )


def _price(price: float) -> str:
    """Six digits that say something, without an exponent."""
    decimals = max(0, 5 - math.floor(math.log10(price))) if price > 0 else 0
    return f"{price:.{min(decimals, 12)}f}"
