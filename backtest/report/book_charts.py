"""The pictures of a book: the whole by day, the worth of each symbol's 1 USDT, what each contributed, shares over time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from backtest.report.charts import months, stress
from backtest.report.data import Part
from backtest.report.drawing import (
    GAIN,
    LOSS,
    MAIN,
    MUTED,
    Paper,
    by_date,
    figure,
    in_percent,
    svg,
)

# Small pictures in a row, wide and narrow.
COLUMNS = {"wide": 4, "narrow": 2}
# Spans of time across the picture of shares.
MOST_COLUMNS = {"wide": 60, "narrow": 30}


def whole(report: Part, paper: Paper) -> str:
    """Equity of the book, drawdown and exposure below, on one axis of days."""
    curve = report["curve"]
    days = np.array(curve["day"], dtype="datetime64[D]")
    with figure(paper, 5.0, 3, 1, sharex=True, height_ratios=(4, 2, 1)) as (made, (top, middle, low)):
        top.plot(days, curve["equity"], color=MAIN, lw=1.6)
        top.set_title("Equity of the book after costs, USDT")
        middle.fill_between(days, -np.array(curve["drawdown"]), 0, color=LOSS, alpha=0.45, lw=0)
        middle.set_title("Drawdown")
        in_percent(middle.yaxis)
        low.fill_between(days, curve["exposure"], 0, color=MAIN, alpha=0.4, lw=0, step="mid")
        low.set_title("Share of the equity held in symbols")
        low.set_ylim(0, 1)
        by_date(low.xaxis, paper)
        in_percent(low.yaxis)
        return svg(made, "equity, drawdown and exposure of the book by day", paper)


def contributions(report: Part, paper: Paper) -> str:
    """What each symbol's trading gained, the most first."""
    gained = {name: float(of["contribution_usdt"]) for name, of in report["summary"]["symbols"].items()}
    names = sorted(gained, key=lambda it: gained[it], reverse=True)
    values = [gained[it] for it in names]
    with figure(paper, 0.8 + 0.24 * len(names)) as (made, axes):
        axes.barh(names, values, color=[GAIN if value > 0 else LOSS for value in values], height=0.7)
        axes.invert_yaxis()
        axes.axvline(0, color=MUTED, lw=0.8)
        axes.set_title("What each symbol gained, USDT")
        return svg(made, "gain of each symbol in USDT", paper)


def symbols(report: Part, paper: Paper) -> str:
    """A small picture a symbol: the worth of 1 USDT of its sleeve, linked over transfers; all on one scale."""
    days = np.array(report["curve"]["day"], dtype="datetime64[D]")
    index = report["index"]
    columns = min(COLUMNS[paper.name], len(index))
    rows = -(-len(index) // columns)
    with figure(paper, 0.5 + 1.35 * rows, rows, columns, sharex=True, sharey=True, squeeze=False) as (
        made,
        grid,
    ):
        for axes in grid.flat[len(index) :]:
            axes.axis("off")
        for (name, worth), axes in zip(index.items(), grid.flat, strict=False):
            axes.axhline(1, color=MUTED, lw=0.8, ls=":")
            axes.plot(days, worth, color=MAIN, lw=1.2)
            axes.set_title(name)
            by_date(axes.xaxis, paper)
            axes.tick_params(axis="x", labelsize=7, rotation=30)
        for axes in grid.flat[max(0, len(index) - columns) : len(index)]:
            axes.tick_params(axis="x", labelbottom=True)  # also above a place that is empty
        for axes in grid.flat:
            axes.xaxis.get_offset_text().set_visible(False)
        return svg(made, "worth of 1 USDT in the sleeve of each symbol by day", paper)


def shares(report: Part, paper: Paper) -> str:
    """A row a symbol, time across: the stronger the colour, the greater its part of the book's equity."""
    from matplotlib.collections import PatchCollection
    from matplotlib.dates import date2num
    from matplotlib.patches import Rectangle

    days = np.array(report["curve"]["day"], dtype="datetime64[D]")
    names = list(report["shares"])
    bins = np.array_split(np.arange(len(days)), min(len(days), MOST_COLUMNS[paper.name]))
    means = np.array([[np.mean(np.array(report["shares"][it])[part]) for part in bins] for it in names])
    first = date2num(days[[part[0] for part in bins]])
    width = date2num(days[[part[-1] for part in bins]]) + 1 - first
    cells = [
        Rectangle((x, row - 0.42), w, 0.84)
        for row in range(len(names))
        for x, w in zip(first, width, strict=True)
    ]
    strongest = max(float(means.max()), 1e-9)
    with figure(paper, 0.9 + 0.22 * len(names)) as (made, axes):
        # One colour, its opacity the share: a dark page draws it in its own.
        axes.add_collection(
            PatchCollection(cells, facecolor=MAIN, alpha=(means / strongest).clip(0, 1).ravel(), linewidth=0)
        )
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(first[0], first[-1] + width[-1])
        axes.grid(False)
        axes.set_title(f"Share of the book's equity; full colour: {strongest:.0%}")
        axes.xaxis_date()
        by_date(axes.xaxis, paper)
        return svg(made, "share of each symbol in the book over time", paper)


CHARTS: dict[str, Callable[[Part, Paper], str]] = {
    "months": months,
    "stress": stress,
    "whole": whole,
    "contributions": contributions,
    "symbols": symbols,
    "shares": shares,
}
