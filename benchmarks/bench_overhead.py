"""How much of a walk-forward is not XGBoost's own training and prediction."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from backtest.engine.outcome import run_backtest, summary_of_run
from backtest.engine.simulate import Run, simulate
from backtest.engine.walkforward import walk_forward
from benchmarks.figure import Figure
from benchmarks.scene import START, STOP, bars, median, reference_params
from trader import terminal
from trader.core.hours import Rules
from trader.core.params import Params
from trader.core.types import DAY_MS, Filters, Floats, Matrix
from trader.forecasters.xgboost import XGBoostForecaster, XGBoostPredictor

ROUNDS = 5


class Timed(XGBoostForecaster):
    """XGBoost with a stopwatch, one for all instances, since a task makes its own: seconds spent in training and
    prediction."""

    seconds = 0.0

    @staticmethod
    def reset() -> Timed:
        """One whose stopwatch stands at 0."""
        Timed.seconds = 0.0
        return Timed()

    def train(self, X: Matrix, y: Floats, params: Params, seed: int, symbols: Sequence[str]) -> Any:
        """Timed."""
        began = time.perf_counter()
        booster = super().train(X, y, params, seed, symbols)
        Timed.seconds += time.perf_counter() - began
        return booster

    def predictor(self, native: Any) -> XGBoostPredictor:
        """Timed, too."""
        return TimedPredictor(native)


class TimedPredictor(XGBoostPredictor):
    """A predictor that adds to the same stopwatch."""

    def scores(self, X: Matrix) -> Matrix:
        """Timed."""
        began = time.perf_counter()
        scores = super().scores(X)
        Timed.seconds += time.perf_counter() - began
        return scores


def run() -> list[Figure]:
    """47 windows of 30 days."""
    return _figures(STOP, ROUNDS)


def run_small() -> list[Figure]:
    """Three windows, once."""
    return _figures(START + 90 * DAY_MS, rounds=1)


def _figures(stop: int, rounds: int) -> list[Figure]:
    """Shares of the wall, one worker, medians: without and with everything that `backtest run` does after."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        series, params = bars(folder), reference_params()
        rules = Rules(params, Filters.derived(float(series.close[series.row(START)])))
        free = Rules(
            params.model_copy(update={"halt_cumulative_return": None, "fee_rate": Decimal(0)}), rules.filters
        )
        walking, whole, table, busy = (list[float]() for _ in range(4))
        same = True
        for _ in range(rounds):
            timed, began = Timed.reset(), time.perf_counter()
            p_up = walk_forward(timed, series, params, START, stop, source="bars")
            walking.append(1 - timed.seconds / (time.perf_counter() - began))
            done = simulate(series, p_up, rules, START, stop)
            write(done, folder)
            summary_of_run(done, series, rules, seconds=0.0)
            whole.append(1 - timed.seconds / (time.perf_counter() - began))
            untimed = walk_forward(XGBoostForecaster(), series, params, START, stop, source="bars")
            same = same and p_up.tobytes() == untimed.tobytes()
            for chosen, shares in ((rules, table), (free, busy)):
                timed, began = Timed.reset(), time.perf_counter()
                write(run_backtest(timed, series, chosen, START, stop, source="bars").run, folder)
                shares.append(1 - timed.seconds / (time.perf_counter() - began))
    return [
        Figure("walk-forward outside XGBoost", median(walking) * 100, "at most", 2.0, "%"),
        Figure("with simulate, hours file, summary", median(whole) * 100, "at most", 8.0, "%"),
        Figure("and all of it once more in sample, for the table", median(table) * 100, unit="%"),
        Figure("the same, never halted, no fee (orders all along)", median(busy) * 100, unit="%"),
        Figure("timed and untimed predict the same", same, "exactly", 1, is_result=True),
    ]


def write(run: Run, folder: Path) -> None:
    """The hours file."""
    terminal.write_lines(folder / "hours.jsonl", iter(["\n".join(run.track.texts())]))
