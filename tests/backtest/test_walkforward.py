"""Walk forward: each hour by the model that served it, the same on any number of workers, blind to the future."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from backtest.engine.history import History
from backtest.engine.walkforward import folds, walk, walk_forward
from backtest.executors.registry import Setup, open_executor
from tests.support.bars_made import bars_made
from trader.core.errors import DataError
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.training import training_of, usable_rows
from trader.core.types import DAY_MS, HOUR_MS, REQUIRED_COLUMNS, Bars
from trader.core.windows import refits
from trader.forecasters.xgboost import XGBoostForecaster

GAPS = (1_300, 1_301, 1_660, 1_700)
BARS = bars_made(2_600, 6, missing=GAPS)
START = BARS.first + 1_600 * HOUR_MS
STOP = START + 900 * HOUR_MS
FORECASTER = XGBoostForecaster()


def params(**changes: Any) -> Params:
    """Twelve small trees over ten days, a new model every fourth day."""
    trees = {**DEFAULT_PARAMS["model"], "n_estimators": 12, "gamma": 0}
    return params_of({**DEFAULT_PARAMS, "model": trees, "look_back_days": 10, "step_days": 4, **changes}, "x")


def scores(bars: Bars = BARS, stop: int = STOP, **options: Any) -> np.ndarray:
    """P(up) out of sample."""
    return walk_forward(FORECASTER, bars, params(), START, stop, source="made", **options)


@cache
def p_up() -> np.ndarray:
    """The scores of all hours by one worker, which the others are compared with."""
    return scores()


def test_every_hour_is_scored_by_the_model_that_a_retrain_would_publish() -> None:
    """Window by window: fitted on `training_of`, through bytes as the bot stores it, the scores are equal to the bit."""
    from trader.core.features import features, preset_named
    from trader.core.panel import Panel

    for window in refits(params(), START, STOP):
        rows = training_of(BARS, window, params(), FORECASTER.traits)
        told = {"horizon": 1, "until": rows.until, "seed": params().seed}
        model = FORECASTER.load(FORECASTER.fit(rows.panel, rows.y, params(), **told), "stored")
        stop = min(window.serve_until, STOP)
        X = features(BARS, preset_named("reference"), window.serve_from, stop)
        served = slice((window.serve_from - START) // HOUR_MS, (stop - START) // HOUR_MS)
        panel = Panel.of([BARS.span(window.serve_from, stop)], [X])
        assert p_up()[served].tobytes() == model.predict(panel, panel.close_time).p_up.tobytes()


@pytest.mark.parametrize("workers", [2, 3, 16])
def test_workers_change_nothing(workers: int) -> None:
    """The same bytes on any number of threads, and progress in order."""
    seen: list[tuple[int, int]] = []
    with open_executor("local", Setup(workers)) as executor:
        found = scores(executor=executor, progress=lambda *at: seen.append(at))
    assert found.tobytes() == p_up().tobytes()
    assert seen == [(n, 10) for n in range(1, 11)]


@pytest.mark.parametrize("hours", [0, 1, 95, 96, 400])
def test_truncating_the_future_changes_no_probability(hours: int) -> None:
    """Walked only so far, on bars cut right there, the scores are those of the whole walk."""
    stop = START + (hours + 1) * HOUR_MS
    assert scores(BARS.until(stop - HOUR_MS), stop).tobytes() == p_up()[: hours + 1].tobytes()


@pytest.mark.parametrize("poison", [np.nan, np.inf, 1e300, 0.0])
def test_poisoning_the_future_changes_no_probability(poison: float) -> None:
    """Whatever later bars hold, scores up to the hour stay, and so does every model that served before."""
    cut = 300
    row = BARS.row(START) + cut
    spoiled = {name: getattr(BARS, name).copy() for name in REQUIRED_COLUMNS}
    for values in spoiled.values():
        values[row + 1 :] = poison
    stop = START + (cut + 1) * HOUR_MS
    assert scores(replace(BARS, **spoiled), stop).tobytes() == p_up()[: cut + 1].tobytes()


def test_no_fold_trains_on_what_it_serves() -> None:
    """A fold's rows are those of its window: as many as there are labelled hours in it."""
    for fold in folds(FORECASTER, BARS, params(), START, STOP, "made"):
        window = fold.window
        first, last = BARS.row(window.train_from), BARS.row(window.train_until)
        flagged = BARS.flagged[first : last + 1] | BARS.flagged[first + 1 : last + 2]
        panel, y = fold.history.training(window, params())
        assert len(usable_rows(panel, y, window.train_until)[1]) == (~flagged).sum()
        assert (int(panel.close_time[0]), int(panel.close_time[-1])) == (
            window.train_from,
            window.train_until,
        )
        assert window.train_until < window.serve_from - HOUR_MS


def test_in_sample_hours_are_scored_by_models_that_saw_them() -> None:
    """The newest step of each training span, joined without a hole, one step before what is served."""
    both = walk(FORECASTER, BARS, params(), START, STOP, source="made")
    assert both.p_up.tobytes() == p_up().tobytes()
    windows = refits(params(), START, STOP)
    assert both.seen_from == windows[0].train_until + HOUR_MS - 4 * DAY_MS
    assert both.seen_from + len(both.p_seen) * HOUR_MS == windows[-1].train_until + HOUR_MS
    rows = training_of(BARS, windows[0], params(), FORECASTER.traits)
    model = FORECASTER.fitted(rows.panel, rows.y, params(), horizon=1, until=rows.until, seed=params().seed)
    known = ~np.isnan(both.p_seen)
    assert known.all()
    assert both.p_seen[:1].tobytes() == model.scores(rows.X[-96:-95]).tobytes()


def test_a_look_back_shorter_than_the_step_leaves_hours_unseen() -> None:
    """Between two training spans no model saw anything: those hours have no in-sample score."""
    both = walk(FORECASTER, BARS, params(look_back_days=2), START, STOP, source="made")
    assert np.isnan(both.p_seen).sum() == 9 * 2 * 24


def test_a_look_back_longer_than_the_bars_is_refused() -> None:
    """Before anything is fitted, with the numbers."""
    with pytest.raises(
        DataError, match=r"look_back 90 d \+ gap 1 h needs 2,161 bars before .*; made has 1,600"
    ):
        walk_forward(FORECASTER, BARS, params(look_back_days=90), START, STOP, source="made")


def test_a_task_names_a_family_and_nothing_else() -> None:
    """Whoever can write a task's settings cannot have any other class or function called."""
    (fold, *_) = folds(FORECASTER, BARS, params(), START, STOP, "made")
    history = fold.history
    assert type(History.of_arrays(history.arrays(), history.settings()).forecaster) is type(FORECASTER)
    for other in ("os:abort", "subprocess:Popen", "trader.core.params:Params"):
        with pytest.raises(DataError, match=f"{other}', which is no family of models"):
            History.of_arrays(history.arrays(), {**history.settings(), "forecaster": other})


def test_an_error_in_a_window_ends_the_walk() -> None:
    """One outcome alone in a window is refused with its span, on one worker and on two."""
    flat = replace(BARS, close=np.full(len(BARS), 100.0))
    for workers in (1, 2):
        with (
            open_executor("local", Setup(workers)) as executor,
            pytest.raises(DataError, match="a model needs both outcomes"),
        ):
            scores(flat, executor=executor)
