"""Certificates of the families whose libraries only `make families` installs: clean models pass, planted sensitivities do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from backtest.certificate.certify import certify
from backtest.certificate.extremes import extremes
from backtest.certificate.subject import LiveForecast, Subject
from tests.support.certified import HOURS, SPANS, subject_for, trending
from trader.core.types import Bars


@cache
def subject_of_family(family: str) -> Subject:
    """A clean model; that of ARIMA from a market that has more to say than a random walk."""
    return subject_for(family, bars=trending(HOURS) if family == "arima" else None)


@pytest.mark.parametrize("family", ["arima", "prophet", "tft"])
def test_a_clean_model_passes(family: str) -> None:
    """Every part, among them what the family says of a shock."""
    made = certify(subject_of_family(family), 1_800_000_000_000, "tests", SPANS)
    assert made.passed, made.verdict
    [part] = [part for part in made.parts if part.part == "extremes"]
    assert part.checks[-1].name == "as the family says"


def _wider(told: LiveForecast, move: float, scale: float) -> LiveForecast:
    return LiveForecast(told.p_up, tuple(it * (1 + abs(move)) for it in told.quantiles))


def _following(told: LiveForecast, move: float, scale: float) -> LiveForecast:
    return LiveForecast(told.p_up, tuple(it + move for it in told.quantiles))


def _of_the_price(told: LiveForecast, move: float, scale: float) -> LiveForecast:
    return LiveForecast(told.p_up, tuple(it * scale for it in told.quantiles))


@pytest.mark.parametrize(
    ("family", "spoil", "said"),
    [
        ("arima", _wider, "a linear model has a single value of each"),
        ("prophet", _following, "off minus the shock"),
        ("tft", _of_the_price, "move the quantiles from"),
    ],
)
def test_an_output_that_moves_otherwise_is_caught(
    family: str, spoil: Callable[[LiveForecast, float, float], LiveForecast], said: str
) -> None:
    """A width that grows with the shock, a price that follows the close, a return that follows the unit of price."""
    subject = subject_of_family(family)

    def spoilt(bars: Bars, hour: int) -> LiveForecast:
        row = subject.bars.row(hour)
        move = float(np.log(bars.close[-1] / subject.bars.close[row]))
        scale = float(bars.close[-2] / subject.bars.close[row - 1])
        return spoil(subject.live(bars, hour), move if abs(scale - 1) < 1e-9 else 0.0, scale)

    found = extremes(replace(subject, live=spoilt))
    assert found.failure.startswith("as the family says"), found.failure
    assert said in found.failure
