"""Every configuration that one walk-forward of a book answers for, judged by the whole book.

As for a single symbol they are compared quickly and the one that is chosen is traded exactly. Quickly: each symbol is an ideal
account whose worth follows from P(up) alone, and at each rebalance the book's equity is parted anew by its shares, as if a symbol
could give what it holds. Exactly: `simulate_book`, with transfers of cash, filters and the limits of all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backtest.engine.book import Sleeve, simulate_book
from backtest.engine.ideal import Quotes, account, halted, quotes, signals
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
from trader.core.policy import first_breach
from trader.core.shares import shares_at
from trader.core.summary import net_sharpe
from trader.core.types import HOUR_MS, Bars, Bools, Filters, Floats, Matrix


@dataclass(frozen=True, slots=True, eq=False)
class Resharing:
    """A move of cash in the quick comparison. at: its hour, by index. moving: (s,) the symbols that give and take. weights: (s,)
    of what these are worth."""

    at: int
    moving: Bools
    weights: Floats


@dataclass(frozen=True, slots=True, eq=False)
class BookMarket:
    """What is traded and by which measure: s symbols in alphabetical order, their bars over all hours of the book."""

    bars: Sequence[Bars]
    filters: Sequence[Filters]
    rules: BookRules
    objective: Objective

    @property
    def capital(self) -> float:
        """USDT."""
        return float(self.rules.params.capital_usdt)

    def resharings(self, hours: int) -> list[Resharing]:
        """Every move of cash in the first so many hours."""
        start, params = self.rules.start, self.rules.params
        return [self._resharing(start + i * HOUR_MS, i) for i in range(0, hours, params.rebalance_hours)]

    def _resharing(self, hour: int, i: int) -> Resharing:
        moving = np.array([it.has(hour) or i == 0 for it in self.bars])
        told = (
            shares_at(
                [it for it, moves in zip(self.bars, moving, strict=True) if moves],
                hour,
                self.rules.params.share_settings,
            )
            if moving.any()
            else None
        )
        weights = [float(told.weights.get(it.symbol, 0)) if told else 0.0 for it in self.bars]
        return Resharing(i, moving, np.array(weights))


def judge_book(market: BookMarket, plan: TrialPlan, space: Space, p_up: Matrix) -> RungScore:
    """Look at every configuration over the hours so far: p_up (numbers of stages looked at, s, hours) float32."""
    start, hours = market.rules.start, p_up.shape[2]
    at = [quotes(it, plan.params, start, start + hours * HOUR_MS) for it in market.bars]
    moves = market.resharings(hours)
    found = []
    for stages, enter, leave in choices(plan, space, p_up.reshape(len(plan.stages), -1)):
        params = plan.params.model_copy(update={"enter_edge": enter, "exit_edge": leave})
        equity = quick_equity(market, at, moves, params, p_up[plan.stages.index(stages)])
        capital = market.rules.params.capital_usdt
        value = net_value(market.objective, equity, capital)
        found.append(CandidateScore(stages, enter, leave, value, net_sharpe(equity, capital)))
    best = max(found, key=lambda it: -math.inf if math.isnan(it.value) else it.value)
    return RungScore(found, best)


def quick_equity(
    market: BookMarket, at: Sequence[Quotes], moves: Sequence[Resharing], params: Params, p_up: Matrix
) -> Floats:
    """(hours,) the book's equity in USDT, from p_up (s, hours): an ideal account a symbol, shared anew at each of the moves."""
    index = np.array([_worth(it, params, row) for it, row in zip(at, p_up, strict=True)])
    equity, value, reserve = np.empty(p_up.shape[1]), np.zeros(len(at)), market.capital
    stops = [*(it.at for it in moves[1:]), p_up.shape[1]]
    for move, stop in zip(moves, stops, strict=True):
        pot = reserve + float(value[move.moving].sum())
        value = np.where(move.moving, move.weights * pot, value)
        reserve = pot - float(value[move.moving].sum())
        before = index[:, move.at - 1 : move.at] if move.at else np.ones((len(at), 1))
        worth = value[:, np.newaxis] * (index[:, move.at : stop] / before)
        equity[move.at : stop] = reserve + worth.sum(axis=0)
        value = worth[:, -1]
    breach = first_breach(equity, market.capital, market.rules.limits)
    if breach is not None:
        equity[breach:] = equity[breach]
    return equity


def _worth(at: Quotes, params: Params, row: Matrix) -> Floats:
    """What 1 USDT of a symbol is worth after each hour."""
    told = signals(at, row, params)
    return halted(account(told, params), told, params) / float(params.allocation_usdt)


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
    value = net_value(market.objective, equity, market.rules.params.capital_usdt)
    returns = hourly_returns(equity, market.capital)
    if value < 0 and space_may_stand_aside(plan, params):
        aside = Params.model_validate(params.model_copy(update={"enter_edge": ASIDE_EDGE, "exit_edge": 0.0}))
        return TrialResult(0.0, value, aside, 0.0, 0, np.zeros_like(returns))
    orders = sum(it.run.state.ledger.orders for it in run.sleeves)
    return TrialResult(value, value, params, float(equity[-1]) / market.capital - 1, orders, returns)
