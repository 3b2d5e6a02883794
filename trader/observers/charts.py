"""Charts for trackers: each as an image (PNG) and as one page (HTML with the drawing inside, no script, no network)."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from html import escape
from typing import Any, Literal

from trader.core.records import HourRecord
from trader.core.study import flat, searched
from trader.core.text import plural
from trader.core.types import iso, plain

Chart = tuple[bytes, bytes]
BLUE, GREEN, RED, GREY = "#1f5fa8", "#2b7a4b", "#b3362b", "#6b7684"
STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "hourly-trader",  # equal content gives equal bytes
}
DOTS_PER_INCH = 100


def equity_and_price(symbol: str, records: Sequence[HourRecord]) -> Chart:
    """Equity and close of consecutive hours, fills marked where and at what price they happened."""
    hours = [datetime.fromtimestamp(record.close_time / 1000, UTC) for record in records]

    def draw(figure: Any) -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
        figure.subplots_adjust(left=0.1, right=0.98, top=0.93, bottom=0.12, hspace=0.08)
        above.plot(hours, [float(record.line.equity) for record in records], color=BLUE)
        above.set_ylabel("equity, USDT")
        below.plot(hours, [float(record.close) for record in records], color=GREY, linewidth=1)
        below.set_ylabel(f"{symbol}, close")
        for side, marker, color in (("BUY", "^", GREEN), ("SELL", "v", RED)):
            filled = [
                (hour, float(record.line.fill_price))
                for hour, record in zip(hours, records, strict=True)
                if record.line.order_side == side and record.line.fill_price is not None
            ]
            if filled:
                below.scatter(*zip(*filled, strict=True), marker=marker, color=color, zorder=3, label=side)
                below.legend(loc="upper left", frameon=False)
        below.tick_params("x", rotation=30)

    last = records[-1].line
    order = f"{last.order_side} {plain(last.order_qty or Decimal(0))}"
    title = f"{symbol}, {plural(len(records), 'hour')} until {iso(last.close_time)}: {order}"
    return _chart(title, draw, (9.0, 5.5), layout=None)  # there are many of them, and measuring texts is slow


def study_charts(report: Mapping[str, Any]) -> dict[str, Chart]:
    """Optimisation history, importance, parallel coordinates by name; without what there is no data for."""
    done = [trial for trial in report["trials"] if trial["value"] is not None]
    if not done:
        return {}
    charts = {"history": _history(report, done)}
    if report["importance"]:
        charts["importance"] = _importance(report)
    if searched(report):
        charts["parallel-coordinates"] = _parallel(report, done)
    return charts


def _history(report: Mapping[str, Any], done: Sequence[Mapping[str, Any]]) -> Chart:
    numbers, values = [trial["number"] for trial in done], [trial["value"] for trial in done]
    best = [max(values[: i + 1]) for i in range(len(values))]

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.scatter(numbers, values, color=GREY, s=14, label="trial")
        axes.step(numbers, best, where="post", color=BLUE, label="best so far")
        axes.set_xlabel("trial")
        axes.set_ylabel(report["objective"])
        axes.legend(frameon=False)

    return _chart(f"Optimisation history of study {report['id']}", draw, (7.0, 4.0))


def _importance(report: Mapping[str, Any]) -> Chart:
    shares = sorted(report["importance"].items(), key=lambda item: item[1])

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        bars = axes.barh([name for name, _ in shares], [share for _, share in shares], color=BLUE)
        axes.bar_label(bars, fmt="%.2f", padding=3)
        axes.set_xlabel("share of the importance")

    return _chart(f"Importance of parameters in study {report['id']}", draw, (7.0, 1.2 + 0.35 * len(shares)))


def _parallel(report: Mapping[str, Any], done: Sequence[Mapping[str, Any]]) -> Chart:
    rows = [{**flat(trial["params"]), report["objective"]: trial["value"]} for trial in done]
    names = [*searched(report), report["objective"]]
    spans = {name: _span([float(row[name]) for row in rows]) for name in names}
    worst, best = spans[report["objective"]]

    def draw(figure: Any) -> None:
        from matplotlib import colormaps

        axes = figure.subplots()
        for row in sorted(rows, key=lambda row: float(row[report["objective"]])):
            heights = [_height(float(row[name]), spans[name]) for name in names]
            color = colormaps["viridis_r"](_height(float(row[report["objective"]]), (worst, best)))
            axes.plot(range(len(names)), heights, color=color, alpha=0.8, linewidth=1)
        for at, name in enumerate(names):
            for height, value in zip((0, 1), spans[name], strict=True):
                axes.annotate(f"{value:.4g}", (at, height), fontsize=7, ha="center", va="bottom")
        axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
        axes.set_yticks([])

    return _chart(f"Parallel coordinates of study {report['id']}", draw, (max(7.0, 1.1 * len(names)), 4.5))


def _span(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def _height(value: float, span: tuple[float, float]) -> float:
    low, high = span
    return (value - low) / (high - low) if high > low else 0.5


def _chart(
    title: str,
    draw: Callable[[Any], None],
    inches: tuple[float, float],
    layout: Literal["constrained"] | None = "constrained",
) -> Chart:
    from matplotlib import rc_context
    from matplotlib.figure import Figure  # without pyplot: no screen, no figure left behind

    image, drawing = io.BytesIO(), io.StringIO()
    with rc_context(STYLE):
        figure = Figure(figsize=inches, layout=layout)
        figure.suptitle(title, fontsize=10)
        draw(figure)
        figure.savefig(image, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
        figure.savefig(drawing, format="svg", metadata={"Date": None, "Creator": None})
    svg = drawing.getvalue()
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>svg{{max-width:100%;height:auto}}</style></head>\n<body>{svg[svg.index('<svg') :]}</body></html>\n"
    )
    return image.getvalue(), page.encode()
