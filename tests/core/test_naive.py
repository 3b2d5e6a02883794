"""The rolling distribution, beside numpy's own quantiles of the returns that a reader would count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.bars_made import bars_made
from trader.core.forecast import LEVELS
from trader.core.panel import Panel
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.series import Series
from trader.core.types import HOUR_MS
from trader.forecasters.naive import FEWEST_RETURNS, NaiveForecaster, rolling_quantiles

GAPS = (250, 251, 300)
BARS = bars_made(420, 3, missing=GAPS)


def twin(row: int, hours: int) -> np.ndarray:
    """Return by return."""
    found = []
    for end in range(row - 167, row + 1):
        begin = end - hours
        if begin >= 0 and not BARS.flagged[end] and not BARS.flagged[begin]:
            found.append(np.log(BARS.close[end] / BARS.close[begin]))
    return np.quantile(found, LEVELS) if len(found) >= FEWEST_RETURNS else np.full(len(LEVELS), np.nan)


@pytest.mark.parametrize("hours", [1, 5, 24])
def test_the_quantiles_are_those_of_the_last_week(hours: int) -> None:
    """Every row, over gaps and at the beginning of the series."""
    rows = np.arange(len(BARS))
    found = rolling_quantiles(Series.hourly(BARS), rows, hours)
    wanted = np.stack([twin(row, hours) for row in rows.tolist()])
    assert (np.isnan(found) == np.isnan(wanted)).all()
    assert np.allclose(found, wanted, rtol=0, atol=1e-12, equal_nan=True)


def test_it_says_nothing_of_a_series_that_is_too_young() -> None:
    """One return fewer than it takes: no P(up); with it there is one."""
    params = params_of({**DEFAULT_PARAMS, "model": {"family": "naive"}}, "x")
    forecaster = NaiveForecaster()
    panel = Panel.of([BARS.rows(0, 60)])
    model = forecaster.fit(panel, np.zeros((1, 60)), params, horizon=1, until=BARS.last, seed=0)
    told = forecaster.load(model, "x").predict(panel, panel.close_time)
    assert np.isnan(told.p_up[:FEWEST_RETURNS]).all()
    assert not np.isnan(told.p_up[FEWEST_RETURNS:]).any()


def test_its_label_beyond_cost_asks_for_the_cost() -> None:
    """The same returns pass a hurdle less often than zero."""
    forecaster, panel = NaiveForecaster(), Panel.of([BARS])
    last = np.array([BARS.last - HOUR_MS])
    told = []
    for label in ("direction", "direction_beyond_cost"):
        params = params_of({**DEFAULT_PARAMS, "model": {"family": "naive"}, "label": label}, "x")
        model = forecaster.fit(panel, np.zeros((1, 420)), params, horizon=1, until=0, seed=0)
        told.append(float(forecaster.load(model, "x").predict(panel, last).p_up[0]))
    assert told[1] < told[0] < 1


def test_its_distribution_reaches_as_far_as_it_is_told() -> None:
    """24 hours ahead, each as the rolling returns over so many; P(up) stays that of the horizon."""
    forecaster, panel = NaiveForecaster(), Panel.of([BARS])
    last = np.array([BARS.last])
    models = [
        forecaster.fit(
            panel,
            np.zeros((1, 420)),
            params_of({**DEFAULT_PARAMS, "model": {"family": "naive", **chosen}}, "x"),
            horizon=1,
            until=0,
            seed=0,
        )
        for chosen in ({}, {"forecast_hours": 24})
    ]
    near, far = (forecaster.load(model, "x").predict(panel, last) for model in models)
    assert near.quantiles is not None
    assert far.quantiles is not None
    assert (near.quantiles.shape, far.quantiles.shape) == ((1, 1, 7), (1, 24, 7))
    assert near.p_up == far.p_up
    assert np.allclose(far.quantiles[0, 23], twin(419, 24), rtol=0, atol=1e-12)
