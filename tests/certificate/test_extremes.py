"""Drills of extremes: an output that leaves its bounds, or moves otherwise than its family says, is caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from backtest.certificate.extremes import extremes
from backtest.certificate.subject import LiveForecast, Subject
from tests.support.bent_predictors import bent
from tests.support.certified import clean_subject, subject_for
from trader.core.types import Bars, Floats, Matrix


@pytest.fixture
def clean() -> Subject:
    """A clean model by XGBoost."""
    return clean_subject()


@pytest.mark.parametrize(
    ("bend", "said"),
    [
        (lambda p, z: np.where(z > 8, np.nan, p), "moved features"),
        (lambda p, z: p + np.maximum(z - 4, 0), "moved features"),
        (lambda p, z: np.clip(p + 1e-5 * z, 0, 1), "as the family says"),
    ],
    ids=["not a number", "out of bounds", "trees that rise for ever"],
)
def test_an_output_that_leaves_its_bounds_is_caught(
    clean: Subject, bend: Callable[[Matrix, Floats], Floats], said: str
) -> None:
    """Finite, within 0 to 1, and constant beyond the outermost threshold of a tree. z: the first feature in standard deviations
    from its mean in training."""
    assert extremes(clean).passed
    first = clean.training.X[:, 0].astype(np.float64)
    found = extremes(
        bent(clean, lambda p, X: bend(p, (X[:, 0] - first.mean()) / first.std()).astype(np.float32))
    )
    assert found.failure.startswith(said), found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda told: LiveForecast(float("nan"), told.quantiles), "P(up) is nan"),
        (lambda told: LiveForecast(None), "nothing is said of it"),
        (
            lambda told: LiveForecast(told.p_up, (*told.quantiles[:-1], float("inf"))),
            "a quantile is not finite",
        ),
        (lambda told: LiveForecast(told.p_up, tuple(reversed(told.quantiles))), "quantiles cross"),
        (
            lambda told: LiveForecast(told.p_up, tuple(it * 1.01 for it in told.quantiles)),
            "those of the last returns",
        ),
    ],
    ids=["nan", "silent", "infinite", "crossing", "another window"],
)
def test_a_live_path_that_breaks_on_a_shock_is_caught(
    change: Callable[[LiveForecast], LiveForecast], said: str
) -> None:
    """The naive distribution, spoilt in each hour whose close moved far."""
    subject = subject_for("naive")
    calm = float(np.log(subject.bars.close[-1]))

    def broken(bars: Bars, hour: int) -> LiveForecast:
        told = subject.live(bars, hour)
        moved = hour == subject.bars.last and abs(float(np.log(bars.close[-1])) - calm) > 1e-9
        return change(told) if moved else told

    found = extremes(replace(subject, live=broken))
    assert said in found.failure


def test_an_hour_without_a_bar_that_is_predicted_is_caught(clean: Subject) -> None:
    """The bot says nothing there."""

    def always(bars: Bars, hour: int) -> LiveForecast:
        return clean.live(bars, hour) if bars.has(hour) else LiveForecast(0.5)

    assert (
        extremes(replace(clean, live=always)).failure
        == "an hour without a bar: P(up) 0.5 of an hour without a bar"
    )
