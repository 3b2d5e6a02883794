"""Drills: a planted fault of each kind is caught, by the part that is there for it; clean models of every family pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from backtest.certificate.certify import certify, exported
from backtest.certificate.extremes import extremes
from backtest.certificate.formats import formats
from backtest.certificate.live import said_live
from backtest.certificate.newest import newest
from backtest.certificate.production import production
from backtest.certificate.subject import LiveForecast, RecordedHour, Spans, Subject
from tests.support.certified import SPANS, Fault, subject_for, trending
from trader.core.certificate import PARTS, CertificatePart
from trader.core.forecast import Forecast
from trader.core.panel import Panel
from trader.core.ports import Forecaster, Predictor
from trader.core.types import HOUR_MS, Bars, Floats, Ints, Matrix

FAMILIES = ("xgboost", "lightgbm", "naive")
NOW = 1_800_000_000_000


@pytest.fixture(scope="module")
def clean() -> Subject:
    """A clean model by XGBoost."""
    return subject_for()


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


def _swapped(X: Matrix, y: Floats) -> tuple[Matrix, Floats]:
    return np.ascontiguousarray(X[:, ::-1]), y


def _scaled(X: Matrix, y: Floats) -> tuple[Matrix, Floats]:
    return ((X - np.nanmean(X, axis=0)) / np.nanstd(X, axis=0)).astype(np.float32), y


def _an_hour_off(X: Matrix, y: Floats) -> tuple[Matrix, Floats]:
    later = np.roll(y, -1, axis=1)
    later[:, -1] = np.nan
    return X, later


def _halved(X: Matrix, y: Floats) -> tuple[Matrix, Floats]:
    return X.astype(np.float16).astype(np.float32), y


@pytest.mark.parametrize("fault", [_swapped, _scaled, _an_hour_off, _halved], ids=lambda it: it.__name__[1:])
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


# --- the newest data --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("turned", "passed"), [(0, True), (10 * 24, False)])
def test_parameters_that_are_worse_on_the_newest_hours_are_refused(turned: int, passed: bool) -> None:
    """Of 100 days the market turns in the last ten: the Brier score there lies wholly above that of all."""
    found = newest(subject_for("xgboost", bars=trending(4_200, turned)), Spans(newest_days=100))
    assert found.passed is passed, found
    assert found.figures["newest_hours"] == pytest.approx(240, abs=2)
    if not passed:
        assert found.failure.startswith("error on the newest hours: Brier score")
        assert found.figures["newest_brier_low"] > found.figures["brier"]


def test_folds_are_kept_and_found_again(clean: Subject, tmp_path: Any) -> None:
    """A second certificate computes none of them, and finds the same."""
    first, again = (newest(clean, SPANS, cache=tmp_path) for _ in range(2))
    assert (first.figures["folds_kept_before"], again.figures["folds_kept_before"]) == (
        0,
        first.figures["folds"],
    )
    assert first.checks == again.checks


def test_a_young_market_has_nothing_to_walk_over(clean: Subject) -> None:
    """A training's own span and no more: said, and no failure."""
    young = clean.bars.span(clean.card.train_from, clean.stop)
    found = newest(replace(clean, bars=young), SPANS)
    assert found.passed
    assert "too late for one window" in found.checks[0].words


# --- extremes ---------------------------------------------------------------------------------------------------------------


class Bent:
    """A predictor whose answers are bent beyond what was learnt."""

    def __init__(self, inner: Any, bend: Callable[[Matrix, Matrix], Matrix]) -> None:
        self.inner, self.bend, self.symbols = inner, bend, inner.symbols

    def predict(self, panel: Panel, hours: Ints) -> Forecast:
        """P(up), bent by the features of its rows."""
        told = self.inner.predict(panel, hours)
        return Forecast(self.bend(told.p_up, panel.X[0][panel.rows(hours)]), told.quantiles)


class BentForecaster:
    """Loads such predictors."""

    def __init__(self, inner: Forecaster, bend: Callable[[Matrix, Matrix], Matrix]) -> None:
        self.inner, self.bend, self.traits, self.family = inner, bend, inner.traits, inner.family

    def load(self, model: bytes, source: str) -> Bent:
        """Bent."""
        return Bent(self.inner.load(model, source), self.bend)


def bent(subject: Subject, bend: Callable[[Matrix, Matrix], Matrix]) -> Subject:
    """The subject with such a model."""
    forecaster: Any = BentForecaster(subject.forecaster, bend)
    return replace(subject, forecaster=forecaster, _loaded=[])


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


# --- format -----------------------------------------------------------------------------------------------------------------


def test_a_card_whose_columns_are_swapped_is_caught(clean: Subject) -> None:
    """By their names; and where the names were left alone, by the distribution of each column in training."""
    columns, ranges = list(reversed(clean.card.columns)), clean.card.ranges
    named = replace(clean, card=replace(clean.card, columns=columns))
    assert formats(named).failure.startswith("columns and their order: the card names")
    mixed = dict(zip(columns, ranges.values(), strict=True))
    found = formats(replace(clean, card=replace(clean.card, ranges=mixed)))
    assert found.failure.startswith("scale of every column: ")
    assert "columns differ" in found.failure


class Careless:
    """A predictor that takes whatever it is given."""

    def __init__(self, inner: Any, taken: str) -> None:
        self.inner, self.taken, self.symbols = inner, taken, inner.symbols

    def predict(self, panel: Panel, hours: Ints) -> Forecast:
        """Cut, filled or renamed until the model takes it."""
        bars, X = panel.bars, panel.X[0] if panel.X else np.zeros((len(panel), 0), np.float32)
        wide = self.inner.features
        if self.taken == "columns":
            X = np.pad(X[:, :wide], ((0, 0), (0, max(0, wide - X.shape[1]))))
        if self.taken == "symbol":
            bars = tuple(replace(it, symbol=self.symbols[0]) for it in bars)
        if self.taken == "crash" and X.shape[1] != wide:
            raise IndexError("out of range")
        if self.taken == "type" and X.dtype == np.float64:
            X = X.astype(np.float32).round(1)
        return self.inner.predict(Panel(bars, (X,)), hours)  # type: ignore[no-any-return]


class CarelessForecaster(BentForecaster):
    """Loads such predictors."""

    def __init__(self, inner: Forecaster, taken: str) -> None:
        super().__init__(inner, lambda p, X: p)
        self.taken = taken

    def load(self, model: bytes, source: str) -> Any:
        """Careless."""
        return Careless(self.inner.load(model, source), self.taken)


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        ("columns", "a missing column: was accepted"),
        ("symbol", "another symbol: was accepted"),
        ("crash", "a missing column: ended in IndexError"),
        ("type", "float64 in place of float32: P(up) is"),
    ],
)
def test_a_model_that_takes_what_it_was_not_fitted_for_is_caught(
    clean: Subject, taken: str, said: str
) -> None:
    """Each is to be refused by a DataError, or to change nothing."""
    assert formats(clean).passed
    forecaster: Any = CarelessForecaster(clean.forecaster, taken)
    assert formats(replace(clean, forecaster=forecaster, _loaded=[])).failure.startswith(said)


# --- exports, and the whole -------------------------------------------------------------------------------------------------


def test_a_corrupt_export_is_caught(clean: Subject) -> None:
    """Whoever knows the forms says how one differs; without any there is nothing to compare."""
    told = "onnx: row 7 gives P(up) 0.51, the model 0.49"
    assert exported(clean).checks[0].words.startswith("no export is stored")
    assert exported(replace(clean, differences=())).passed
    assert exported(replace(clean, differences=(told,))).failure == f"exported forms: {told}"


def test_a_failed_part_fails_the_certificate_and_is_named(clean: Subject) -> None:
    """The others are examined nevertheless."""
    made = certify(replace(clean, differences=("onnx: differs",)), NOW, "tests", SPANS)
    assert (made.passed, made.failed) == (False, ("exports",))
    assert made.verdict == "failed: exports (exported forms: onnx: differs)"
    assert len(made.parts) == len(PARTS)


def test_bars_that_do_not_hold_the_training_fail_in_words(clean: Subject) -> None:
    """Not a traceback: each part says what it lacks."""
    short: Bars = clean.bars.span(clean.stop - 100 * HOUR_MS, clean.stop)
    made = certify(replace(clean, bars=short, _learnt=[]), NOW, "tests", SPANS)
    parts: dict[str, CertificatePart] = {part.part: part for part in made.parts}
    assert not parts["production"].passed
    assert all(part.failure for part in made.parts if not part.passed)
