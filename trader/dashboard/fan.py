"""The page's forecast as a Plotly figure in plain JSON: the newest closes, and what the serving model says of the next ones."""

from __future__ import annotations

from typing import Any

from trader.core.text import plural
from trader.core.types import HOUR_MS, Json


def fan(told: Json) -> Json:
    """Intervals and median behind the newest closes, in the form of `trader.dashboard.figures`.

    told: hour (UTC ms), its close, `before` (closes up to and with it, oldest first, None without a bar), levels, and by hour
    ahead the prices at them.
    """
    prices, levels, behind = told["prices"], told["levels"], len(told["before"])
    times = [told["hour"] + h * HOUR_MS for h in range(len(prices) + 1)]
    past = [told["hour"] + (i + 1 - behind) * HOUR_MS for i in range(behind)]
    columns = [[told["close"], *(row[i] for row in prices)] for i in range(len(levels))]
    middle = len(levels) // 2
    bands = [
        _band(times, columns[i], columns[-1 - i], f"{1 - 2 * levels[i]:.0%} interval") for i in range(middle)
    ]
    lines = [
        _line(times, columns[middle], "median", "main", dash="dash"),
        _line(past, told["before"], "close", "ink"),
    ]
    return {
        "id": "fan",
        "title": f"Forecast of model {told['model_id']}",
        "words": _words(prices, middle),
        "data": [*bands, *lines],
        "layout": {"tall": True},
    }


def _words(prices: list[list[float]], middle: int) -> str:
    last = [f"{price:,.6g}" for price in prices[-1]]
    return (
        f"In {plural(len(prices), 'hour')} the median is {last[middle]}; half of the distribution lies within "
        f"{last[middle - 1]} to {last[middle + 1]}, 95 % of it within {last[0]} to {last[-1]}. The bot trades by P(up) alone."
    )


def _line(times: list[int], values: list[Any], name: str, role: str, **line: Any) -> Json:
    styled = {"color": f"role:{role}", "width": 1.5, **line}
    return {"type": "scatter", "mode": "lines", "name": name, "x": times, "y": values, "line": styled}


def _band(times: list[int], low: list[float], high: list[float], name: str) -> Json:
    """The ground between two lines."""
    return {
        "type": "scatter", "mode": "lines", "name": name, "x": [*times, *reversed(times)], "y": [*high, *reversed(low)],
        "fill": "toself", "fillcolor": "role:main", "line": {"width": 0, "color": "role:main"}, "opacity": 0.22,
        "hoverinfo": "skip",
    }  # fmt: skip  # what is drawn, then how it looks
