"""The page of `backtest report --book`: the whole by day, what each symbol gave to it, shares and correlations. No script."""

from __future__ import annotations

from importlib import resources

import numpy as np

from backtest.engine.book_outcome import BookOutcome
from backtest.report.book_charts import CHARTS
from backtest.report.data import Part
from backtest.report.drawing import NARROW, WIDE
from backtest.report.page import number, percent
from trader.core.errors import ConfigError
from trader.core.text import how_to_install, plural
from trader.core.types import DAY_MS, Ints, iso


def report_of(outcome: BookOutcome, start: int, stop: int) -> Part:
    """What the page shows and its figures hold: the summary, and curves by day (the last hour of each)."""
    lines, sleeves = outcome.run.lines, outcome.run.sleeves
    rows = _last_hours(np.array([line.close_time for line in lines], dtype=np.int64)).tolist()
    equity = np.array([float(lines[i].equity) for i in rows])
    curve = {
        "day": [iso(lines[i].close_time)[:10] for i in rows],
        "equity": equity.tolist(),
        "drawdown": [float(lines[i].drawdown) for i in rows],
        "exposure": [float(lines[i].exposure) for i in rows],
    }
    shares = {it.symbol: (it.run.equity[rows] / equity).tolist() for it in sleeves}
    index = {it.symbol: it.index[rows].tolist() for it in sleeves}
    return {
        "from": iso(start),
        "to": iso(stop),
        "summary": outcome.summary,
        "curve": curve,
        "shares": shares,
        "index": index,
    }


def _last_hours(hours: Ints) -> Ints:
    """The rows of the last hour of each day, and the last of all."""
    day = hours // DAY_MS
    rows: Ints = np.flatnonzero(np.append(day[1:] != day[:-1], True))
    return rows


def page_of(report: Part) -> str:
    """The page. Raises ConfigError without the `observability` extra."""
    try:
        import jinja2
        import matplotlib  # noqa: F401 - found missing before any work
    except ImportError as error:
        raise ConfigError(f"a report needs {error.name}: {how_to_install('observability')}") from None
    charts = {name: "".join(draw(report, paper) for paper in (WIDE, NARROW)) for name, draw in CHARTS.items()}
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "number": number, "plural": plural}
    room = resources.files("backtest.report")
    template = environment.from_string(room.joinpath("book.html").read_text())
    return template.render(
        r=report,
        s=report["summary"],
        symbols=list(report["summary"]["symbols"]),
        charts=charts,
        style=room.joinpath("forecast.css").read_text(),
    )
