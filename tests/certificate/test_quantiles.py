"""Drills of distributions: a fault in a column of quantiles is caught, in the live path, in a forecast, on the newest hours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from backtest.certificate.newest import newest
from backtest.certificate.production import production
from backtest.certificate.quantile_loss import UNIT_HOURS, recent_deviation, scaled_pinball
from backtest.certificate.subject import LiveForecast, RecordedHour, Spans, Subject
from tests.support.bars_made import bars_made
from tests.support.bent_predictors import FarLateForecaster, SwappedLateForecaster
from tests.support.certified import subject_for, trending
from trader.core.forecast import LEVELS
from trader.core.types import HOUR_MS, Bars, Floats

AHEAD: dict[str, Any] = {"model": {"family": "naive", "forecast_hours": 3}}


@cache
def clean() -> Subject:
    """A clean naive model that reaches three hours ahead, made once; nobody changes it."""
    return subject_for("naive", **AHEAD)


def test_every_hour_ahead_is_compared() -> None:
    """The words of the certificate say how far."""
    found = production(clean(), 24)
    assert found.passed, found.failure
    assert "with their quantiles 3 hours ahead are equal to the bit" in found.checks[2].words


@pytest.mark.parametrize("level", range(len(LEVELS)))
def test_a_column_of_the_live_path_that_is_off_is_caught(level: int) -> None:
    """Each of the seven, by one part in a million."""
    subject = clean()
    off = np.ones(len(LEVELS))
    off[level] += 1e-6

    def wrong(bars: Bars, hour: int) -> LiveForecast:
        told = subject.live(bars, hour)
        return LiveForecast(told.p_up, tuple((np.array(told.quantiles) * off).tolist()))

    found = production(replace(subject, live=wrong), 2)
    assert "the live path gives the quantiles" in found.failure


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda shown: shown * np.array([1, 1, 1, 1, 1, 1.001, 1]),
            "the quantile 0.9 of the close 1 hour ahead is shown as",
        ),
        (lambda shown: np.roll(shown, 1, axis=0), "the quantile 0.025 of the close 1 hour ahead is shown as"),
        (lambda shown: shown[:2], "a forecast 2 hours ahead is shown, and the walk-forward gives 3"),
        (lambda shown: None, "no forecast is shown, and the walk-forward gives one"),
    ],
    ids=["column", "an hour off", "shorter", "silent"],
)
def test_a_forecast_that_is_shown_otherwise_is_caught(
    change: Callable[[Floats], Floats | None], said: str
) -> None:
    """What `trader forecast` shows of hours that are not traded is compared too."""
    subject = clean()

    def wrong(bars: Bars, hour: int) -> Floats | None:
        shown = subject.ahead(bars, hour) if subject.ahead else None
        return None if shown is None else change(shown)

    assert said in production(replace(subject, ahead=wrong), 2).failure


def test_an_hour_that_was_traded_by_other_quantiles_is_caught() -> None:
    """P(up) is that of today, a quantile is not."""
    subject = clean()
    hour = subject.bars.last
    told = subject.told(subject.bars, hour)
    sound = RecordedHour(hour, True, told.p_up, "0a", "0a", told.quantiles)
    assert production(replace(subject, recorded=[sound]), 2).passed
    other = replace(sound, quantiles=(*told.quantiles[:-1], 0.5))
    found = production(replace(subject, recorded=[other]), 2)
    assert found.failure.startswith("predictions of traded hours: 1 hour of 1 differ")
    assert "was traded at the quantiles" in found.failure


@pytest.mark.parametrize("spoilt", [SwappedLateForecaster, FarLateForecaster])
def test_columns_that_are_wrong_on_the_newest_hours_are_caught(spoilt: type[SwappedLateForecaster]) -> None:
    """P(up) says nothing of it: its score passes, that of the quantiles fails. The same family without the fault passes both."""
    subject, spans = subject_for("naive", bars=trending(4_200)), Spans(newest_days=100)
    assert newest(subject, spans).passed
    found = newest(replace(subject, forecaster=spoilt()), spans)
    assert [check.passed for check in found.checks] == [True, False]
    assert found.failure.startswith("quantiles on the newest hours: scaled pinball loss")
    assert found.figures["newest_pinball_low"] > found.figures["pinball"]


def test_the_unit_is_the_deviation_of_the_newest_returns() -> None:
    """By a slow twin, across missing bars; too few returns give none. Later bars change nothing."""
    bars = bars_made(400, missing=(250, 251))
    close = np.where(bars.flagged, np.nan, bars.close)
    moves = np.diff(np.log(close), prepend=np.nan)
    found = recent_deviation(bars)
    for row in (39, 40, 41, 200, 251, 260, 399):
        window = moves[max(0, row + 1 - UNIT_HOURS) : row + 1]
        known = window[~np.isnan(window)]
        assert (
            found[row] == pytest.approx(known.std(), rel=1e-6) if len(known) >= 40 else np.isnan(found[row])
        )
    assert np.array_equal(found[:300], recent_deviation(bars.rows(0, 300)), equal_nan=True)


def test_a_calm_market_and_a_wild_one_have_the_same_loss() -> None:
    """Returns ten times as large, with quantiles ten times as wide, lose as much in this unit."""
    bars = bars_made(400)
    wild = replace(
        bars, **{it: np.exp(10 * np.log(getattr(bars, it) / 1e4)) for it in ("open", "high", "low", "close")}
    )
    hours = bars.close_time[200:390]
    quantiles = np.tile(np.linspace(-0.01, 0.01, len(LEVELS)), (len(hours), 1))
    calm = scaled_pinball(bars, hours, quantiles, 2)
    assert np.allclose(calm, scaled_pinball(wild, hours, 10 * quantiles, 2))
    assert not np.isnan(calm).any()
    assert np.isnan(scaled_pinball(bars, np.array([bars.last - HOUR_MS]), quantiles[:1], 2)).all()
