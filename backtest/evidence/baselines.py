"""What anybody could have had without the model: the figures that a strategy must be read beside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from backtest.engine.ideal import simulate_ideal
from backtest.engine.simulate import simulate
from trader.core.hours import Rules
from trader.core.metrics import hourly_returns, max_drawdown, sharpe
from trader.core.params import Params
from trader.core.policy import LONG, Codes
from trader.core.types import HOUR_MS, Bars, Bools, Floats, Matrix

DRAWS = 1_000
HIGHEST_BREAK_EVEN_BPS = 1_000.0


@dataclass(frozen=True, slots=True)
class Baseline:
    """A way to spend the same hours. net_return: compounded share. sharpe: annualised, of hourly net returns.
    max_drawdown: share lost from a peak. orders: how many it took; None where the question has no meaning."""

    name: str
    net_return: float
    sharpe: float
    max_drawdown: float
    orders: int | None

    @staticmethod
    def of(name: str, equity: Floats, allocation: float, orders: int | None) -> Baseline:
        """From equity (n,) after each hour, in quote."""
        return Baseline(
            name,
            float(equity[-1]) / allocation - 1,
            sharpe(hourly_returns(equity, allocation)),
            max_drawdown(equity, allocation),
            orders,
        )


@dataclass(frozen=True, slots=True)
class RandomEntryTest:
    """The same number of entries and the same spans of holding and waiting, in random order, with costs.

    share_below: how many of `draws` random orders ended below the strategy, halves for ties; all in the ideal account.
    """

    draws: int
    median_return: float
    best_return: float
    strategy_return: float
    share_below: float


def baselines(
    bars: Bars, target: Codes, naive: Matrix, rules: Rules, start: int, stop: int
) -> list[Baseline]:
    """Flat, buy and hold, the strategy's own mean exposure held all along at no cost, yesterday's sign, and the naive
    forecast traded by the strategy's own thresholds.

    target: (n,) codes of the strategy over start <= T < stop. naive: (n,) float32, P(up) by the family of that name.
    Nothing halts; costs as in `rules` but where said.
    """
    n = (stop - start) // HOUR_MS
    free = Rules(without_limits(rules.params), rules.filters)
    allocation = float(rules.params.allocation_usdt)
    close = bars.close[bars.row(start) : bars.row(start) + n]
    before = bars.close[bars.row(start) - 24 : bars.row(start) - 24 + n]
    market = hourly_returns(close, float(close[0]))
    share = float(np.mean(target == LONG))
    held = np.asarray(allocation * np.cumprod(1 + share * market), dtype=np.float64)
    rows = [Baseline("flat", 0.0, 0.0, 0.0, 0)]
    for name, p_up in (("buy and hold", np.ones(n)), ("yesterday's sign", (close > before).astype(float))):
        run = simulate(bars, p_up.astype(np.float32), free, start, stop)
        rows.append(Baseline.of(name, run.equity, allocation, run.state.ledger.orders))
    told = Rules(never_halting(rules.params), rules.filters)
    run = simulate(bars, naive, told, start, stop)
    rows.append(Baseline.of("naive forecast", run.equity, allocation, run.state.ledger.orders))
    rows.insert(2, Baseline.of(f"exposure of {share:.0%} held, no cost", held, allocation, None))
    return rows


def random_entry_test(
    bars: Bars, target: Codes, params: Params, start: int, stop: int, *, seed: int = 0, draws: int = DRAWS
) -> RandomEntryTest | None:
    """Random entries at the same turnover; None for a strategy that never holds, or always does."""
    long = target == LONG
    edges = np.flatnonzero(np.diff(long.astype(np.int8))) + 1
    if not len(edges):
        return None
    lengths = np.diff(np.concatenate(([0], edges, [len(long)])))
    ours = _ideal_return(bars, long, params, start, stop)
    rng = np.random.default_rng(seed)
    others = np.empty(draws)
    for draw in range(draws):
        shuffled = lengths.copy()
        shuffled[0::2] = rng.permutation(lengths[0::2])
        shuffled[1::2] = rng.permutation(lengths[1::2])
        side = (np.arange(len(shuffled)) % 2 == 0) == bool(long[0])
        others[draw] = _ideal_return(bars, np.repeat(side, shuffled), params, start, stop)
    below = float(np.mean(others < ours) + np.mean(others == ours) / 2)
    return RandomEntryTest(draws, float(np.median(others)), float(others.max()), ours, below)


def without_limits(params: Params) -> Params:
    """The same parameters, never halting, entering and leaving at a half."""
    return never_halting(params).model_copy(update={"enter_edge": 0.0, "exit_edge": 0.0})


def never_halting(params: Params) -> Params:
    """The same parameters without limits on losses."""
    return params.model_copy(update={"halt_cumulative_return": None, "halt_drawdown": None})


def _ideal_return(bars: Bars, long: Bools, params: Params, start: int, stop: int) -> float:
    p_up: Matrix = long.astype(np.float32)
    ideal = simulate_ideal(bars, p_up, without_limits(params), start, stop)
    return float(ideal.equity[-1]) / float(params.allocation_usdt) - 1


def costs_times(params: Params, factor: Decimal) -> Params:
    """Fee, spread and slippage multiplied."""
    scaled = params.costs.scaled(factor)
    return params.model_copy(
        update={
            "fee_rate": scaled.fee_rate,
            "half_spread_bps": scaled.half_spread_bps,
            "slippage_bps": scaled.slippage_bps,
        }
    )


def delayed(p_up: Matrix, hours: int = 1) -> Matrix:
    """Every signal acted on `hours` later: (n,) -> (n,), NaN at the beginning."""
    late = np.full(len(p_up), np.nan, np.float32)
    late[hours:] = p_up[:-hours]
    return late


def cost_per_side(bps: float) -> dict[str, Decimal | None]:
    """The keys of parameters by which a fill costs so many bps and nothing else."""
    return {
        "fee_rate": Decimal(repr(bps * 1e-4)),
        "fee_discount": None,
        "half_spread_bps": Decimal(0),
        "slippage_bps": Decimal(0),
    }


def break_even_bps(bars: Bars, p_up: Matrix, params: Params, start: int, stop: int) -> float | None:
    """The cost of one side, in 1/10,000, at which the net return is zero; 0.0 where there is no gain even for free.

    In the ideal account without limits, by bisection: its return falls in the cost. None where nothing is traded, and where even
    HIGHEST_BREAK_EVEN_BPS a side leaves a gain.
    """
    free = never_halting(params)

    def gain(bps: float) -> float:
        ideal = simulate_ideal(bars, p_up, free.model_copy(update=cost_per_side(bps)), start, stop)
        return float(ideal.equity[-1]) - float(params.allocation_usdt) if len(ideal.orders) else float("nan")

    low, high = 0.0, HIGHEST_BREAK_EVEN_BPS
    if np.isnan(gain(low)) or gain(high) > 0:
        return None
    if gain(low) <= 0:
        return 0.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if gain(middle) > 0 else (low, middle)
    return round(low, 4)


def break_even_words(bps: float | None, orders: int | None) -> str:
    """The break-even cost of one side for a person; why there is none where `bps` is None."""
    if bps is not None:
        return f"{bps:,.1f} bps"
    return f"above {HIGHEST_BREAK_EVEN_BPS:,.0f} bps" if orders else "nothing was traded"


def cost_stress(bars: Bars, p_up: Matrix, rules: Rules, start: int, stop: int) -> list[Baseline]:
    """The strategy at one, two and three times its costs, and with every signal one bar late."""
    allocation = float(rules.params.allocation_usdt)
    cases = [
        (f"costs x {factor}", p_up, replace(rules, params=costs_times(rules.params, Decimal(factor))))
        for factor in (1, 2, 3)
    ]
    cases.append(("one bar late", delayed(p_up), rules))
    rows = []
    for name, signal, changed in cases:
        run = simulate(bars, signal, changed, start, stop)
        rows.append(Baseline.of(name, run.equity, allocation, run.state.ledger.orders))
    return rows
