"""The rules by which the bot retrains, walked over history: the calendar, bad recent hours, drift.

Hours are simulated in spans between two refits. After every hour the same functions
decide as in the bot (`core/lifecycle.py`), with what is known at that hour, in the bot's order: the calendar first, then
bad hours, then drift.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backtest.engine.simulate import Run, joined, simulate
from backtest.lifecycle.market import FittedModel, LifecycleMarket, RunningRecord
from backtest.study.trials import Study
from trader.core.drift import DRIFT_HOURS
from trader.core.hours import HourState
from trader.core.lifecycle import (
    BreachRule,
    Champion,
    Drift,
    DriftRule,
    breach,
    calendar_refit,
    drifted,
    due_refit,
    serving,
    within_budget,
)
from trader.core.metrics import max_drawdown
from trader.core.params import Params
from trader.core.summary import net_sharpe
from trader.core.types import DAY_MS, HOUR_MS, iso

# (the serving parameters, the hour that the new model serves from, the number of the breach) -> a study
Search = Callable[[Params, int, int], Study]


@dataclass(frozen=True, slots=True)
class LifecycleRule:
    """A rule of retraining to be compared. Every rule refits by the calendar; `breach` and `drift` add refits."""

    name: str
    breach: BreachRule | None = None
    drift: DriftRule | None = None


@dataclass(frozen=True, slots=True)
class AnsweredTrigger:
    """A breach or a drift at an hour (UTC ms), why, and the hour from which the model that answered it may serve."""

    at: int
    why: str
    serves_from: int


@dataclass(frozen=True, slots=True, eq=False)
class RuleResult:
    """What a rule did. refits: models fitted after the first. configurations: all that its searches looked at."""

    rule: LifecycleRule
    run: Run
    refits: int
    searches: int
    configurations: int
    answers: list[AnsweredTrigger]
    seconds: float

    def row(self, market: LifecycleMarket) -> dict[str, Any]:
        """Its row of the comparison. net_return is compounded, sharpe annualised."""
        allocation = market.rules.params.allocation_usdt
        ledger, risk = self.run.state.ledger, self.run.state.risk
        final = self.run.track.final_equity() or allocation
        return {
            "rule": self.rule.name,
            "refits": self.refits,
            "searches": self.searches,
            "configurations": self.configurations,
            "net_return": float(final / allocation - 1),
            "sharpe": net_sharpe(self.run.equity, allocation),
            "max_drawdown": max_drawdown(self.run.equity, float(allocation)),
            "orders": ledger.orders,
            "halted_at": None if risk.halted_at is None else iso(risk.halted_at),
            "seconds": round(self.seconds, 3),
            "answers": [
                {"at": iso(it.at), "why": it.why, "serves_from": iso(it.serves_from)} for it in self.answers
            ],
        }


def simulate_rule(market: LifecycleMarket, rule: LifecycleRule, search: Search | None) -> RuleResult:
    """Trade the market's hours under a rule. A breach is answered by `search` and a refit, without one by a refit."""
    began = time.perf_counter()
    run = _RuleRun(market, rule, search)
    run.run_all()
    return RuleResult(
        rule,
        joined(run.parts),
        len(run.models) - 1,
        run.searches,
        run.configurations,
        run.answers,
        time.perf_counter() - began,
    )


class _RuleRun:
    """The state of one rule's simulation: what was traded, which models there are, what was answered."""

    def __init__(self, market: LifecycleMarket, rule: LifecycleRule, search: Search | None) -> None:
        self._market, self._rule, self._search = market, rule, search
        self._horizon = market.rules.params.horizon_hours
        self.parts: list[Run] = []
        self.answers: list[AnsweredTrigger] = []
        self.searches = self.configurations = 0
        self._state = HourState.fresh(market.rules.params.allocation_usdt)
        hours = (market.stop - market.start) // HOUR_MS
        self._p_up, self._equity = np.full(hours, np.nan), np.full(hours, np.nan)
        self.models: list[FittedModel] = []
        self.models.append(self._fitted(market.rules.params, market.start))

    def run_all(self) -> None:
        """Span by span: as far as no refit is due, and to the hour of the next one."""
        hour = self._market.start
        while hour < self._market.stop:
            hour = self._span(hour, self._until(hour))

    def _until(self, hour: int) -> int:
        """The hour before which the serving model is simulated: the end, the next model's first hour, or the hour after the
        calendar's next training, whichever is first."""
        market, params = self._market, self.models[-1].params
        waiting = [it.champion.valid_from for it in self.models if it.champion.valid_from > hour]
        gap = params.gap_hours * HOUR_MS
        newest = calendar_refit(market.start, params.step_days, hour + gap) or market.start
        return min([*waiting, market.stop, newest + params.step_days * DAY_MS - gap + HOUR_MS])

    def _span(self, start: int, stop: int) -> int:
        """Trade start <= T < stop, or to the first hour after which a model is fitted. Returns the next hour."""
        model = self._serving(start)
        run = self._traded(model, start, stop)
        first, last = self._at(start), self._at(stop)
        self._p_up[first:last], self._equity[first:last] = run.track.p_up, run.equity
        seen = RunningRecord(self._market.start, self._equity, *self._market.scored(self._p_up))
        drift = self._drift(model, start, stop)
        for hour in range(start, stop, HOUR_MS):
            fitted = self._fitted_after(hour, run, seen, drift[self._at(hour) - first])
            if fitted is None:
                continue
            self.models.append(fitted)
            if hour + HOUR_MS < stop:
                stop = hour + HOUR_MS
                run = self._traded(model, start, stop)
            break
        self.parts.append(run)
        self._state = run.state
        return stop

    def _traded(self, model: FittedModel, start: int, stop: int) -> Run:
        market = self._market
        rules = replace(market.rules, params=model.params)
        return simulate(market.bars, market.predicted(model, start, stop), rules, start, stop, self._state)

    def _fitted_after(
        self, hour: int, run: Run, seen: RunningRecord, drift: Drift | None
    ) -> FittedModel | None:
        """The model that is fitted after an hour, None where nothing is due. The calendar is asked in every hour, breach
        and drift while the venue is open and nothing is halted."""
        newest, champions = self.models[-1].params, [it.champion for it in self.models]
        due = due_refit(self._market.start, newest.step_days, newest.gap_hours, hour, champions)
        if due is not None:
            return self._fitted(newest, due)
        halted_at = run.state.risk.halted_at
        if self._market.shut(hour) or (halted_at is not None and halted_at <= hour):
            return None
        why = self._trigger_reason(hour, seen, drift)
        return None if why is None else self._answered(hour, why, newest)

    def _trigger_reason(self, hour: int, seen: RunningRecord, drift: Drift | None) -> str | None:
        """Why bad hours or drift ask for a search or a refit after this hour; None where they do not."""
        i, earlier = self._at(hour), [answer.at for answer in self.answers]
        last = earlier[-1] if earlier else None
        breach_rule, drift_rule = self._rule.breach, self._rule.drift
        why = None
        if (
            breach_rule is not None
            and i >= breach_rule.hours
            and within_budget(breach_rule.budget, hour, earlier)
        ):
            why = breach(breach_rule, seen.totals(i), seen.totals(i - breach_rule.hours), last)
        if why or drift_rule is None or drift is None or not within_budget(drift_rule.budget, hour, earlier):
            return why
        return drifted(drift_rule, hour, drift, last) if i >= DRIFT_HOURS - 1 + self._horizon else None

    def _answered(self, hour: int, why: str, params: Params) -> FittedModel:
        serves_from = hour + params.gap_hours * HOUR_MS
        self.answers.append(AnsweredTrigger(hour, why, serves_from))
        if self._search is not None:
            found = self._search(params, serves_from, len(self.answers))
            self.searches += 1
            self.configurations += found.configurations
            params = found.best.params
        return self._fitted(params, serves_from)

    def _drift(self, model: FittedModel, start: int, stop: int) -> Sequence[Drift | None]:
        if self._rule.drift is None:
            return [None] * ((stop - start) // HOUR_MS)
        return self._market.drift(model, self._p_up, start, stop)

    def _fitted(self, params: Params, serves_from: int) -> FittedModel:
        champion = Champion(str(len(self.models)), serves_from)
        return self._market.fitted(champion, params, with_drift=self._rule.drift is not None)

    def _serving(self, hour: int) -> FittedModel:
        champion = serving([it.champion for it in self.models], hour)
        return next(it for it in self.models if it.champion == champion)

    def _at(self, hour: int) -> int:
        return (hour - self._market.start) // HOUR_MS
