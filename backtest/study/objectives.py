"""What a study maximises. Net ones know every cost; no trade is worth zero in each of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, get_args

import numpy as np

from backtest.engine.ideal import least_float32
from trader.core.features import Matrix
from trader.core.metrics import HOURS_PER_YEAR, max_drawdown
from trader.core.params import Params
from trader.core.summary import net_sharpe
from trader.core.types import Bars, Bools, Floats

Objective = Literal["net_sharpe", "net_return", "gross_return", "calmar"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)

MEANING: dict[Objective, str] = {
    "net_sharpe": "net Sharpe, a year",
    "net_return": "net return, compounded",
    "gross_return": "gross return, additive",
    "calmar": "net Calmar, a year",
}


def company_of(objective: Objective, params: Params, *, swept: bool) -> int:
    """Completed trials that a bar needs before it ends others; `swept` where thresholds are. One for the gross return of
    what always holds a side: its early windows say much of the end. Where trades are few they say little (ADR 11)."""
    always = params.exposure == "long_short" and params.enter_edge == params.exit_edge == 0 and not swept
    return 1 if objective == "gross_return" and always else 4


def net_value(objective: Objective, equity: Floats, allocation: Decimal) -> float:
    """A net objective of the equity after each hour, (n,) in quote. Raises ValueError for gross_return."""
    start = float(allocation)
    if objective == "net_sharpe":
        return net_sharpe(equity, allocation)
    total = float(equity[-1]) / start - 1 if len(equity) else 0.0
    if objective == "net_return":
        return total
    if objective == "calmar":
        drawdown = max_drawdown(equity, start)
        return annualised(total, len(equity)) / drawdown if drawdown > 0 else 0.0
    raise ValueError(f"{objective} is no function of an equity")


def annualised(total: float, hours: int) -> float:
    """A compounded return over `hours` as one a year; a whole loss stays one."""
    return float((1 + total) ** (HOURS_PER_YEAR / hours) - 1) if hours and total > -1 else min(total, 0.0)


def gross_value(sides: Floats, moves: Floats) -> float:
    """The reference's score: what each hour's side, (n,) of -1, 0, 1, gains in the next hour, added up, in stakes."""
    return float((sides * moves).sum())


def next_moves(bars: Bars, start: int, hours: int) -> Floats:
    """(hours,) simple return of the hour after each, 0.0 where either bar is missing."""
    first = bars.row(start)
    here, after = slice(first, first + hours), slice(first + 1, first + hours + 1)
    moves = bars.close[after] / bars.close[here] - 1
    return np.where(bars.flagged[here] | bars.flagged[after], 0.0, moves)


def sides_of(p_up: Matrix, params: Params, tradable: Bools) -> Floats:
    """The side held after each hour, (n,) float64 of -1.0, 0.0, 1.0, by the rule of `decide`, flat at first.

    p_up: (n,) float32; where it is NaN, or the hour is not tradable, the side is kept.
    """
    mirrored = params.exposure == "long_short"
    high = p_up >= least_float32(0.5 + params.enter_edge)
    low = p_up < least_float32(float(np.nextafter(0.5 - params.exit_edge, 1.0)))
    code = high * 1 + low * 2
    if mirrored:
        code = code + (p_up < least_float32(float(np.nextafter(0.5 - params.enter_edge, 1.0)))) * 4
        code = code + (p_up >= least_float32(0.5 + params.exit_edge)) * 8
    code = np.where(tradable & ~np.isnan(p_up), code, 0)
    if params.horizon_hours > 1:
        return _bound_sides(code.tolist(), params.horizon_hours)
    changes = np.flatnonzero(np.diff(code, prepend=-1))
    held, sides = 0, []
    for what in code[changes].tolist():
        held = _turned(held, what)
        sides.append(held)
    lengths = np.diff(np.append(changes, len(code)))
    return np.repeat(np.array(sides, dtype=np.float64), lengths)


def _bound_sides(codes: list[int], horizon_hours: int) -> Floats:
    """The same where what was entered is held for `horizon_hours`, hour by hour."""
    held, free, sides = 0, 0, []
    for i, what in enumerate(codes):
        turned = _turned(held, what) if i >= free or not held else held
        if turned != held and turned:
            free = i + horizon_hours
        held = turned
        sides.append(held)
    return np.array(sides, dtype=np.float64)


def _turned(held: int, what: int) -> int:
    """`decide` on the bits of an hour: 1 enter long, 2 leave long, 4 enter short, 8 leave short."""
    if what & 1:
        return 1
    if what & 4:
        return -1
    if (held == 1 and what & 2) or (held == -1 and what & 8):
        return 0
    return held
