"""What a study maximises. Net ones know every cost; no trade is worth zero in each of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import numpy as np

from trader.core.errors import ConfigError
from trader.core.metrics import HOURS_PER_YEAR, max_drawdown
from trader.core.params import Params
from trader.core.policy import LONG, SHORT, Signals
from trader.core.summary import net_sharpe
from trader.core.turns import turns
from trader.core.types import Bars, Bools, Floats, Matrix

Objective = Literal["net_sharpe", "net_return", "sum_of_returns", "calmar"]

MEANING: dict[Objective, str] = {
    "net_sharpe": "net Sharpe, a year",
    "net_return": "net return, compounded",
    "sum_of_returns": "sum of gross returns",
    "calmar": "net Calmar, a year",
}

# What it was called by earlier versions: commands may still say so, and stored studies do.
FIRST_NAMES: dict[Objective, str] = {"sum_of_returns": "gross_return"}

# A side's code -> the share of the stake that gains with the price.
_SIGNED = np.zeros(3)
_SIGNED[LONG], _SIGNED[SHORT] = 1.0, -1.0


def objective_named(text: str) -> Objective:
    """An objective by its name, or by the name that earlier versions gave it. Raises ConfigError that lists them."""
    for name in MEANING:
        if text in (name, FIRST_NAMES.get(name)):
            return name
    raise ConfigError(f"--objective {text} is not known. Choose one of: {', '.join(MEANING)}")


def min_completed_trials(objective: Objective, params: Params, *, swept: bool) -> int:
    """Completed trials that a pruning threshold needs before it ends other trials; `swept` if thresholds of P(up) are
    searched too. One suffices for the sum of returns of an account that always holds a side, because its early windows
    predict the end well. Where trades are few, early windows predict little (ADR 11)."""
    always = params.exposure == "long_short" and params.enter_edge == params.exit_edge == 0 and not swept
    return 1 if objective == "sum_of_returns" and always else 4


def net_value(objective: Objective, equity: Floats, allocation: Decimal) -> float:
    """A net objective of the equity after each hour, (n,) in quote. Raises ValueError for sum_of_returns."""
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


def sum_of_returns(sides: Floats, moves: Floats) -> float:
    """The reference's score: what each hour's side, (n,) of -1, 0, 1, gains in the next hour, added up, in stakes."""
    return float((sides * moves).sum())


def next_moves(bars: Bars, start: int, hours: int) -> Floats:
    """(hours,) simple return of the hour after each, 0.0 where either bar is missing."""
    first = bars.row(start)
    here, after = slice(first, first + hours), slice(first + 1, first + hours + 1)
    moves = bars.close[after] / bars.close[here] - 1
    return np.where(bars.flagged[here] | bars.flagged[after], 0.0, moves)


def sides_of(p_up: Matrix, params: Params, tradable: Bools) -> Floats:
    """The side held after each hour, (n,) float64 of -1.0, 0.0, 1.0, by the policy's rules, flat at first.

    p_up: (n,) float32; where it is NaN, or the hour is not tradable, the side is kept.
    """
    said = Signals.of(p_up, params.thresholds).where(tradable)
    return _SIGNED[turns(said, params.horizon_hours).held(len(p_up))]
