"""The published study's loop, against a plain one."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost as xgb

from backtest.executors.registry import Setup, open_executor
from backtest.reference.reproduce import (
    AFTER_LAST,
    FIRST,
    PublishedTrial,
    SeedRows,
    filled_forward,
    published_trials,
    reproduce,
    rows_of,
    score,
    windows,
)
from tests.support.bars_made import bars_made
from trader.core.errors import DataError
from trader.core.model_params import XGBoostParams
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.types import HOUR_MS, Matrix

GAPS = (500, 501, 1_500)
BARS = bars_made(3_000, 3, missing=GAPS)
START, STOP = BARS.first + 100 * HOUR_MS, BARS.last - 50 * HOUR_MS
ROWS = rows_of(BARS, "made", START, STOP)


def trial(number: int, look_back_days: int, depth: int) -> PublishedTrial:
    """A small stand-in for a published parameter set."""
    trees = {**DEFAULT_PARAMS["model"], "n_estimators": 15, "max_depth": depth, "gamma": 1}
    values = {"model": trees, "look_back_days": look_back_days, "features": "seed_code", "seed": 0}
    return PublishedTrial(number, float(number), params_of({**DEFAULT_PARAMS, **values}, "x"))


TRIALS = [trial(0, 30, 3), trial(1, 45, 4), trial(2, 60, 2)]


def plain_loop(rows: SeedRows, chosen: PublishedTrial) -> tuple[np.ndarray, float]:
    """The reference's loop, written down: train on b - a rows, serve 720, add or subtract |return|."""
    trees = chosen.params.model
    assert isinstance(trees, XGBoostParams)
    settings = {
        "objective": "binary:logistic",
        "max_depth": trees.max_depth,
        "learning_rate": trees.learning_rate,
        "subsample": trees.subsample,
        "colsample_bytree": trees.colsample_bytree,
        "gamma": trees.gamma,
        "nthread": 1,
    }
    parts, total, a = [], 0.0, 0
    while a + 24 * chosen.params.look_back_days < len(rows):
        b = a + 24 * chosen.params.look_back_days
        until = min(b + 720, len(rows))
        train = xgb.QuantileDMatrix(rows.X[a:b], label=rows.up[a:b], nthread=1)
        booster = xgb.train(settings, train, num_boost_round=trees.n_estimators)
        p_up = booster.inplace_predict(rows.X[b:until])
        for p, up, move in zip(p_up, rows.up[b:until], rows.moves[b:until], strict=True):
            total += abs(move) if (p > 0.5) == (up > 0) else -abs(move)
        parts.append(p_up)
        a += 720
    return np.concatenate(parts), total


@pytest.mark.parametrize("chosen", TRIALS)
def test_every_prediction_equals_the_plain_loops(chosen: PublishedTrial) -> None:
    """All bytes of P(up), and the score to 1e-12."""
    spans = windows(len(ROWS), chosen.params.look_back_days)
    kept: list[Matrix] = []
    reproduce(ROWS, seeds=(chosen.params.seed,), trials=[chosen], keep=kept.append)
    (p_up,) = kept
    want, total = plain_loop(ROWS, chosen)
    assert p_up.tobytes() == want.tobytes()
    assert score(ROWS, spans[0][1], p_up).gross == pytest.approx(total, abs=1e-12)


def test_windows_step_by_720_rows_and_the_last_is_short() -> None:
    """a = 720 i, b = a + 24 look_back, served to b + 720 or the end; served rows tile."""
    spans = windows(2_000, 20)
    assert spans == [(0, 480, 1_200), (720, 1_200, 1_920), (1_440, 1_920, 2_000)]
    assert windows(480, 20) == []


def test_rows_are_the_references() -> None:
    """Ten columns without NaN; a missing hour repeats the one before, so its move is 0 and its label 0; the last
    outcome is unknown and counts as down."""
    assert ROWS.X.shape == ((STOP - START) // HOUR_MS, 10)
    assert not np.isnan(ROWS.X).any()
    first = BARS.row(START)
    for gap in GAPS:
        assert ROWS.moves[gap - 1 - first] == 0.0
        assert ROWS.up[gap - 1 - first] == 0.0
    assert (ROWS.moves[-1], ROWS.up[-1]) == (0.0, 0.0)
    filled = filled_forward(BARS)
    assert filled.volume[500] == filled.volume[501] == BARS.volume[499]
    assert filled.high[1_500] == BARS.high[1_499]


def test_a_series_that_begins_with_the_study_loses_undefined_rows() -> None:
    """21 rows have no RSI 21."""
    assert len(rows_of(BARS, "made", BARS.first, STOP)) == BARS.row(STOP) - 21


def test_the_score_by_hand() -> None:
    """Right, wrong, right, right; up, up, down, up: two changes of mind, so five sides at 0.1 %."""
    rows = SeedRows(
        np.zeros((5, 10), np.float32), np.array([0.0, 1, 0, 0, 1]), np.array([0.9, 0.01, -0.02, -0.04, 0.08])
    )
    got = score(rows, 1, np.array([0.6, 0.7, 0.5, 0.6], np.float32))
    assert got.gross == pytest.approx(0.01 - 0.02 + 0.04 + 0.08)
    assert (got.changes, got.hours) == (2, 4)
    assert got.net == pytest.approx(0.11 - 0.005)
    assert got.net_reopened == pytest.approx(0.11 - 0.008)


def test_the_report_holds_every_trial_and_seed() -> None:
    """Published beside reproduced, other seeds beside both; workers change nothing but the seconds."""
    one = reproduce(ROWS, seeds=(0, 1), trials=TRIALS)
    with open_executor("local", Setup(2)) as executor:
        two = reproduce(ROWS, seeds=(0, 1), executor=executor, trials=TRIALS)
    one.pop("seconds"), two.pop("seconds")
    assert one == two
    assert one["rows"] == len(ROWS)
    assert [row["trial"] for row in one["trials"]] == [0, 1, 2]
    for row, chosen in zip(one["trials"], TRIALS, strict=True):
        assert row["reproduced"] == pytest.approx(plain_loop(ROWS, chosen)[1], abs=1e-12)
        assert len(row["other_seeds"]) == 1
        assert row["net"] < row["reproduced"]
    published, reproduced = ([row[key] for row in one["trials"]] for key in ("published", "reproduced"))
    assert one["correlation"] == pytest.approx(np.corrcoef(published, reproduced)[0, 1])


def test_the_published_sets_are_all_there() -> None:
    """Twenty, in order; the best is trial 13 with 5.2103 at a look-back of 59 days."""
    trials = published_trials()
    assert [t.number for t in trials] == list(range(20))
    best = max(trials, key=lambda t: t.published)
    assert (best.number, round(best.published, 4), best.params.look_back_days) == (13, 5.2103, 59)
    assert isinstance(best.params.model, XGBoostParams)
    assert best.params.model.n_estimators == 355
    assert (AFTER_LAST - FIRST) // HOUR_MS == 35_064


def test_bars_that_do_not_reach_are_refused() -> None:
    """The message says which hours are needed and which are there."""
    with pytest.raises(
        DataError, match=r"needs bars that close from 2018-01-01T01:00:00Z to 2022-01-01T00:00:00Z; made"
    ):
        rows_of(BARS, "made")
