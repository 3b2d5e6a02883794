"""What anybody could have had without the model: the figures that a strategy must be read beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from backtest.engine.ideal import simulate_ideal
from backtest.engine.simulate import simulate
from trader.core.hours import Rules
from trader.core.metrics import hourly_returns, max_drawdown, sharpe
from trader.core.params import Params
from trader.core.policy import LONG, Codes
from trader.core.types import HOUR_MS, Bars, Bools, Floats, Ints, Matrix

DRAWS = 1_000
HIGHEST_BREAK_EVEN_BPS = 1_000.0
HALVINGS = 30  # of HIGHEST_BREAK_EVEN_BPS leave a millionth of a bps


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

    def net_return(held: Sequence[Bools]) -> float:
        return _ideal_return(bars, held[0], params, start, stop)

    return random_entries([target == LONG], net_return, draws, seed)


def random_entries(
    long: Sequence[Bools], net_return: Callable[[Sequence[Bools]], float], draws: int, seed: int = 0
) -> RandomEntryTest | None:
    """Spans of holding and waiting in random order, of each symbol by itself; None where no symbol ever changes sides.

    long: whether a symbol is held, (n,) each. net_return: of symbols that are held so, after costs.
    """
    edges = [np.flatnonzero(np.diff(it.astype(np.int8))) + 1 for it in long]
    if not any(len(it) for it in edges):
        return None
    ours, rng = net_return(long), np.random.default_rng(seed)
    others = np.array(
        [net_return([_shuffled(*it, rng) for it in zip(long, edges, strict=True)]) for _ in range(draws)]
    )
    below = float(np.mean(others < ours) + np.mean(others == ours) / 2)
    return RandomEntryTest(draws, float(np.median(others)), float(others.max()), ours, below)


def _shuffled(long: Bools, edges: Ints, rng: np.random.Generator) -> Bools:
    """The same spans in another order: those of holding among themselves, and those of waiting."""
    if not len(edges):
        return long
    lengths = np.diff(np.concatenate(([0], edges, [len(long)])))
    lengths[0::2], lengths[1::2] = rng.permutation(lengths[0::2]), rng.permutation(lengths[1::2])
    side = (np.arange(len(lengths)) % 2 == 0) == bool(long[0])
    result: Bools = np.repeat(side, lengths)
    return result


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
    """`break_even` of one symbol, in the ideal account without limits."""
    free = never_halting(params)

    def gain(bps: float) -> float:
        ideal = simulate_ideal(bars, p_up, free.model_copy(update=cost_per_side(bps)), start, stop)
        return float(ideal.equity[-1]) - float(params.allocation_usdt) if len(ideal.orders) else float("nan")

    return break_even(gain)


def break_even(gain: Callable[[float], float]) -> float | None:
    """The cost of one side, in 1/10,000, at which the net return is zero; 0.0 where there is no gain even for free.

    gain: what is left at a cost of one side, NaN where nothing is traded. By bisection: the gain falls in the cost. None where
    nothing is traded, and where even HIGHEST_BREAK_EVEN_BPS a side leaves a gain.
    """
    low, high, free = 0.0, HIGHEST_BREAK_EVEN_BPS, gain(0.0)
    if np.isnan(free) or gain(high) > 0:
        return None
    if free <= 0:
        return 0.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if gain(middle) > 0 else (low, middle)
    return round(low, 4)


def break_even_words(bps: float | None, orders: int | None) -> str:
    """The break-even cost of one side for a person; why there is none where `bps` is None."""
    if bps is not None:
        return f"{bps:,.1f} bps"
    return f"above {HIGHEST_BREAK_EVEN_BPS:,.0f} bps" if orders else "nothing was traded"


def cost_stress(bars: Bars, p_up: Matrix, rules: Rules, start: int, stop: int) -> list[Baseline]:
    """`stressed` of one symbol."""

    def traded(case: Stress) -> Baseline:
        run = simulate(bars, case.signal(p_up), case.rules(rules), start, stop)
        return Baseline.of(
            case.name, run.equity, float(rules.params.allocation_usdt), run.state.ledger.orders
        )

    return stressed(traded)


@dataclass(frozen=True, slots=True)
class Stress:
    """A harder way to trade the same predictions: at so many times the costs, or with every signal one bar late."""

    name: str
    cost_factor: Decimal = Decimal(1)
    late: bool = False

    def rules(self, rules: Rules) -> Rules:
        """The rules with these costs."""
        return replace(rules, params=costs_times(rules.params, self.cost_factor))

    def signal(self, p_up: Matrix) -> Matrix:
        """P(up) as it is acted on, (n,)."""
        return delayed(p_up) if self.late else p_up


def stressed(traded: Callable[[Stress], Baseline]) -> list[Baseline]:
    """The strategy at one, two and three times its costs, and with every signal one bar late. traded: what it is worth in each
    case."""
    cases = [Stress(f"costs x {factor}", Decimal(factor)) for factor in (1, 2, 3)]
    return [traded(it) for it in (*cases, Stress("one bar late", late=True))]
