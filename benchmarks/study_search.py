"""How soon a study is as good as the plain loop's twenty trials."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Final

from backtest.executors.registry import Setup, open_executor
from backtest.study.space import Space
from backtest.study.trial_context import SearchTask
from backtest.study.trials import Trial
from backtest.study.tune import tune
from benchmarks.plain_search import Found, Score, score, search, sign_rule_params, walk
from trader.core.errors import TraderError
from trader.core.params import Params
from trader.core.types import DAY_MS, Bars, Filters
from trader.forecasters.xgboost import XGBoostForecaster

WORKERS: Final = 2
BATCH: Final = 1
MOST_TRIALS: Final = 80
LATER: Final = 151 * DAY_MS
# Thresholds stay where the sign rule has them; smaller numbers of trees are looked at every twenty-five.
SPACE: Final = Space(stage_step=25, enter_quantiles=(), exit_quantiles=())


@dataclass(frozen=True, slots=True)
class Limits:
    """The hours start <= T < stop that are searched, and the plain loop's trials."""

    start: int
    stop: int
    trials: int


class _ReachedError(TraderError):
    """The study need not go on."""


class _LateError(TraderError):
    """It has taken longer than the plain loop."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Both searches of one seed. `ours` is None where the study never got there; later: the five months after."""

    seed: int
    plain: Found
    ours: Found | None
    trials: int
    plain_later: Score
    ours_later: Score | None

    @property
    def ratio(self) -> float | None:
        """Of the walls."""
        return self.ours.wall_s / self.plain.wall_s if self.ours else None

    def line(self) -> str:
        """For a person."""
        plain = f"plain {self.plain.gross:.2f} in {self.plain.wall_s:.0f} s, later {_told(self.plain_later)}"
        if self.ours is None or self.ours_later is None:
            return f"seed {self.seed}: {plain}; the study had not reached it by {self.trials} trials"
        return (
            f"seed {self.seed}: {plain}; study {self.ours.gross:.2f} in {self.ours.wall_s:.0f} s, {self.trials} trials, "
            f"later {_told(self.ours_later)}"
        )


def _told(it: Score) -> str:
    return f"{it.gross:+.2f} gross, {it.net:+.2f} after 0.1 % a side"


def pair(bars: Bars, seed: int, limits: Limits) -> Pair:
    """The plain loop to its end, then a study until it is as good; and both winners out of sample."""
    plain = search(bars, limits.start, limits.stop, seed, limits.trials)
    ours, trials = study(bars, seed, plain, limits)
    ours_later = later(bars, ours.params, limits.stop) if ours else None
    return Pair(seed, plain, ours, trials, later(bars, plain.params, limits.stop), ours_later)


def study(bars: Bars, seed: int, plain: Found, limits: Limits) -> tuple[Found | None, int]:
    """A study until its best gross score is the plain loop's, or it took longer; and how many trials had ended by then."""
    start, stop, wanted, longest_s = limits.start, limits.stop, plain.gross, plain.wall_s
    filters = Filters.derived(float(bars.close[bars.row(start)]))
    task = SearchTask(XGBoostForecaster(), bars, sign_rule_params(), filters, start, stop, "bars")
    began, ended, found = time.perf_counter(), 0, None

    def watch(trial: Trial) -> None:
        nonlocal ended, found
        ended += 1
        if time.perf_counter() - began > longest_s:
            raise _LateError
        if trial.state == "complete" and trial.value is not None and trial.value >= wanted:
            found = Found(trial.value, trial.params, time.perf_counter() - began)
            raise _ReachedError

    try:
        with open_executor("local", Setup(WORKERS)) as executor:
            tune(
                task,
                trials=MOST_TRIALS,
                seed=seed,
                executor=executor,
                batch=BATCH,
                objective="sum_of_returns",
                space=SPACE,
                on_trial=watch,
            )
    except _LateError:
        return None, ended
    except _ReachedError:
        assert found is not None
        checked = score(bars, walk(bars, found.params, start, stop), start).gross
        assert abs(checked - found.gross) < 0.05, f"the study says {found.gross}, the plain loop {checked}"
        found = replace(found, gross=checked)
    return found, ended


def later(bars: Bars, params: Params, since: int) -> Score:
    """Out of sample, by the same loop: the five months from `since` on."""
    return score(bars, walk(bars, params, since, since + LATER), since)
