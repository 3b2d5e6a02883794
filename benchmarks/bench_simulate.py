"""`simulate` against its slow twin, and an ideal account against vectorbt's Portfolio.from_signals.

vectorbt is no dependency: VECTORBT_PYTHON names an interpreter that has it. It is given ready signals; our time
includes making them from P(up).
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from backtest.engine.ideal import account, quotes, signals, simulate_ideal
from backtest.engine.simulate import simulate
from benchmarks.figure import Figure
from benchmarks.scene import median, reference_values
from tests.backtest.reference import simulate_hour_by_hour
from tests.bars_made import bars_made
from trader.core.hours import Rules
from trader.core.params import params_of
from trader.core.types import HOUR_MS, Bars, Filters, Matrix

ROUNDS = 9
SIZES = (35_000, 1_000_000)
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


def against_vectorbt(bars: Bars, p_up: Matrix) -> list[Figure]:
    """Equity and time, side by side; not measured without vectorbt."""
    size = f"{len(p_up):,} bars"
    python = os.environ.get("VECTORBT_PYTHON")
    if not python:
        note = "set VECTORBT_PYTHON to an interpreter that has vectorbt"
        return [Figure(f"ideal account / vectorbt, {size}", None, "at most", 1.0, note=note)]
    told = signals(quotes(bars, PARAMS, bars.first, bars.first + len(p_up) * HOUR_MS), p_up, PARAMS)
    fee, cash = float(PARAMS.fee_rate), float(PARAMS.allocation_usdt)
    mine = account(told, fee, 0.0, cash)
    with tempfile.TemporaryDirectory() as name:
        given, answer = Path(name) / "given.npz", Path(name) / "answer.npz"
        price = np.where(told.said.entries, told.at.buy(slice(None)), told.at.sell(slice(None)))
        np.savez(
            given,
            entries=told.said.entries,
            exits=told.said.exits,
            price=price,
            close=told.at.close,
            fees=fee,
            cash=cash,
            rounds=ROUNDS,
        )
        before = [ours_s(bars, p_up) for _ in range(ROUNDS)]
        side = Path(__file__).with_name("vectorbt_side.py")
        subprocess.run([python, str(side), str(given), str(answer)], check=True, capture_output=True)
        after = [ours_s(bars, p_up) for _ in range(ROUNDS)]
        with np.load(answer) as stored:
            other = dict(stored)
    apart = float(np.max(np.abs(mine.equity / other["equity"] - 1)))
    ours, theirs = median(before + after), median(other["simulated"].tolist())
    valued = median(other["valued"].tolist())
    return [
        Figure(
            f"equity, largest relative difference, {size}",
            apart,
            "at most",
            1e-9,
            note=f"{len(mine.orders):,} orders",
        ),
        Figure(
            f"ideal account / vectorbt, {size}",
            ours / theirs,
            "at most",
            1.0,
            note=f"{ours * 1e3:.2f} ms with signals and equity; vectorbt {other['version']}: {theirs * 1e3:.2f} ms, "
            f"with equity {valued * 1e3:.2f} ms",
        ),
    ]


def exact(bars: Bars, p_up: Matrix, twin: bool) -> list[Figure]:
    """The exact account's time, and its slow twin's where that is bearable."""
    size = f"{len(p_up):,} bars"
    rules = Rules(PARAMS, Filters.derived(30_000.0))
    stop = bars.first + len(p_up) * HOUR_MS
    began = time.perf_counter()
    run = simulate(bars, p_up, rules, bars.first, stop)
    quick = time.perf_counter() - began
    found = [Figure(f"exact account, {size}, {run.state.ledger.orders:,} orders", quick, unit="s")]
    if twin:
        began = time.perf_counter()
        simulate_hour_by_hour(bars, p_up, rules, bars.first, stop)
        found.append(Figure(f"exact account / hour by hour, {size}", quick / (time.perf_counter() - began)))
    return found


def run() -> list[Figure]:
    """Both sizes."""
    found = []
    for size in SIZES:
        bars, p_up = repeated(size + 2), scores(size)
        found += against_vectorbt(bars, p_up) + exact(bars, p_up, twin=size < 100_000)
    return found


def repeated(hours: int) -> Bars:
    """Two years of bars, over and over: a longer walk would leave every sensible price."""
    made = bars_made(17_520, 3)
    again = np.arange(hours) % len(made)
    return Bars(
        "BTCUSDT",
        made.first + np.arange(hours, dtype=np.int64) * HOUR_MS,
        *(getattr(made, name)[again] for name in ("open", "high", "low", "close", "volume")),
        np.zeros(hours, np.bool_),
    )
