"""The page of `backtest forecast`: skill and coverage by hours ahead, some forecasts beside what came. No script, no network."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np

from backtest.evidence.forecast_score import Fan
from backtest.report.data import Part
from backtest.report.drawing import (
    INK,
    MAIN,
    MUTED,
    NARROW,
    OTHER,
    WIDE,
    Paper,
    figure,
    in_percent,
    pair,
    svg,
)
from trader.core.errors import ConfigError
from trader.core.forecast import LEVELS, interval
from trader.core.text import how_to_install
from trader.core.types import iso

# Standard errors that a band shows on each side.
BAND = 2


def page_of(title: str, report: Part, fans: Sequence[Fan]) -> str:
    """The page. report: what `backtest forecast --json` says. Raises ConfigError without the `observability` extra."""
    try:
        import jinja2
        import matplotlib  # noqa: F401 - found missing before any work
    except ImportError as error:
        raise ConfigError(f"--html needs {error.name}: {how_to_install('observability')}") from None
    charts = ["".join(draw(report, paper) for paper in (WIDE, NARROW)) for draw in (scores_by_h,)]
    if fans:
        charts.append("".join(fan_charts(fans, paper) for paper in (WIDE, NARROW)))
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"scaled": scaled}
    room = resources.files("backtest.report")
    style = room.joinpath("forecast.css").read_text()
    template = environment.from_string(room.joinpath("forecast.html").read_text())
    return template.render(r=report, title=title, charts=charts, style=style)


def scaled(estimate: dict[str, float | None], times: float, digits: int = 2) -> str:
    """An estimate with its standard error, a dash for none."""
    value, error = estimate["value"], estimate["error"]
    if value is None:
        return "–"
    text = f"{round(value * times, digits) + 0.0:.{digits}f}"
    return text if error is None else f"{text} ± {error * times:.{digits}f}"


def scores_by_h(report: Part, paper: Paper) -> str:
    """Skill beside the naive forecast, with a band of two standard errors, and coverage of the intervals, by hours ahead."""
    rows = report["by_h"]
    h = [row["h"] for row in rows]
    with pair(paper, 3.0) as (made, (left, right)):
        skill, error = (_column([row["pinball_skill"] for row in rows], key) for key in ("value", "error"))
        left.fill_between(h, skill - BAND * error, skill + BAND * error, color=MAIN, alpha=0.2, lw=0)
        left.plot(h, skill, "o-", ms=3, color=MAIN)
        left.axhline(0, color=MUTED, lw=0.8)
        left.set_title("Skill by pinball loss (naive forecast: 0)")
        left.set_xlabel("hours ahead; the band is two standard errors")
        in_percent(left.yaxis)
        for i, style in enumerate(("o-", "s-", "^-")):
            level = rows[0]["coverage"][i]["level"]
            share = _column([row["coverage"][i] for row in rows], "value")
            right.plot(h, share, style, ms=3, color=MAIN, label=f"{level:.0%} interval")
            right.axhline(level, color=OTHER, lw=0.8, ls="--")
        right.set_ylim(0, 1)
        right.set_title("Share of outcomes inside (dashed: nominal)")
        right.set_xlabel("hours ahead")
        right.legend(loc="lower left", ncols=3)
        in_percent(right.yaxis)
        return svg(made, "skill and coverage by hours ahead", paper)


def _column(rows: list[dict[str, float | None]], key: str) -> Any:
    return np.array([np.nan if row[key] is None else row[key] for row in rows], dtype=float)


def fan_charts(fans: Sequence[Fan], paper: Paper) -> str:
    """Some forecasts: the closes before, the intervals, the median, and what came."""
    columns = 1 if paper.is_narrow else 2
    rows = -(-len(fans) // columns)
    with figure(paper, 2.4 * rows, rows, columns, squeeze=False) as (made, grid):
        for axes in grid.flat[len(fans) :]:
            axes.axis("off")
        for fan, axes in zip(fans, grid.flat, strict=False):
            draw_fan(axes, fan)
            axes.set_title(f"from {iso(fan.hour)[:16]}")
            axes.set_xlabel("hours")
        return svg(made, "forecasts beside what came", paper)


def draw_fan(axes: Any, fan: Fan) -> None:
    """One forecast as prices: shaded the 50, 80 and 95 % intervals."""
    behind, ahead = len(fan.before), len(fan.outcome)
    times, later = np.arange(1 - behind, 1), np.arange(1, ahead + 1)
    for level, alpha in ((0.95, 0.15), (0.8, 0.2), (0.5, 0.3)):
        low, high = interval(fan.quantiles, level)
        axes.fill_between(
            later, fan.close * np.exp(low), fan.close * np.exp(high), color=MAIN, alpha=alpha, lw=0
        )
    axes.plot(later, fan.close * np.exp(fan.quantiles[:, LEVELS.index(0.5)]), color=MAIN, lw=1.2, ls="--")
    axes.plot(times, fan.close * np.exp(fan.before), color=INK, lw=1)
    axes.plot(later, fan.close * np.exp(fan.outcome), color=OTHER, lw=1.2)
