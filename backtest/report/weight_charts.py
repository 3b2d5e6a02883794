"""The pictures of what a model looked at: the weight of each variable, and of each hour."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from backtest.engine.weighing import Weighed
from backtest.report.data import Part
from backtest.report.drawing import MAIN, MUTED, OTHER, Paper, figure, in_percent, pair, svg
from trader.core.types import iso

DIGITS = 6


def weights_part(found: Weighed) -> Part:
    """Plain values, for the report; shares of variables are sorted, the largest first."""
    told = found.weights
    return {
        "from": iso(found.start),
        "to": iso(found.stop),
        "past": _sorted(told.past),
        "future": _sorted(told.future),
        "attention": [round(share, DIGITS) for share in told.attention.tolist()],
        "before": told.before,
        "attention_before": round(float(told.attention[: told.before].sum()), DIGITS),
        "most_attended": int(np.argmax(told.attention)) - (told.before - 1),
    }


def _sorted(shares: Mapping[str, float]) -> dict[str, float]:
    return {name: round(share, DIGITS) for name, share in sorted(shares.items(), key=lambda it: -it[1])}


def variables(report: Part, paper: Paper) -> str:
    """Share of each variable, in the hours up to T and in the hours ahead."""
    told = report["weights"]
    with pair(paper, 2.8) as (made, (left, right)):
        for axes, name, title in (
            (left, "past", "Variables of the hours up to now"),
            (right, "future", "Variables of the hours ahead"),
        ):
            _bars(axes, told[name])
            axes.set_title(title)
        return svg(made, "weight of each variable, in the hours up to now and in the hours ahead", paper)


def _bars(axes: Any, shares: Mapping[str, float]) -> None:
    axes.barh(list(shares), list(shares.values()), color=MAIN)
    axes.invert_yaxis()
    for i, share in enumerate(shares.values()):
        axes.annotate(
            f"{share:.1%}", (share, i), xytext=(3, 0), textcoords="offset points", fontsize=7.5, va="center"
        )
    axes.margins(x=0.15)
    axes.grid(visible=False, axis="y")
    in_percent(axes.xaxis)


def attention(report: Part, paper: Paper) -> str:
    """Share of each hour, those ahead in another colour."""
    told = report["weights"]
    shares, before = np.array(told["attention"]), told["before"]
    hours = np.arange(len(shares)) - (before - 1)
    with figure(paper, 2.6) as (made, axes):
        axes.bar(hours[:before], shares[:before], width=0.8, color=MAIN, label="hours up to now")
        axes.bar(hours[before:], shares[before:], width=0.8, color=OTHER, hatch="///", label="hours ahead")
        axes.axvline(0.5, color=MUTED, lw=0.8)
        axes.set_title("Attention to each hour, mean of all hours ahead")
        axes.set_xlabel("hours from now")
        axes.legend(loc="upper left")
        in_percent(axes.yaxis)
        return svg(made, "mean attention to each hour", paper)


WEIGHT_CHARTS: dict[str, Callable[[Part, Paper], str]] = {"variables": variables, "attention": attention}
