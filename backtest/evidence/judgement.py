"""What a result is worth: baselines, costs, seeds, everything that was tried, and a verdict in one sentence.

Every figure is out of sample. "Do not trade" is an answer, and the usual one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from backtest.engine.simulate import Run, simulate
from backtest.engine.walkforward import walk_forward, walks_by_seed
from backtest.evidence.baselines import (
    Baseline,
    RandomEntryTest,
    baselines,
    break_even_bps,
    cost_stress,
    random_entry_test,
)
from backtest.evidence.ledger import Count
from backtest.evidence.overfitting import Overfitting
from backtest.evidence.significance import Moments, deflated_sharpe, probabilistic_sharpe
from backtest.executors.protocol import Executor
from trader.core.hours import Rules
from trader.core.metrics import hourly_returns
from trader.core.model_params import NaiveParams
from trader.core.ports import Forecaster
from trader.core.types import Bars, Floats, Matrix, Progress

SEEDS = 10
ENOUGH = 0.95  # least DSR, and least share of random entries that do worse
TOO_FITTED = 0.5  # a probability of overfitting (PBO) from here on is an objection


@dataclass(frozen=True, slots=True)
class Seeds:
    """The same parameters with other random seeds of the model: net returns, compounded, in the order of the seeds."""

    net_returns: Sequence[float]

    @property
    def median(self) -> float:
        """The median net return."""
        return float(np.median(self.net_returns))


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that the verdict rests on. psr, dsr: probabilities. Sharpe ratios of strategy and baselines are annualised.

    `trials` is what the ledger counts on this span, `effective` how many independent ones they amount to; None
    without their returns. `pbo` is None without at least two complete trials.
    """

    strategy: Baseline
    baselines: list[Baseline]
    stress: list[Baseline]
    random_entry_test: RandomEntryTest | None
    break_even_bps: float | None
    seeds: Seeds
    psr: float
    dsr: float
    dsr_effective: float | None
    trials: Count
    effective: float | None
    pbo: float | None
    objections: list[str]

    @property
    def verdict(self) -> str:
        """One sentence."""
        if not self.objections:
            return (
                f"Trade it small and watch it: DSR {self.dsr:.3f}, configurations tried: {self.trials.configurations}, "
                f"a gain at twice the costs, under most seeds, and above {self._beaten():.0%} of random entries."
            )
        return f"Do not trade: {'; '.join(self.objections)}."

    def _beaten(self) -> float:
        return self.random_entry_test.share_below if self.random_entry_test else 0.0

    def as_json(self) -> dict[str, Any]:
        """Plain values, the verdict first."""
        return {"verdict": self.verdict, **asdict(self), "seeds_median": self.seeds.median}


def assess(
    forecaster: Forecaster,
    bars: Bars,
    p_up: Matrix,
    rules: Rules,
    start: int,
    stop: int,
    *,
    naive: Forecaster,
    trials: Count,
    others: Sequence[Bars] = (),
    effective: float | None = None,
    fitted: Overfitting | None = None,
    source: str,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Evidence:
    """The evidence about p_up (n,) traded over start <= T < stop. Refits ten times, for the seeds.

    naive: the family of that name, which the strategy is compared with on the same hours.
    trials: what was tried on this span before, from the ledger; this configuration counts at least one.
    others: bars of the further symbols that a fit sees.
    """
    run = simulate(bars, p_up, rules, start, stop)
    allocation = float(rules.params.allocation_usdt)
    plain = rules.params.model_copy(update={"model": NaiveParams(), "train_symbols": None})
    naive_p_up = walk_forward(naive, bars, plain, start, stop, source=source)
    traded = TradedFigures(
        strategy=Baseline.of("strategy", run.equity, allocation, run.state.ledger.orders),
        baselines=baselines(bars, run.track.target, naive_p_up, rules, start, stop),
        stress=cost_stress(bars, p_up, rules, start, stop),
        random_entry_test=random_entry_test(bars, run.track.target, rules.params, start, stop),
        break_even_bps=break_even_bps(bars, p_up, rules.params, start, stop),
        seeds=_seeds(forecaster, bars, rules, start, stop, source, others, executor, progress),
        returns=hourly_returns(run.equity, allocation),
        halt_reason=_halt_of(run),
    )
    return evidence_of(traded, trials, effective, fitted)


@dataclass(frozen=True, slots=True, eq=False)
class TradedFigures:
    """What was traded, of one symbol or of a book, as `Evidence` has it. returns: (n,) hourly. halt_reason: None where nothing
    halted."""

    strategy: Baseline
    baselines: list[Baseline]
    stress: list[Baseline]
    random_entry_test: RandomEntryTest | None
    break_even_bps: float | None
    seeds: Seeds
    returns: Floats
    halt_reason: str | None


def evidence_of(
    traded: TradedFigures, trials: Count, effective: float | None, fitted: Overfitting | None
) -> Evidence:
    """The evidence: how probable such returns are by luck after all that was tried, and every objection."""
    moments, deviation = Moments.of(traded.returns), trials.sharpe_deviation
    evidence = Evidence(
        strategy=traded.strategy,
        baselines=traded.baselines,
        stress=traded.stress,
        random_entry_test=traded.random_entry_test,
        break_even_bps=traded.break_even_bps,
        seeds=traded.seeds,
        psr=probabilistic_sharpe(moments),
        dsr=deflated_sharpe(moments, max(trials.configurations, 1), deviation),
        dsr_effective=None if effective is None else deflated_sharpe(moments, effective, deviation),
        trials=trials,
        effective=effective,
        pbo=None if fitted is None else fitted.pbo,
        objections=[],
    )
    return replace(evidence, objections=_objections(evidence, traded.halt_reason))


def _seeds(
    forecaster: Forecaster,
    bars: Bars,
    rules: Rules,
    start: int,
    stop: int,
    source: str,
    others: Sequence[Bars],
    executor: Executor | None,
    progress: Progress | None,
) -> Seeds:
    found = []
    walks = walks_by_seed(
        forecaster, bars, rules.params, start, stop, range(SEEDS),
        source=source, others=others, executor=executor,
    )  # fmt: skip  # what is walked, then how it is computed
    for seed, p_up in enumerate(walks):
        run = simulate(bars, p_up, rules, start, stop)
        found.append(float(run.equity[-1]) / float(rules.params.allocation_usdt) - 1)
        if progress:
            progress(seed + 1, SEEDS)
    return Seeds(found)


def _halt_of(run: Run) -> str | None:
    risk = run.state.risk
    return None if risk.halted_at is None else str(risk.halt_reason)


def _objections(found: Evidence, halt_reason: str | None) -> list[str]:
    """Every reason not to trade, the plainest first. halt_reason: None where nothing halted."""
    strategy, random = found.strategy, found.random_entry_test
    hold = next(baseline for baseline in found.baselines if baseline.name == "buy and hold")
    double = next(case for case in found.stress if case.name == "costs x 2")
    reasons = []
    if not strategy.orders:
        return ["it never trades"]
    if halt_reason is not None:
        reasons.append(f"it halts ({halt_reason})")
    if strategy.net_return <= 0:
        reasons.append(f"it loses {-strategy.net_return:.1%} after costs")
    elif strategy.sharpe <= hold.sharpe:
        reasons.append(
            f"its Sharpe ratio {strategy.sharpe:.2f} is not above buy and hold's {hold.sharpe:.2f}"
        )
    if strategy.net_return > 0 >= double.net_return:
        reasons.append(f"at twice the costs it returns {double.net_return:+.1%}")
    if strategy.net_return > 0 >= found.seeds.median:
        reasons.append(f"under ten seeds its median return is {found.seeds.median:+.1%}")
    if found.dsr < ENOUGH:
        tried = max(found.trials.configurations, 1)
        reasons.append(f"DSR is {found.dsr:.3f}, below {ENOUGH}; configurations tried: {tried}")
    if found.pbo is not None and found.pbo >= TOO_FITTED:
        reasons.append(f"the chance that the search overfitted is {found.pbo:.0%}")
    if random is not None and random.share_below < ENOUGH:
        reasons.append(f"{1 - random.share_below:.0%} of random entries at its turnover did as well")
    return reasons
