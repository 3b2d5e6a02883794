"""Every configuration that one walk-forward answers for: numbers of stages, and thresholds at quantiles of P(up).

They are compared in the ideal account, which is fast and rounds nothing; the one that is chosen is then traded by
`simulate`, and its exact value is the trial's. Standing aside is one of the choices: it trades nothing and is worth 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from backtest.engine.ideal import Quotes, account, halted, quotes, signals
from backtest.engine.simulate import Run, simulate
from backtest.study.objectives import Objective, net_value, next_moves, sides_of, sum_of_returns
from backtest.study.space import Space, TrialPlan, space_of
from trader.core.hours import Rules
from trader.core.metrics import hourly_returns
from trader.core.params import Params
from trader.core.summary import net_sharpe
from trader.core.types import HOUR_MS, Bars, Bools, Filters, Floats, Matrix

ASIDE_EDGE = 0.49


@dataclass(frozen=True, slots=True)
class SweepMarket:
    """What is traded and by which measure. start: the first hour, UTC ms."""

    bars: Bars
    filters: Filters
    start: int
    objective: Objective


@dataclass(frozen=True, slots=True)
class CandidateScore:
    """One configuration that was looked at: what its trial's parameters are changed to, its value, and its annualised
    net Sharpe ratio; None where it is not known."""

    stages: int
    enter_edge: float
    exit_edge: float
    value: float
    sharpe: float | None

    def of(self, params: Params) -> Params:
        """The configuration, from its trial's parameters."""
        model = space_of(params).at_stage(params.model, self.stages)
        edges = {"enter_edge": self.enter_edge, "exit_edge": self.exit_edge}
        return params.model_copy(update={"model": model, **edges})


@dataclass(frozen=True, slots=True, eq=False)
class RungScore:
    """What the hours so far say of a trial. `value` is that of the best configuration that trades, in the ideal account;
    NaN if none has one."""

    candidates: list[CandidateScore]
    best: CandidateScore

    @property
    def value(self) -> float:
        """Of the best."""
        return self.best.value


@dataclass(frozen=True, slots=True, eq=False)
class TrialResult:
    """A trial to its end. value: exact, and 0.0 with `params` that stand aside if nothing that trades is worth more.
    traded_value: of the best that trades. returns: (n,) net, hourly."""

    value: float
    traded_value: float
    params: Params
    net_return: float
    orders: int
    returns: Floats


def judge(market: SweepMarket, plan: TrialPlan, space: Space, p_up: Matrix) -> RungScore:
    """Look at every configuration over the hours so far: p_up (numbers of stages looked at, hours) float32."""
    at = quotes(market.bars, plan.params, market.start, market.start + p_up.shape[1] * HOUR_MS)
    candidates = [_look(market, at, plan, p_up, *choice) for choice in choices(plan, space, p_up)]
    return RungScore(
        candidates, max(candidates, key=lambda it: -math.inf if math.isnan(it.value) else it.value)
    )


def finish(market: SweepMarket, plan: TrialPlan, verdict: RungScore, p_up: Matrix) -> TrialResult:
    """Trade the best configuration exactly, over all hours."""
    chosen = verdict.best
    params = chosen.of(plan.params)
    row = p_up[plan.stages.index(chosen.stages)]
    run = _traded(market, params, row)
    value = _value(market, params, row, run)
    start = float(params.allocation_usdt)
    returns = hourly_returns(run.equity, start)
    if value < 0 and space_may_stand_aside(plan, params):
        aside = Params.model_validate(params.model_copy(update={"enter_edge": ASIDE_EDGE, "exit_edge": 0.0}))
        return TrialResult(0.0, value, aside, 0.0, 0, np.zeros_like(returns))
    return TrialResult(
        value, value, params, float(run.equity[-1]) / start - 1, run.state.ledger.orders, returns
    )


def space_may_stand_aside(plan: TrialPlan, params: Params) -> bool:
    """A long-or-flat account may trade nothing; one that is always on a side, and a given configuration, may not."""
    return params.exposure == "long_flat" and plan.exactly is None


def choices(plan: TrialPlan, space: Space, p_up: Matrix) -> Iterator[tuple[int, float, float]]:
    """(number of stages, enter_edge, exit_edge), each once."""
    seen = set()
    for stages, row in zip(plan.stages, p_up, strict=True):
        for enter, leave in _edges(plan, space, row):
            if (stages, enter, leave) not in seen:
                seen.add((stages, enter, leave))
                yield stages, enter, leave


def _edges(plan: TrialPlan, space: Space, row: Matrix) -> Iterator[tuple[float, float]]:
    """Edges at quantiles of P(up): the entry never below a half, the exit never above the entry."""
    known = row[~np.isnan(row)].astype(np.float64)
    if plan.exactly is not None or not space.enter_quantiles or not len(known):
        yield plan.params.enter_edge, plan.params.exit_edge
    if not space.enter_quantiles or not len(known):
        return
    found = np.quantile(known, (*space.enter_quantiles, *space.exit_quantiles)).tolist()
    enters, leaves = found[: len(space.enter_quantiles)], found[len(space.enter_quantiles) :]
    for up in enters:
        enter = round(min(max(up - 0.5, 0.0), ASIDE_EDGE), 6)
        for down in leaves:
            yield enter, round(min(max(0.5 - down, -enter), ASIDE_EDGE), 6)


def _look(
    market: SweepMarket, at: Quotes, plan: TrialPlan, p_up: Matrix, stages: int, enter: float, leave: float
) -> CandidateScore:
    # How many stages there were says nothing about how P(up) is traded.
    params = plan.params.model_copy(update={"enter_edge": enter, "exit_edge": leave})
    row = p_up[plan.stages.index(stages)]
    equity = _quick_equity(at, params, row)
    sharpe = None if equity is None else net_sharpe(equity, params.allocation_usdt)
    if market.objective == "sum_of_returns":
        value = _gross(market, params, row)
    elif market.objective == "net_sharpe" and sharpe is not None:
        value = sharpe
    else:
        exact = _traded(market, params, row).equity if equity is None else equity
        value = net_value(market.objective, exact, params.allocation_usdt)
    return CandidateScore(stages, enter, leave, value, sharpe)


def _quick_equity(at: Quotes, params: Params, row: Matrix) -> Floats | None:
    """In the ideal account; None for an exposure that it does not know."""
    if params.exposure != "long_flat":
        return None
    told = signals(at, row, params)
    ideal = account(told, params)
    return halted(ideal, told, params)


def _traded(market: SweepMarket, params: Params, row: Matrix) -> Run:
    stop = market.start + len(row) * HOUR_MS
    return simulate(market.bars, row, Rules(params, market.filters), market.start, stop)


def _value(market: SweepMarket, params: Params, row: Matrix, run: Run) -> float:
    if market.objective == "sum_of_returns":
        return _gross(market, params, row)
    return net_value(market.objective, run.equity, params.allocation_usdt)


def _gross(market: SweepMarket, params: Params, row: Matrix) -> float:
    first, bars = market.bars.row(market.start), market.bars
    here, after = slice(first, first + len(row)), slice(first + 1, first + len(row) + 1)
    tradable: Bools = ~bars.flagged[here] & ~bars.flagged[after]
    return sum_of_returns(sides_of(row, params, tradable), next_moves(bars, market.start, len(row)))
