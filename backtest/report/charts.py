"""The pictures of a report as SVG text: no script, sharp in print, readable without colour alone."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from backtest.report.data import Part

INK, MUTED, GRID = "#1c2430", "#6b7684", "#d9dee5"
MAIN, OTHER, LOSS, GAIN = "#1f5fa8", "#b0641a", "#b3362b", "#2b7a4b"
STYLE = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
}


@contextmanager
def _figure(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> Iterator[Any]:
    """A figure that is drawn without a screen and without global state left behind. Yields (figure, axes)."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots(rows, columns, **options)


def _svg(figure: Any, words: str) -> str:
    """The figure as an <svg> element that says in words what it shows."""
    from html import escape

    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    body = text.getvalue()
    body = body[body.index("<svg") :]
    return body.replace("<svg ", f'<svg role="img" aria-label="{escape(words)}" ', 1)


def _percent(axis: Any) -> None:
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1.0, decimals=None))


def equity(report: Part) -> str:
    """Equity against buy and hold, drawdown and exposure below, on one axis of days."""
    curve = report["curve"]
    days = np.array(curve["day"], dtype="datetime64[D]")
    with _figure(9, 5.4, 3, 1, sharex=True, height_ratios=(4, 2, 1)) as (figure, (top, middle, low)):
        top.plot(days, curve["buy_and_hold"], color=OTHER, lw=1.1, ls="--", label="buy and hold")
        top.plot(days, curve["equity"], color=MAIN, lw=1.6, label="strategy, net")
        top.set_title("Equity after costs, USDT")
        top.legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
        middle.plot(days, -np.array(curve["buy_and_hold_drawdown"]), color=OTHER, lw=0.9, ls="--")
        middle.fill_between(days, -np.array(curve["drawdown"]), 0, color=LOSS, alpha=0.45, lw=0)
        middle.set_title("Drawdown")
        _percent(middle.yaxis)
        low.fill_between(days, curve["exposure"], 0, color=MAIN, alpha=0.4, lw=0, step="mid")
        low.set_title("Share of the day held")
        low.set_ylim(0, 1)
        _percent(low.yaxis)
        return _svg(figure, "equity, drawdown and exposure by day")


def months(report: Part) -> str:
    """Net return by year and month as a heat map with its numbers."""
    found = {row["month"]: row["net_return"] for row in report["months"]}
    years = sorted({month[:4] for month in found})
    grid = np.full((len(years), 12), np.nan)
    for month, value in found.items():
        grid[years.index(month[:4]), int(month[5:]) - 1] = value
    limit = max(float(np.nanmax(np.abs(grid))), 1e-6)
    with _figure(9, 0.7 + 0.34 * len(years)) as (figure, axes):
        axes.imshow(grid, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
        axes.set_xticks(
            range(12), ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        )
        axes.set_yticks(range(len(years)), years)
        axes.grid(False)
        for (row, column), value in np.ndenumerate(grid):
            if not np.isnan(value):
                ink = "white" if abs(value) > 0.6 * limit else INK
                axes.text(column, row, f"{value:+.1%}", ha="center", va="center", color=ink, fontsize=8)
        axes.set_title("Net return by month")
        return _svg(figure, "net return by month")


def windows(report: Part) -> str:
    """What each refit earned beside buy and hold, and how often it was right."""
    rows = report["windows"]
    at = np.arange(len(rows))
    with _figure(9, 3.2, 2, 1, sharex=True, height_ratios=(3, 2)) as (figure, (top, low)):
        top.bar(at - 0.2, [row["net_return"] for row in rows], 0.4, color=MAIN, label="strategy, net")
        top.bar(
            at + 0.2, [row["buy_and_hold"] for row in rows], 0.4, color=OTHER, alpha=0.6, label="buy and hold"
        )
        top.axhline(0, color=MUTED, lw=0.8)
        top.set_title("Return of each refit's hours")
        top.legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
        _percent(top.yaxis)
        low.plot(
            at,
            [np.nan if row["hit_rate"] is None else row["hit_rate"] for row in rows],
            "o-",
            ms=3,
            color=MAIN,
        )
        low.axhline(0.5, color=MUTED, lw=0.8, ls=":")
        low.set_title("Hit rate")
        _percent(low.yaxis)
        step = max(1, -(-len(rows) // 7))
        low.set_xticks(at[::step], [row["serves_from"][:10] for row in rows][::step])
        return _svg(figure, "net return and hit rate of each refit")


def calibration(report: Part) -> str:
    """Said against seen, and the distribution of what was said with the thresholds in it."""
    rows, scores = report["calibration"], report["p_up"]
    with _figure(9, 3.2, 1, 2) as (figure, (left, right)):
        said = [row["mean_p_up"] for row in rows]
        left.errorbar(
            said, [row["rose"] for row in rows], [2 * row["error"] for row in rows],
            fmt="o", ms=4, color=MAIN, ecolor=MUTED, lw=1, label="tenths of the hours, two standard errors",
        )  # fmt: skip  # what is drawn, then how it looks
        if said:
            left.plot(
                [min(said), max(said)], [min(said), max(said)], color=OTHER, ls="--", lw=1, label="perfect"
            )
        left.set_title("Calibration: P(up) said, share that rose")
        left.legend(loc="upper left", fontsize=7.5)
        edges = np.array(scores["edges"])
        if len(edges):
            right.stairs(scores["counts"], edges, fill=True, color=MAIN, alpha=0.45)
        right.axvline(scores["enter_at"], color=GAIN, lw=1.4, label=f"enter at {scores['enter_at']:g}")
        right.axvline(
            scores["leave_at"], color=LOSS, lw=1.4, ls="--", label=f"leave at {scores['leave_at']:g}"
        )
        right.set_title("Hours by P(up)")
        right.legend(fontsize=7.5)
        return _svg(figure, "calibration and distribution of P(up)")


def stress(report: Part) -> str:
    """Costs, delay and seeds: what is left when something small is different."""
    evidence = report["evidence"]
    cases, seeds = evidence["stress"], evidence["seeds"]["net_returns"]
    with _figure(9, 2.8, 1, 2, width_ratios=(3, 2)) as (figure, (left, right)):
        values = [case["net_return"] for case in cases]
        left.barh([case["name"] for case in cases], values, color=[GAIN if v > 0 else LOSS for v in values])
        left.invert_yaxis()
        left.axvline(0, color=MUTED, lw=0.8)
        left.set_title("Net return under stress")
        _percent(left.xaxis)
        right.plot(sorted(seeds), range(1, len(seeds) + 1), "o", color=MAIN, ms=5)
        right.axvline(float(np.median(seeds)), color=OTHER, ls="--", lw=1, label="median")
        right.axvline(0, color=MUTED, lw=0.8)
        right.set_yticks([])
        right.set_title("Net return under ten seeds")
        right.legend(fontsize=7.5)
        _percent(right.xaxis)
        return _svg(figure, "net return under stress and under other seeds")


def history(report: Part) -> str:
    """Every trial's value in its order, the best so far, and how much each parameter mattered."""
    study = report["study"]
    done = [trial for trial in study["trials"] if trial["value"] is not None]
    other = [trial for trial in study["trials"] if trial["value"] is None]
    importance = sorted(study["importance"].items(), key=lambda item: item[1])
    with _figure(9, 3.0, 1, 2, width_ratios=(3, 2)) as (figure, (left, right)):
        numbers, values = [trial["number"] for trial in done], [trial["value"] for trial in done]
        left.plot(numbers, values, "o", ms=4, color=MAIN, label="complete")
        if done:
            left.step(
                numbers, np.maximum.accumulate(values), where="post", color=OTHER, lw=1.3, label="best so far"
            )
        if done and other:
            numbers, lowest = [trial["number"] for trial in other], [min(values)] * len(other)
            left.plot(numbers, lowest, "x", ms=4, color=MUTED, label="pruned")
        left.set_title(f"Trials by {study['objective']}")
        left.set_xlabel("trial")
        left.legend(fontsize=7.5)
        right.barh([name for name, _ in importance], [share for _, share in importance], color=MAIN)
        right.set_title("Importance of the parameters")
        _percent(right.xaxis)
        if not importance:
            right.set_axis_off()
            said = "not known: too few trials were complete"
            right.text(0, 0.9, said, color=INK, va="top").set_in_layout(False)
        return _svg(figure, "optimisation history and parameter importance")


def _searched(study: Part) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names of the searched parameters, their values (n, k), and the trials' values (n,)."""
    done = [trial for trial in study["trials"] if trial["value"] is not None]
    names = [
        name
        for name, value in (done[0]["params"] if done else {}).items()
        if isinstance(value, int | float) and len({trial["params"].get(name) for trial in done}) > 1
    ]
    table = np.array([[float(trial["params"][name]) for name in names] for trial in done])
    return names, table.reshape(len(done), len(names)), np.array([trial["value"] for trial in done])


def parallel(report: Part) -> str:
    """A line a trial through all its parameters, the best trials on top."""
    names, table, values = _searched(report["study"])
    if not names:
        return ""
    low, high = table.min(axis=0), table.max(axis=0)
    scaled = (table - low) / np.where(high > low, high - low, 1)
    shade = (values - values.min()) / max(float(np.ptp(values)), 1e-12)
    import matplotlib

    colours = matplotlib.colormaps["viridis_r"]
    with _figure(9, 3.2) as (figure, axes):
        for row in np.argsort(values):
            axes.plot(
                range(len(names)),
                scaled[row],
                color=colours(shade[row]),
                lw=0.6 + 1.2 * shade[row],
                alpha=0.85,
            )
        labels = [f"{n}\n{a:.4g} to {b:.4g}" for n, a, b in zip(names, low, high, strict=True)]
        axes.set_xticks(range(len(names)), labels, fontsize=7)
        axes.set_yticks([])
        axes.set_title("Trials by their parameters, the best darkest")
        return _svg(figure, "parallel coordinates of the trials")


def slices(report: Part) -> str:
    """The value against each parameter on its own."""
    names, table, values = _searched(report["study"])
    if not names:
        return ""
    columns = min(5, len(names))
    rows = -(-len(names) // columns)
    with _figure(9, 1.9 * rows, rows, columns, sharey=True, squeeze=False) as (figure, grid):
        for axes, column in zip(grid.flat, range(len(names)), strict=False):
            axes.plot(table[:, column], values, "o", ms=3, color=MAIN, alpha=0.7)
            axes.set_title(names[column], fontsize=8)
        for axes in grid.flat[len(names) :]:
            axes.set_visible(False)
        return _svg(figure, "value of the trials against each parameter")


CHARTS: dict[str, Callable[[Part], str]] = {
    "equity": equity,
    "months": months,
    "windows": windows,
    "calibration": calibration,
    "stress": stress,
}
STUDY_CHARTS: dict[str, Callable[[Part], str]] = {"history": history, "parallel": parallel, "slices": slices}
