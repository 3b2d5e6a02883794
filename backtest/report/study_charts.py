"""The pictures of the search that chose a report's parameters: its history, and its trials by their parameters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from backtest.report.data import Part
from backtest.report.drawing import MAIN, MUTED, OTHER, Paper, figure, in_percent, pair, svg


def history(report: Part, paper: Paper) -> str:
    """Objective value by trial number, the best so far, and the importance of the parameters. Trials that did not complete
    have no value; they are marked at the bottom by what became of them."""
    study = report["study"]
    complete = [trial for trial in study["trials"] if trial["value"] is not None]
    ended_early = {
        state: [trial["number"] for trial in study["trials"] if trial["state"] == state]
        for state in ("pruned", "failed")
    }
    importance = sorted(study["importance"].items(), key=lambda item: item[1])
    with pair(paper, 3.0, (3, 2)) as (made, (left, right)):
        numbers, values = [trial["number"] for trial in complete], [trial["value"] for trial in complete]
        left.plot(numbers, values, "o", ms=4, color=MAIN, label="complete")
        if complete:
            left.step(
                numbers, np.maximum.accumulate(values), where="post", color=OTHER, lw=1.3, label="best so far"
            )
        for (state, at), mark in zip(ended_early.items(), ("x", "1"), strict=True):
            if complete and at:
                left.plot(at, [min(values)] * len(at), mark, ms=4, color=MUTED, label=state)
        left.set_title(f"Trials by {study['objective']}")
        left.set_xlabel("trial")
        left.legend()
        right.barh([name for name, _ in importance], [share for _, share in importance], color=MAIN)
        right.set_title("Importance of the parameters")
        in_percent(right.xaxis)
        if not importance:
            right.set_axis_off()
            said = "not available: too few complete trials"
            right.text(0, 0.9, said, va="top", transform=right.transAxes).set_in_layout(False)
        return svg(made, "optimisation history and parameter importance", paper)


def _numeric_parameters(study: Part) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names of the numeric parameters that differ between complete trials, their values (n, k), and the trials' values (n,)."""
    done = [trial for trial in study["trials"] if trial["value"] is not None]
    names = [
        name
        for name, value in (done[0]["params"] if done else {}).items()
        if isinstance(value, int | float) and len({trial["params"].get(name) for trial in done}) > 1
    ]
    table = np.array([[float(trial["params"][name]) for name in names] for trial in done])
    return names, table.reshape(len(done), len(names)), np.array([trial["value"] for trial in done])


def parallel(report: Part, paper: Paper) -> str:
    """Parallel coordinates: a line for each complete trial, the best drawn last. On narrow paper the
    parameters' names are rotated."""
    names, table, values = _numeric_parameters(report["study"])
    if not names:
        return ""
    low, high = table.min(axis=0), table.max(axis=0)
    scaled = (table - low) / np.where(high > low, high - low, 1)
    emphasis = (values - values.min()) / max(float(np.ptp(values)), 1e-12)
    with figure(paper, 3.2) as (made, axes):
        for row in np.argsort(values):
            axes.plot(
                range(len(names)),
                scaled[row],
                color=MAIN,
                lw=0.6 + 1.2 * emphasis[row],
                alpha=0.15 + 0.7 * emphasis[row],
            )
        labels = [f"{n}\n{a:.4g} to {b:.4g}" for n, a, b in zip(names, low, high, strict=True)]
        axes.set_xticks(range(len(names)), labels, fontsize=7, rotation=90 if paper.is_narrow else 0)
        axes.set_yticks([])
        axes.set_title("Trials by their parameters, the best boldest")
        return svg(made, "parallel coordinates of the trials", paper)


def slices(report: Part, paper: Paper) -> str:
    """The value against each parameter on its own."""
    names, table, values = _numeric_parameters(report["study"])
    if not names:
        return ""
    columns = min(2 if paper.is_narrow else 5, len(names))
    rows = -(-len(names) // columns)
    with figure(paper, 1.9 * rows, rows, columns, sharey=True, squeeze=False) as (made, grid):
        for axes, column in zip(grid.flat, range(len(names)), strict=False):
            axes.plot(table[:, column], values, "o", ms=3, color=MAIN, alpha=0.7)
            axes.set_title(names[column], fontsize=8)
        for axes in grid.flat[len(names) :]:
            axes.set_visible(False)
        return svg(made, "value of the trials against each parameter", paper)


def rungs(report: Part, paper: Paper) -> str:
    """The held-back loss of every trial at each rung that it reached; nothing for a study that prunes between windows."""
    study = report["study"]
    learnt = [trial for trial in study["trials"] if trial.get("losses")]
    if not study.get("rungs") or not learnt:
        return ""
    with figure(paper, 2.8) as (made, axes):
        for trial in learnt:
            done = trial["state"] == "complete"
            axes.plot(
                range(len(trial["losses"])), trial["losses"], "o-" if done else "x--", ms=4,
                color=MAIN if done else MUTED, lw=1.6 if done else 0.9,
            )  # fmt: skip  # where, then how
            at = len(trial["losses"]) - 1
            axes.annotate(
                str(trial["number"]), (at, trial["losses"][at]), xytext=(6, 0), textcoords="offset points",
                fontsize=7.5, va="center", color=MAIN if done else MUTED,
            )  # fmt: skip  # where, then how
        axes.set_xticks(range(len(study["rungs"])), [str(epoch) for epoch in study["rungs"]])
        axes.set_xlim(-0.2, len(study["rungs"]) - 0.7)
        axes.set_xlabel("epochs")
        axes.set_title("Held-back loss of each trial (crosses: pruned)")
        return svg(made, "held-back loss of the trials at each rung of epochs", paper)


STUDY_CHARTS: dict[str, Callable[[Part, Paper], str]] = {
    "history": history,
    "parallel": parallel,
    "slices": slices,
    "rungs": rungs,
}
