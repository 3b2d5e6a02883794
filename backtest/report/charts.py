"""The pictures of a report's figures: equity, months, windows, calibration, stress. Readable without colour alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from backtest.report.data import Part
from backtest.report.drawing import (
    GAIN,
    LOSS,
    MAIN,
    MUTED,
    OTHER,
    Paper,
    by_date,
    figure,
    in_percent,
    pair,
    svg,
)

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def _legend(axes: Any, paper: Paper) -> None:
    """Beside the title, where the paper has room for both."""
    if paper.is_narrow:
        axes.legend()
    else:
        axes.legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0, fontsize=9)


def equity(report: Part, paper: Paper) -> str:
    """Equity against buy and hold, drawdown and exposure below, on one axis of days."""
    curve = report["curve"]
    days = np.array(curve["day"], dtype="datetime64[D]")
    with figure(paper, 5.4, 3, 1, sharex=True, height_ratios=(4, 2, 1)) as (made, (top, middle, low)):
        top.plot(days, curve["buy_and_hold"], color=OTHER, lw=1.1, ls="--", label="buy and hold")
        top.plot(days, curve["equity"], color=MAIN, lw=1.6, label="strategy, net")
        top.set_title("Equity after costs, USDT")
        _legend(top, paper)
        middle.plot(days, -np.array(curve["buy_and_hold_drawdown"]), color=OTHER, lw=0.9, ls="--")
        middle.fill_between(days, -np.array(curve["drawdown"]), 0, color=LOSS, alpha=0.45, lw=0)
        middle.set_title("Drawdown")
        in_percent(middle.yaxis)
        low.fill_between(days, curve["exposure"], 0, color=MAIN, alpha=0.4, lw=0, step="mid")
        low.set_title("Share of the day held")
        low.set_ylim(0, 1)
        by_date(low.xaxis, paper)
        in_percent(low.yaxis)
        return svg(made, "equity, drawdown and exposure by day", paper)


def months(report: Part, paper: Paper) -> str:
    """Net return by year and month, each number on a ground that says its sign and size; on narrow paper a month a row."""
    found = {row["month"]: row["net_return"] for row in report["months"]}
    years = sorted({month[:4] for month in found})
    limit = max(*map(abs, found.values()), 1e-6)
    size = (0.7 + 0.26 * 12) if paper.is_narrow else (0.7 + 0.34 * len(years))
    with figure(paper, size) as (made, axes):
        for month, value in found.items():
            year, number = years.index(month[:4]), int(month[5:]) - 1
            x, y = (year, number) if paper.is_narrow else (number, year)
            _cell(axes, x, y, value, value / limit)
        ticks = [(range(12), MONTHS), (range(len(years)), years)]
        across, down = reversed(ticks) if paper.is_narrow else ticks
        axes.set_xticks(*across)
        axes.set_yticks(*down)
        axes.set_xlim(-0.5, len(across[0]) - 0.5)
        axes.set_ylim(len(down[0]) - 0.5, -0.5)
        axes.grid(False)
        axes.set_title("Net return by month")
        return svg(made, "net return by month", paper)


def _cell(axes: Any, x: int, y: int, value: float, strength: float) -> None:
    """A number of the table of months; strength: -1 to 1, how strong its ground is, and of which colour."""
    from matplotlib.patches import Rectangle

    ground = MAIN if value > 0 else LOSS
    box = Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=ground, alpha=0.45 * abs(strength), linewidth=0)
    axes.add_patch(box)
    axes.text(x, y, f"{round(value, 3) + 0.0:+.1%}", ha="center", va="center", fontsize=8)


def windows(report: Part, paper: Paper) -> str:
    """What each refit earned beside buy and hold, and how often it was right."""
    rows = report["windows"]
    at = np.arange(len(rows))
    with figure(paper, 3.2, 2, 1, sharex=True, height_ratios=(3, 2)) as (made, (top, low)):
        top.bar(at - 0.2, [row["net_return"] for row in rows], 0.4, color=MAIN, label="strategy, net")
        top.bar(
            at + 0.2, [row["buy_and_hold"] for row in rows], 0.4, color=OTHER, alpha=0.6, label="buy and hold"
        )
        top.axhline(0, color=MUTED, lw=0.8)
        top.set_title("Return of each refit's hours")
        _legend(top, paper)
        in_percent(top.yaxis)
        low.plot(
            at,
            [np.nan if row["hit_rate"] is None else row["hit_rate"] for row in rows],
            "o-",
            ms=3,
            color=MAIN,
        )
        low.axhline(0.5, color=MUTED, lw=0.8, ls=":")
        low.set_title("Hit rate")
        in_percent(low.yaxis)
        step = max(1, -(-len(rows) // (3 if paper.is_narrow else 7)))
        low.set_xticks(at[::step], [row["serves_from"][:10] for row in rows][::step])
        return svg(made, "net return and hit rate of each refit", paper)


def calibration(report: Part, paper: Paper) -> str:
    """Predicted probability of a rise against the actual share, and the distribution of P(up) with the thresholds in it."""
    rows, scores = report["calibration"], report["p_up"]
    with pair(paper, 3.2) as (made, (left, right)):
        said = [row["mean_p_up"] for row in rows]
        left.errorbar(
            said, [row["rose"] for row in rows], [2 * row["error"] for row in rows],
            fmt="o", ms=4, color=MAIN, ecolor=MUTED, lw=1, label="tenths of the hours, two standard errors",
        )  # fmt: skip  # what is drawn, then how it looks
        if said:
            left.plot(
                [min(said), max(said)], [min(said), max(said)], color=OTHER, ls="--", lw=1, label="perfect"
            )
        left.set_title("Calibration")
        left.set_xlabel("predicted probability of a rise")
        left.set_ylabel("actual share of rises")
        left.legend(
            loc="upper left",
        )
        edges = np.array(scores["edges"])
        if len(edges):
            right.stairs(scores["counts"], edges, fill=True, color=MAIN, alpha=0.45)
        right.axvline(scores["enter_at"], color=GAIN, lw=1.4, label=f"enter at {scores['enter_at']:g}")
        right.axvline(
            scores["leave_at"], color=LOSS, lw=1.4, ls="--", label=f"leave at {scores['leave_at']:g}"
        )
        right.set_title("Hours by P(up)")
        right.legend()
        return svg(made, "calibration and distribution of P(up)", paper)


def stress(report: Part, paper: Paper) -> str:
    """Costs, delay and seeds: what is left when something small is different."""
    evidence = report["evidence"]
    cases, seeds = evidence["stress"], evidence["seeds"]["net_returns"]
    with pair(paper, 2.8, (3, 2)) as (made, (left, right)):
        values = [case["net_return"] for case in cases]
        left.barh([case["name"] for case in cases], values, color=[GAIN if v > 0 else LOSS for v in values])
        left.invert_yaxis()
        left.axvline(0, color=MUTED, lw=0.8)
        left.set_title("Net return under stress")
        in_percent(left.xaxis)
        right.plot(sorted(seeds), range(1, len(seeds) + 1), "o", color=MAIN, ms=5)
        right.axvline(float(np.median(seeds)), color=OTHER, ls="--", lw=1, label="median")
        right.axvline(0, color=MUTED, lw=0.8)
        right.set_yticks([])
        right.set_title("Net return under ten seeds")
        right.legend()
        in_percent(right.xaxis)
        return svg(made, "net return under stress and under other seeds", paper)


CHARTS: dict[str, Callable[[Part, Paper], str]] = {
    "equity": equity,
    "months": months,
    "windows": windows,
    "calibration": calibration,
    "stress": stress,
}
