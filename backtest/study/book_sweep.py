"""Every configuration that one walk-forward of a book answers for, judged by the whole book.

As for a single symbol they are compared quickly, in a book of ideal accounts (`engine/ideal_book.py`), and the one that is chosen
is traded exactly: by `simulate_book`, with transfers of cash, filters and the limits of all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backtest.engine.book import Sleeve, simulate_book
from backtest.engine.ideal_book import IdealBook
from backtest.study.objectives import Objective, net_value
from backtest.study.space import Space, TrialPlan
from backtest.study.sweep import (
    ASIDE_EDGE,
    CandidateScore,
    RungScore,
    TrialResult,
    choices,
    space_may_stand_aside,
)
from trader.core.book import BookRules
from trader.core.hours import Rules
from trader.core.metrics import hourly_returns
from trader.core.params import Params
from trader.core.summary import net_sharpe
from trader.core.types import HOUR_MS, Bars, Filters, Matrix


@dataclass(frozen=True, slots=True, eq=False)
class BookMarket:
    """What is traded and by which measure: s symbols in alphabetical order, their bars over all hours of the book."""

    bars: Sequence[Bars]
    filters: Sequence[Filters]
    rules: BookRules
    objective: Objective


def judge_book(market: BookMarket, plan: TrialPlan, space: Space, p_up: Matrix) -> RungScore:
    """Look at every configuration over the hours so far: p_up (numbers of stages looked at, s, hours) float32."""
    count, capital = len(market.bars), market.rules.params.capital_usdt
    ideal = IdealBook.of(market.bars, [plan.params] * count, market.rules, p_up.shape[2])
    found = []
    for stages, enter, leave in choices(plan, space, p_up.reshape(len(plan.stages), -1)):
        params = plan.params.model_copy(update={"enter_edge": enter, "exit_edge": leave})
        equity = ideal.equity([params] * count, p_up[plan.stages.index(stages)])
        value = net_value(market.objective, equity, capital)
        found.append(CandidateScore(stages, enter, leave, value, net_sharpe(equity, capital)))
    return RungScore(found, max(found, key=lambda it: -math.inf if math.isnan(it.value) else it.value))


def finish_book(market: BookMarket, plan: TrialPlan, verdict: RungScore, p_up: Matrix) -> TrialResult:
    """Trade the best configuration exactly, over all hours."""
    chosen = verdict.best
    params = chosen.of(plan.params)
    rows = p_up[plan.stages.index(chosen.stages)]
    sleeves = [
        Sleeve(bars, Rules(params, filters), row)
        for bars, filters, row in zip(market.bars, market.filters, rows, strict=True)
    ]
    run = simulate_book(sleeves, market.rules, market.rules.start + rows.shape[1] * HOUR_MS)
    equity = np.array([float(line.equity) for line in run.lines])
    capital = float(market.rules.params.capital_usdt)
    value = net_value(market.objective, equity, market.rules.params.capital_usdt)
    returns = hourly_returns(equity, capital)
    if value < 0 and space_may_stand_aside(plan, params):
        aside = Params.model_validate(params.model_copy(update={"enter_edge": ASIDE_EDGE, "exit_edge": 0.0}))
        return TrialResult(0.0, value, aside, 0.0, 0, np.zeros_like(returns))
    orders = sum(it.run.state.ledger.orders for it in run.sleeves)
    return TrialResult(value, value, params, float(equity[-1]) / capital - 1, orders, returns)
