"""A report as plain values: what the page draws, what the terminal prints, what `backtest compare` reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from backtest.engine.simulate import Run, simulate
from backtest.evidence.baselines import without_limits
from backtest.evidence.judgement import Evidence
from backtest.evidence.ledger import config_hash, data_hash
from trader.core.families import own_family
from trader.core.features import preset_named
from trader.core.hours import Rules
from trader.core.labels import label_of
from trader.core.metrics import hit_rate
from trader.core.model_params import NAIVE
from trader.core.params import Params
from trader.core.policy import LONG
from trader.core.types import DAY_MS, HOUR_MS, Bars, Floats, iso
from trader.core.windows import refits

SCHEMA = "report/1"
BINS = 10
# A part of the report, as its template and its figures read it.
Part = dict[str, Any]


def report_of(
    bars: Bars,
    rules: Rules,
    run: Run,
    summary: Part,
    evidence: Evidence,
    start: int,
    stop: int,
    *,
    source: str,
    versions: dict[str, str],
    study: Part | None = None,
    weights: Part | None = None,
    certificate: Part | None = None,
) -> Part:
    """Everything about one strategy over start <= T < stop (UTC ms), out of sample. Shares are compounded."""
    allocation = float(rules.params.allocation_usdt)
    ones = np.ones(len(run.track), np.float32)
    hold = simulate(bars, ones, Rules(without_limits(rules.params), rules.filters), start, stop).equity
    first = bars.row(start)
    label = label_of(bars, rules.params)[first : first + len(run.track)]
    return {
        "schema": SCHEMA,
        "symbol": bars.symbol,
        "from": iso(start),
        "to": iso(stop),
        "settings": _settings(bars, rules, source, versions),
        "summary": {
            key: value
            for key, value in summary.items()
            if key not in ("in_sample", "filters", "seconds", "why_no_order")
        },
        "in_sample": summary.get("in_sample"),
        "evidence": evidence.as_json(),
        "notes": [
            *([summary["why_no_order"]] if summary.get("why_no_order") else []),
            *notes_of(rules.params),
        ],
        "curve": _curve(run, hold, allocation),
        "months": _months(run, hold, allocation),
        "windows": _windows(rules.params, run, hold, label, allocation, start, stop),
        "calibration": calibration(run.track.p_up, label),
        "p_up": _scores(run.track.p_up, rules.params),
        "study": study,
        **({"weights": weights} if weights else {}),
        **({"certificate": certificate} if certificate else {}),
    }


def notes_of(params: Params) -> list[str]:
    """What a reader must know to read the figures right, a sentence each."""
    if params.model.family != NAIVE:
        return []
    return [
        "This strategy is the naive forecast itself: the baseline of that name is the same strategy over again, "
        "but for loss limits "
        "that halt, and all ten seeds are one; only the other baselines say something."
    ]


def _settings(bars: Bars, rules: Rules, source: str, versions: dict[str, str]) -> Part:
    preset, own = preset_named(rules.params.features), own_family(rules.params.model.family)
    return {
        "bars": source,
        "hours_of_bars": len(bars),
        "data_hash": data_hash(bars),
        "config_hash": config_hash(rules.params),
        "features_hash": preset.code_hash,
        **({} if own is None else {"family_hash": own.code_hash}),
        "columns": list(preset.columns),
        "params": rules.params.as_json(),
        "filters": rules.filters.as_json(),
        "versions": versions,
    }


def _curve(run: Run, hold: Floats, allocation: float) -> Part:
    """Marked at the last hour of each day, UTC; drawdown is the day's worst, so that no valley falls between."""
    hours, equity = run.track.hours, run.equity
    days = hours // DAY_MS
    ends = np.flatnonzero(np.diff(days, append=days[-1] + 1))
    begins = np.concatenate(([0], ends[:-1] + 1))
    peaks = np.maximum(np.maximum.accumulate(equity), allocation)
    held = np.maximum(np.maximum.accumulate(hold), allocation)
    long = (run.track.target == LONG).astype(float)
    lengths = ends - begins + 1
    return {
        "day": [iso(int(day) * DAY_MS)[:10] for day in days[ends]],
        "equity": _rounded(equity[ends], 2),
        "buy_and_hold": _rounded(hold[ends], 2),
        "drawdown": _rounded(np.maximum.reduceat(1 - equity / peaks, begins), 5),
        "buy_and_hold_drawdown": _rounded(np.maximum.reduceat(1 - hold / held, begins), 5),
        "exposure": _rounded(np.add.reduceat(long, begins) / lengths, 4),
    }


def _months(run: Run, hold: Floats, allocation: float) -> list[Part]:
    """Net return of each calendar month, UTC, compounded, with buy and hold beside it."""
    months = np.array([iso(int(hour))[:7] for hour in run.track.hours])
    rows, before, held = [], allocation, allocation
    for month in np.unique(months):
        last = int(np.flatnonzero(months == month)[-1])
        now, then = float(run.equity[last]), float(hold[last])
        rows.append(
            {
                "month": str(month),
                "net_return": round(now / before - 1, 6),
                "buy_and_hold": round(then / held - 1, 6),
            }
        )
        before, held = now, then
    return rows


def _windows(
    params: Params, run: Run, hold: Floats, label: Floats, allocation: float, start: int, stop: int
) -> list[Part]:
    """Each refit's life: what it was trained on, and what came of the hours that it served."""
    rows = []
    orders = np.array(sorted(i for i, event in run.track.events.items() if event.order), dtype=np.int64)
    for window in refits(params, start, stop):
        a, b = (window.serve_from - start) // HOUR_MS, (min(window.serve_until, stop) - start) // HOUR_MS
        before = allocation if a == 0 else float(run.equity[a - 1])
        held = allocation if a == 0 else float(hold[a - 1])
        rows.append(
            {
                "serves_from": iso(window.serve_from),
                "trained_from": iso(window.train_from),
                "trained_until": iso(window.train_until),
                "hours": b - a,
                "orders": int(((orders >= a) & (orders < b)).sum()),
                "net_return": round(float(run.equity[b - 1]) / before - 1, 6),
                "buy_and_hold": round(float(hold[b - 1]) / held - 1, 6),
                "hit_rate": hit_rate(run.track.p_up[a:b], label[a:b]),
            }
        )
    return rows


def calibration(p_up: Floats, label: Floats, bins: int = BINS) -> list[Part]:
    """Bins of equal count over hours where both are known: mean P(up), share that rose, and its standard error."""
    known = ~(np.isnan(p_up) | np.isnan(label))
    order = np.argsort(p_up[known], kind="stable")
    rows = []
    for part in np.array_split(order, bins):
        if len(part):
            rose = float(label[known][part].mean())
            rows.append(
                {
                    "hours": len(part),
                    "mean_p_up": round(float(p_up[known][part].mean()), 6),
                    "rose": round(rose, 6),
                    "error": round(float(np.sqrt(rose * (1 - rose) / len(part))), 6),
                }
            )
    return rows


def _scores(p_up: Floats, params: Params) -> Part:
    """The distribution of P(up), and on which side of the thresholds its hours lie."""
    known = p_up[~np.isnan(p_up)]
    enter, leave = params.thresholds.enter_long, params.thresholds.leave_long
    counts, edges = np.histogram(known, bins=60) if len(known) else (np.zeros(0, int), np.zeros(0))
    return {
        "enter_at": round(enter, 6),
        "leave_at": round(leave, 6),
        "counts": counts.tolist(),
        "edges": _rounded(edges, 6),
        "at_or_above_enter": int((known >= enter).sum()),
        "between": int(((known < enter) & (known > leave)).sum()),
        "at_or_below_leave": int((known <= leave).sum()),
        "unknown": int(np.isnan(p_up).sum()),
    }


def study_part(trials: Sequence[Part], importance: dict[str, float], name: str, objective: str) -> Part:
    """The search that led here: every trial in its order, and how much each parameter mattered."""
    return {"name": name, "objective": objective, "trials": list(trials), "importance": importance}


def _rounded(values: Floats, digits: int) -> list[float]:
    return [float(value) for value in np.round(np.asarray(values, dtype=np.float64), digits)]
