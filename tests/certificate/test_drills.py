"""Drills: a planted fault of each kind in a training or in the live path is caught; clean models of every family pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from backtest.certificate.certify import certify
from backtest.certificate.live import said_live
from backtest.certificate.production import production
from backtest.certificate.subject import LiveForecast, RecordedHour, Subject
from tests.support.certified import SPANS, Fault, an_hour_off, clean_subject, scaled, subject_for, swapped
from trader.core.certificate import PARTS
from trader.core.forecast import Forecast
from trader.core.panel import Panel
from trader.core.ports import Predictor
from trader.core.types import HOUR_MS, Bars, Floats, Ints, Matrix

FAMILIES = ("xgboost", "lightgbm", "naive")
NOW = 1_800_000_000_000


@pytest.fixture
def clean() -> Subject:
    """A clean model by XGBoost."""
    return clean_subject()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_clean_model_passes(family: str) -> None:
    """Every part is there, each comparison passed, and the newest hours were really compared."""
    made = certify(subject_for(family), NOW, "tests", SPANS)
    assert made.passed, made.verdict
    assert [part.part for part in made.parts] == list(PARTS)
    figures = {part.part: part.figures for part in made.parts}
    assert figures["newest"]["hours"] > 600
    assert figures["extremes"]["least_p_up"] < figures["extremes"]["largest_p_up"]


@pytest.mark.parametrize("horizon", [4, 24])
def test_a_clean_model_of_a_longer_horizon_passes(horizon: int) -> None:
    """The labels of its newest hours are not known yet."""
    made = certify(subject_for("xgboost", horizon_hours=horizon), NOW, "tests", SPANS)
    assert made.passed, made.verdict


# --- faults in the training: the card says one thing, the bytes have learnt another ------------------------------------------


def halved(X: Matrix, y: Floats) -> tuple[Matrix, Floats]:
    return X.astype(np.float16).astype(np.float32), y


@pytest.mark.parametrize("fault", [swapped, scaled, an_hour_off, halved], ids=lambda it: it.__name__)
def test_a_fault_in_the_training_is_caught(fault: Fault) -> None:
    """Column order swapped, scaler fitted, horizon off by one, a smaller type: the walk-forward predicts otherwise."""
    found = production(subject_for("xgboost", fault), 24)
    assert not found.passed
    assert found.failure.startswith("live path and walk-forward")
    assert "the walk-forward" in found.failure


# --- faults of the live path: the model is clean, the bot asks it wrongly ---------------------------------------------------


class AskedWrongly:
    """A predictor that is asked for other features than it is given."""

    def __init__(self, inner: Predictor, change: Callable[[Matrix], Matrix]) -> None:
        self.inner, self.change = inner, change

    def predict(self, panel: Panel, hours: Ints) -> Forecast:
        """Of changed rows."""
        return self.inner.predict(Panel(panel.bars, (self.change(panel.X[0]),)), hours)


def asked(subject: Subject, change: Callable[[Matrix], Matrix]) -> Subject:
    """The subject whose live path changes the features."""
    bot_path = subject.live
    cell = next(it for it in bot_path.__closure__ or () if hasattr(it.cell_contents, "predictor"))
    model = replace(cell.cell_contents, predictor=AskedWrongly(cell.cell_contents.predictor, change))
    return replace(subject, live=lambda bars, hour: said_live(bars, hour, model))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda X: np.ascontiguousarray(X[:, [1, 0, *range(2, X.shape[1])]]), "columns swapped"),
        (lambda X: ((X - X.mean()) / X.std()).astype(np.float32), "scaler refitted on the newest row"),
        (lambda X: X.astype(np.float16).astype(np.float32), "smaller type"),
    ],
    ids=["columns", "scaler", "type"],
)
def test_a_fault_of_the_live_path_is_caught(
    clean: Subject, change: Callable[[Matrix], Matrix], what: str
) -> None:
    """What the bot would trade by is not what was tested."""
    assert production(clean, 24).passed
    found = production(asked(clean, change), 24)
    assert found.failure.startswith("live path and walk-forward"), what


def test_a_live_path_that_reads_stale_bars_is_caught(clean: Subject) -> None:
    """It answers for the hour with the bars of the hour before."""

    def stale(bars: Bars, hour: int) -> LiveForecast:
        before = bars.until(hour - HOUR_MS)
        return clean.live(before, before.last)

    found = production(replace(clean, live=stale), 24)
    assert found.failure.startswith("live path and walk-forward")


def test_an_hour_that_was_traded_on_stale_bars_is_caught(clean: Subject) -> None:
    """The journal says by which bars: today's are others."""
    hour = clean.bars.last
    p_up = clean.told(clean.bars, hour).p_up
    sound = RecordedHour(hour, True, p_up, "0a", "0a")
    assert production(replace(clean, recorded=[sound]), 24).passed
    found = production(replace(clean, recorded=[replace(sound, bars_hash_then="0b")]), 24)
    assert found.failure.startswith("bars of traded hours")
    assert "(1 hour of 1): it saw stale bars, or they were revised" in found.failure


def test_an_hour_that_was_traded_at_another_prediction_is_caught(clean: Subject) -> None:
    """The same model and path must say today what the journal holds."""
    hour = clean.bars.last
    said = RecordedHour(hour, True, 0.123, "0a", "0a")
    found = production(replace(clean, recorded=[said]), 24)
    assert found.failure.startswith("predictions of traded hours")
    assert "0.123" in found.failure


def test_revised_bars_of_the_training_are_caught(clean: Subject) -> None:
    """One close within the window is another one today."""
    close = clean.bars.close.copy()
    close[-300] *= 1.001
    found = production(replace(clean, bars=replace(clean.bars, close=close), _learnt=[]), 24)
    assert found.failure.startswith("training rows")
