"""`simulate` against its slow twin, and an ideal account against vectorbt's Portfolio.from_signals.

vectorbt is no dependency: it runs in the environment of `make peers` (or in VECTORBT_PYTHON). It is given ready signals;
our time includes making them from P(up).
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from backtest.engine.ideal import QuotedSignals, account, quotes, signals, simulate_ideal
from backtest.engine.simulate import simulate
from benchmarks import peers
from benchmarks.figure import Figure
from benchmarks.scene import median, process, reference_values
from tests.support.bars_made import bars_made
from tests.support.published_study import simulate_hour_by_hour
from trader.core.hours import Rules, line_text
from trader.core.params import params_of
from trader.core.types import HOUR_MS, Bars, Filters, Matrix

ROUNDS = 9
SIZES = (35_000, 1_000_000)
SMALL = 10_000
PARAMS = params_of(
    {**reference_values(), "halt_cumulative_return": None, "cash_buffer": 0, "enter_edge": 0.005},
    "the benchmark",
)


def scores(hours: int) -> Matrix:
    """P(up) that keeps its mind for a while, about 1,500 orders in all: more would burn the account on fees."""
    held = hours // 5_000
    minds = np.random.default_rng(5).normal(0.5, 0.006, hours // held + 1).astype(np.float32)
    return np.repeat(minds, held)[:hours]


def ours_s(bars: Bars, p_up: Matrix) -> float:
    """Seconds of one ideal run, signals included."""
    began = time.perf_counter()
    simulate_ideal(bars, p_up, PARAMS, bars.first, bars.first + len(p_up) * HOUR_MS)
    return time.perf_counter() - began


def against_vectorbt(bars: Bars, p_up: Matrix, rounds: int) -> list[Figure]:
    """Equity and time, side by side; ours is timed before and after."""
    size = f"{len(p_up):,} bars"
    told = signals(quotes(bars, PARAMS, bars.first, bars.first + len(p_up) * HOUR_MS), p_up, PARAMS)
    mine = account(told, PARAMS)
    before = [ours_s(bars, p_up) for _ in range(rounds)]
    other = vectorbt(told, rounds)
    after = [ours_s(bars, p_up) for _ in range(rounds)]
    apart = float(np.max(np.abs(mine.equity / other["equity"] - 1)))
    ours, theirs = median(before + after), median(other["simulated"].tolist())
    orders = f"{len(mine.orders):,} orders"
    note = (
        f"{ours * 1e3:.2f} ms with signals and equity; vectorbt {other['version']}: {theirs * 1e3:.2f} ms, "
        f"with equity {median(other['valued'].tolist()) * 1e3:.2f} ms"
    )
    name = f"equity, largest relative difference, {size}"
    return [
        Figure(name, apart, "at most", 1e-9, note=orders, is_result=True),
        Figure(f"ideal account / vectorbt, {size}", ours / theirs, "at most", 0.08, note=note),
    ]


def vectorbt(told: QuotedSignals, rounds: int) -> dict[str, Any]:
    """What vectorbt makes of the same signals in its own interpreter."""
    with tempfile.TemporaryDirectory() as name:
        given, answer = Path(name) / "given.npz", Path(name) / "answer.npz"
        price = np.where(told.said.entries, told.at.buy(slice(None)), told.at.sell(slice(None)))
        np.savez(
            given,
            entries=told.said.entries,
            exits=told.said.exits,
            price=price,
            close=told.at.close,
            fees=float(PARAMS.fee_rate),
            cash=float(PARAMS.allocation_usdt),
            rounds=rounds,
        )
        side = Path(__file__).with_name("vectorbt_side.py")
        process([peers.python("VECTORBT_PYTHON"), str(side), str(given), str(answer)])
        with np.load(answer) as stored:
            return dict(stored)


def exact(bars: Bars, p_up: Matrix, twin: bool) -> list[Figure]:
    """The exact account's time, and its slow twin's where that is bearable; the two must agree on every hour."""
    size = f"{len(p_up):,} bars"
    rules = Rules(PARAMS, Filters.derived(30_000.0))
    stop = bars.first + len(p_up) * HOUR_MS
    began = time.perf_counter()
    run = simulate(bars, p_up, rules, bars.first, stop)
    quick = time.perf_counter() - began
    found = [Figure(f"exact account, {size}, {run.state.ledger.orders:,} orders", quick, unit="s")]
    if twin:
        began = time.perf_counter()
        lines, _ = simulate_hour_by_hour(bars, p_up, rules, bars.first, stop)
        ratio = quick / (time.perf_counter() - began)
        apart = sum(a != b for a, b in zip(run.track.texts(), map(line_text, lines), strict=True))
        found += [
            Figure(f"exact account / hour by hour, {size}", ratio),
            Figure("hours on which the two differ", apart, "exactly", 0, is_result=True),
        ]
    return found


def run() -> list[Figure]:
    """Both sizes."""
    return [figure for size in SIZES for figure in _figures(size, ROUNDS)]


def run_small() -> list[Figure]:
    """A year."""
    return _figures(SMALL, rounds=2)


def _figures(size: int, rounds: int) -> list[Figure]:
    bars, p_up = repeated(size + 2), scores(size)
    return [*against_vectorbt(bars, p_up, rounds), *exact(bars, p_up, twin=size < 100_000)]


def repeated(hours: int) -> Bars:
    """Two years of bars, over and over: a longer walk would leave every sensible price."""
    made = bars_made(17_520, 3)
    again = np.arange(hours) % len(made)
    times = made.first + np.arange(hours, dtype=np.int64) * HOUR_MS
    columns = {name: getattr(made, name)[again] for name in ("open", "high", "low", "close", "volume")}
    return Bars("BTCUSDT", times, **columns, flagged=np.zeros(hours, np.bool_))
