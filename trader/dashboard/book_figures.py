"""The pictures of a book's page as Plotly figures in plain JSON, and the small lines of its table as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from trader.core.text import plural
from trader.core.types import Json
from trader.dashboard.book_series import BookColumns
from trader.dashboard.figures import drawn_line, event_marks, figure_of, limit_line

# Hours of returns that correlations are computed from, at most.
CORRELATED_HOURS = 30 * 24
MOST_BARS = 12
SPARK_POINTS, SPARK_WIDTH, SPARK_HEIGHT = 80, 120, 28
MOVES_SHOWN = 4


def book_figures(columns: BookColumns, moves: list[Any], view: Json, public: bool) -> list[Json]:
    """Every picture in the order of the page. Needs one hour."""
    made = [
        _equity(columns, moves, view, public),
        _drawdown(columns, view),
        _exposure(columns),
        _shares(columns, view["weights"]),
    ]
    together = _correlation(columns)
    return made if together is None else [*made, together]


def _equity(columns: BookColumns, moves: list[Any], view: Json, public: bool) -> Json:
    """Equity of the whole; hours at which cash moved are marked on it, halts as vertical lines."""
    scale = 100 / view["capital"] if public else 1.0
    unit = "index, 100 at the start" if public else "USDT"
    values = [round(value * scale, 2) for value in columns.equity]
    at = dict(zip(columns.times, values, strict=True))
    moved = [(time, told) for time, told in moves if time in at]
    capital = round(view["capital"] * scale, 2)
    traces = [
        drawn_line(
            columns.times, [capital] * len(values), "capital", "other", line={"dash": "dash"}, width=1.2
        ),
        drawn_line(columns.times, values, "equity", "main", width=2),
    ]
    if moved:
        traces.append({
            "type": "scatter", "mode": "markers", "name": "cash moved", "x": [time for time, _ in moved],
            "y": [at[time] for time, _ in moved], "text": [_moved(told, public) for _, told in moved],
            "marker": {"color": "role:other", "symbol": "diamond", "size": 8},
        })  # fmt: skip  # what is drawn, then how it looks
    shapes, notes = event_marks(view["happened"], columns.times)
    words = f"Equity is {values[-1]:,.2f} ({unit}), {values[-1] / capital - 1:+.2%} on the capital."
    title = f"Equity of the book, {unit}"
    return figure_of("equity", title, words, traces, shapes=shapes, annotations=notes, tall=True)


def _moved(told: Mapping[str, str], public: bool) -> str:
    """The largest moves of an hour, in words."""
    ordered = sorted(told.items(), key=lambda pair: -abs(float(pair[1])))[:MOVES_SHOWN]
    said = [it if public else f"{it} {float(amount):+,.2f}" for it, amount in ordered]
    left = len(told) - len(said)
    return ", ".join(said) + (f" and {left} more" if left else "")


def _drawdown(columns: BookColumns, view: Json) -> Json:
    """Drawdown from the running epoch's peak and return since it began, and the lines at which the book halts."""
    most, least = view["halt_drawdown"], view["halt_cumulative_return"]
    shapes, notes = limit_line(None if most is None else -most, "halts on drawdown")
    more, also = limit_line(least, "halts on the epoch's return")
    words = f"The drawdown is {columns.drawdown[-1]:.2%}"
    words += ", no limit of its own" if most is None else f", the book halts at {most:.0%}"
    words += f"; the epoch's return is {columns.epoch_return[-1]:+.2%}"
    words += "." if least is None else f", the book halts at {least:+.0%}."
    traces = [
        drawn_line(
            columns.times, [-it for it in columns.drawdown], "drawdown", "bad", fill="tozeroy", width=1
        ),
        drawn_line(columns.times, columns.epoch_return, "return of the epoch", "main", width=1.2),
    ]
    layout = {"shapes": shapes + more, "annotations": notes + also, "percent": True}
    return figure_of("drawdown", "Drawdown and stop limits of the book", words, traces, **layout)


def _exposure(columns: BookColumns) -> Json:
    """What is held in symbols, and what is cash of the book in none, as shares of the equity."""
    held = [_share(now - cash, now) for now, cash in zip(columns.equity, columns.cash, strict=True)]
    kept = [_share(it, now) for it, now in zip(columns.reserve, columns.equity, strict=True)]
    words = f"{held[-1]:.0%} is held in symbols, {1 - held[-1]:.0%} is cash; {kept[-1]:.0%} is in no symbol."
    traces = [
        drawn_line(columns.times, held, "held", "main", fill="tozeroy", width=0.8),
        drawn_line(columns.times, kept, "cash in no symbol", "other", width=1.2),
    ]
    return figure_of("exposure", "Exposure", words, traces, percent=True, range=[0, 1])


def _share(part: float, whole: float) -> float:
    return round(part / whole, 4) if whole else 0.0


def _shares(columns: BookColumns, weights: Mapping[str, float]) -> Json:
    """Each symbol's share of the book now, beside its weight at the newest rebalance; the largest of many."""
    whole = columns.equity[-1]
    now = {name: _share(values[-1], whole) for name, values in columns.sleeves.items()}
    shown = sorted(now, key=lambda name: now[name])[-MOST_BARS:]
    left = len(now) - len(shown)
    largest = shown[-1]
    words = f"The largest share is {largest}'s, {now[largest]:.1%} of the book." + (
        f" The {plural(left, 'smallest share is', 'smallest shares are')} in the table only." if left else ""
    )
    share = {"type": "bar", "orientation": "h", "name": "share", "x": [now[it] for it in shown], "y": shown}
    traces: list[Json] = [{**share, "marker": {"color": "role:main"}}]
    if weights:
        traces.append({
            "type": "scatter", "mode": "markers", "name": "weight at the newest rebalance",
            "x": [weights.get(it, 0.0) for it in shown], "y": shown,
            "marker": {"color": "role:other", "symbol": "line-ns-open", "size": 12, "line": {"width": 2}},
        })  # fmt: skip  # what is drawn, then how it looks
    layout = {"plain_x": True, "left": 84, "xaxis": {"tickformat": ".0%"}, "yaxis": {"dtick": 1}}
    return figure_of("shares", "Share of the book by symbol", words, traces, **layout)


def _correlation(columns: BookColumns) -> Json | None:
    """Correlation of the symbols' hourly returns over the newest hours; None for fewer than two days of them."""
    names = list(columns.closes)
    closes = np.array([columns.closes[it][-CORRELATED_HOURS - 1 :] for it in names])
    if len(names) < 2 or closes.shape[1] < 49:
        return None
    returns = np.diff(np.log(closes), axis=1)
    moving = [i for i in range(len(names)) if returns[i].std() > 0]
    if len(moving) < 2:
        return None
    table = np.corrcoef(returns[moving])
    kept = [names[i] for i in moving]
    pairs = {(a, b): float(table[a, b]) for a, b in combinations(range(len(kept)), 2)}
    mean = sum(pairs.values()) / len(pairs)
    (a, b), most = max(pairs.items(), key=lambda pair: pair[1])
    words = (
        f"Hourly returns of the last {plural(returns.shape[1], 'hour')}: {mean:+.2f} on average, most between {kept[a]} and "
        f"{kept[b]}, {most:+.2f}."
    )
    cells = {
        "type": "heatmap", "x": kept, "y": kept, "z": [[round(float(v), 2) for v in row] for row in table],
        "zmin": -1, "zmax": 1, "colorscale": [[0, "role:bad"], [0.5, "role:paper"], [1, "role:main"]],
        "showscale": True, "colorbar": {"thickness": 10, "len": 0.9, "outlinewidth": 0},
        "hovertemplate": "%{y}, %{x}: %{z}<extra></extra>",
    }  # fmt: skip  # what is drawn, then how it looks
    layout = {"plain_x": True, "left": 84, "yaxis": {"autorange": "reversed"}, "bottom": 76}
    layout["xaxis"] = {"tickangle": -90}
    return figure_of("correlation", "Correlation of the symbols", words, [cells], **layout)


def spark(values: Sequence[float]) -> str:
    """A series as the points of an SVG polyline, at most SPARK_POINTS of them; "" for fewer than two."""
    if len(values) < 2:
        return ""
    step = max(1, -(-len(values) // SPARK_POINTS))
    kept = [*values[::step], *([values[-1]] if (len(values) - 1) % step else [])]
    low, high = min(kept), max(kept)
    span = (high - low) or 1.0
    x = SPARK_WIDTH / (len(kept) - 1)
    points = (
        (i * x, SPARK_HEIGHT - 2 - (value - low) / span * (SPARK_HEIGHT - 4)) for i, value in enumerate(kept)
    )
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
