"""What every family of models promises. It is run over all that the registry knows and that are installed."""

from __future__ import annotations

import hashlib
import multiprocessing
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from backtest.engine.history import History
from backtest.study.space import space_of
from tests.bars_made import bars_made
from trader.adapters.talib_features import register_shipped
from trader.core.errors import DataError
from trader.core.forecast import LEVELS, probability_above
from trader.core.labels import hurdle_of
from trader.core.lookahead import poisoned
from trader.core.model_params import FAMILIES
from trader.core.panel import Panel
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.ports import (
    Contributing,
    FitsInMemory,
    Forecaster,
    Predictor,
    StagedPredictor,
)
from trader.core.training import training_of
from trader.core.types import HOUR_MS, Bars
from trader.core.windows import Refit, refit_of
from trader.forecasters.registry import forecaster_of

# A family whose keys all have defaults needs no line here.
QUICK: dict[str, dict[str, Any]] = {
    "xgboost": {"n_estimators": 12, "max_depth": 3, "learning_rate": 0.2, "subsample": 0.8, "gamma": 0},
}
GAPS = (400, 401, 1_300, 1_301, 1_302, 1_650)
SERVED_HOURS = 72


@dataclass(frozen=True, slots=True)
class Scene:
    """A family, its parameters, bars with gaps, a window, and a model that was fitted for it."""

    forecaster: Forecaster
    params: Params
    bars: Bars
    window: Refit
    model: bytes

    @property
    def predictor(self) -> Predictor:
        """The model, loaded anew."""
        return self.forecaster.load(self.model, "the contract")

    def history(self, bars: Bars | None = None) -> History:
        """What the family reads of these bars, or of others."""
        return History.of(self.forecaster, bars or self.bars, self.params, self.window.train_from, self.stop)

    @property
    def stop(self) -> int:
        """The hour after the last that is predicted, UTC ms."""
        return self.window.serve_from + SERVED_HOURS * HOUR_MS

    def panel(self, first: int, stop: int, bars: Bars | None = None) -> Panel:
        """What a prediction of first <= T < stop reads."""
        return self.history(bars).seen_by(self.window.train_until, first, stop)


def fitted_bytes(family: str, horizon_hours: int, seed: int) -> bytes:
    """A model of a made market, fitted from scratch, also in a process that knows nothing yet."""
    register_shipped()
    return _fit(forecaster_of(family), _params(family, horizon_hours), _bars(seed))[0]


def _params(family: str, horizon_hours: int) -> Params:
    model = {"family": family, **QUICK.get(family, {})}
    return params_of(
        {**DEFAULT_PARAMS, "model": model, "look_back_days": 30, "horizon_hours": horizon_hours},
        "the contract",
    )


def _bars(seed: int) -> Bars:
    return bars_made(1_900, seed, missing=GAPS)


def _fit(
    forecaster: Forecaster, params: Params, bars: Bars, until: Bars | None = None
) -> tuple[bytes, Refit]:
    window = refit_of(params, 0, bars.first + 1_600 * HOUR_MS)
    rows = training_of(until or bars, window, params, forecaster.traits)
    told = {"horizon": params.horizon_hours, "until": rows.until, "seed": params.seed}
    return forecaster.fit(rows.panel, rows.y, params, **told), window


@lru_cache
def scene_of(family: str, horizon_hours: int = 1) -> Scene:
    """One of a family, made once."""
    forecaster, params, bars = forecaster_of(family), _params(family, horizon_hours), _bars(5)
    model, window = _fit(forecaster, params, bars)
    return Scene(forecaster, params, bars, window, model)


class ForecasterContract:
    """Subclasses give `family`."""

    @pytest.fixture(params=[1, 4])
    def scene(self, family: str, request: pytest.FixtureRequest) -> Scene:
        """About the next hour, and about four hours ahead."""
        return scene_of(family, request.param)

    def test_it_says_what_it_is(self, family: str, scene: Scene) -> None:
        """Its name, its class of parameters, its format and the libraries that decide what a fit gives."""
        forecaster = scene.forecaster
        assert forecaster.family == family == FAMILIES[family].model_fields["family"].default
        assert forecaster.format
        assert forecaster.traits.context_hours >= 0
        assert forecaster.traits.tolerance >= 0
        assert all(isinstance(name, str) for name in forecaster.libraries)

    def test_probabilities_are_probabilities(self, scene: Scene) -> None:
        """A float32 an hour, within 0..1, and defined where the hour has all that the family reads."""
        panel = scene.panel(scene.window.serve_from, scene.stop)
        hours = panel.close_time[-SERVED_HOURS:]
        told = scene.predictor.predict(panel, hours)
        assert told.p_up.shape == (SERVED_HOURS,)
        assert told.p_up.dtype == np.float32
        known = ~np.isnan(told.p_up)
        assert known.sum() > SERVED_HOURS // 2
        assert ((told.p_up[known] >= 0) & (told.p_up[known] <= 1)).all()

    def test_quantiles_do_not_cross_and_p_up_follows_from_them(self, scene: Scene) -> None:
        """Where a family gives a distribution: rising, with all levels, for every hour up to the horizon at least, and
        P(up) is the share above the label's own hurdle."""
        panel = scene.panel(scene.window.serve_from, scene.stop)
        told = scene.predictor.predict(panel, panel.close_time[-SERVED_HOURS:])
        if told.quantiles is None:
            return
        n, ahead, levels = told.quantiles.shape
        assert (n, levels) == (SERVED_HOURS, len(LEVELS))
        assert ahead >= scene.params.horizon_hours
        known = ~np.isnan(told.quantiles).any(axis=(1, 2))
        assert (np.isnan(told.p_up) == ~known).all()
        assert (np.diff(told.quantiles[known], axis=2) >= 0).all()
        at_horizon = told.quantiles[:, scene.params.horizon_hours - 1]
        wanted = probability_above(at_horizon, float(np.log1p(hurdle_of(scene.params))))
        assert np.allclose(told.p_up[known], wanted[known], atol=0.02)

    def test_equal_input_gives_equal_bytes_in_any_process(self, family: str) -> None:
        """Twice here, and in a process that was started for it."""
        mine = [hashlib.sha256(fitted_bytes(family, 1, 7)).hexdigest() for _ in range(2)]
        with multiprocessing.get_context("forkserver").Pool(1) as pool:
            other = hashlib.sha256(pool.apply(fitted_bytes, (family, 1, 7))).hexdigest()
        assert {*mine, other} == {mine[0]}

    def test_a_loaded_model_is_the_fitted_one(self, scene: Scene) -> None:
        """Through bytes or without them, loaded once or twice: the same predictions, to the bit."""
        panel = scene.panel(scene.window.serve_from, scene.stop)
        hours = panel.close_time[-SERVED_HOURS:]
        stored = scene.predictor.predict(panel, hours).p_up
        assert scene.predictor.predict(panel, hours).p_up.tobytes() == stored.tobytes()
        if isinstance(scene.forecaster, FitsInMemory):
            fitted = scene.history().fit(scene.window, scene.params)
            assert fitted.predict(panel, hours).p_up.tobytes() == stored.tobytes()

    def test_one_by_one_is_as_in_a_batch(self, scene: Scene) -> None:
        """Each hour alone, as the bot asks, and all at once: equal within the family's own tolerance, 0 being to the bit."""
        history, predictor = scene.history(), scene.predictor
        first, until = scene.window.serve_from, scene.window.train_until
        panel = history.seen_by(until, first, scene.stop)
        batch = predictor.predict(panel, panel.close_time[-SERVED_HOURS:]).p_up
        alone = np.concatenate(
            [
                predictor.predict(history.seen_by(until, hour, hour + HOUR_MS), np.array([hour])).p_up
                for hour in range(first, scene.stop, HOUR_MS)
            ]
        )
        if scene.forecaster.traits.tolerance == 0:
            assert alone.tobytes() == batch.tobytes()
        assert np.allclose(alone, batch, atol=scene.forecaster.traits.tolerance, equal_nan=True)

    def test_a_prediction_changes_nothing(self, scene: Scene) -> None:
        """Asked about other hours, or in another order, a predictor answers as if it had never been asked before."""
        history, predictor = scene.history(), scene.predictor
        hour, until = scene.window.serve_from + 40 * HOUR_MS, scene.window.train_until
        panel = history.seen_by(until, hour, hour + HOUR_MS)
        before = predictor.predict(panel, np.array([hour])).p_up
        for other in (hour + 20 * HOUR_MS, hour - 9 * HOUR_MS):
            predictor.predict(history.seen_by(until, other, other + HOUR_MS), np.array([other]))
        assert predictor.predict(panel, np.array([hour])).p_up.tobytes() == before.tobytes()

    def test_a_poisoned_future_changes_no_prediction(self, scene: Scene) -> None:
        """Whatever the bars after an hour hold, or if there are none: what is said of it stays."""
        first, middle = scene.window.serve_from, scene.window.serve_from + 30 * HOUR_MS
        hours = np.arange(first, middle + HOUR_MS, HOUR_MS)
        told = scene.predictor.predict(scene.panel(first, middle + HOUR_MS), hours).p_up
        spoiled = poisoned(scene.bars, scene.bars.row(middle) + 1)
        again = scene.predictor.predict(scene.panel(first, scene.stop, spoiled), hours).p_up
        assert np.allclose(told, again, rtol=0, atol=scene.forecaster.traits.tolerance, equal_nan=True)
        if scene.forecaster.traits.tolerance == 0:
            assert told.tobytes() == again.tobytes()

    def test_a_fit_knows_nothing_later_than_its_window(self, scene: Scene) -> None:
        """With every bar after the window's end poisoned, the model has the same bytes."""
        known_at = scene.window.train_until + scene.params.horizon_hours * HOUR_MS
        spoiled = poisoned(scene.bars, scene.bars.row(known_at) + 1)
        assert _fit(scene.forecaster, scene.params, scene.bars, spoiled)[0] == scene.model

    def test_a_fit_reads_no_hour_after_until(self, scene: Scene) -> None:
        """A panel that goes on, with labels and all, gives the model of one that ends there."""
        window, history = scene.window, scene.history()
        told = {"horizon": scene.params.horizon_hours, "until": window.train_until, "seed": scene.params.seed}
        begin = int(history.panel.close_time[0])
        panel = history.panel.span(begin, scene.stop)
        short = history.panel.span(begin, window.train_until + HOUR_MS)
        longer = scene.forecaster.fit(panel, history.y[:, : len(panel)], scene.params, **told)
        assert longer == scene.forecaster.fit(short, history.y[:, : len(short)], scene.params, **told)

    def test_a_symbol_that_the_fit_did_not_see_is_refused(self, scene: Scene) -> None:
        """By name, also beside the one that it saw."""
        panel = scene.panel(scene.window.serve_from, scene.stop)
        other = Panel(tuple(replace(it, symbol="ETHUSDT") for it in panel.bars), panel.X)
        with pytest.raises(DataError, match="ETHUSDT"):
            scene.predictor.predict(other, panel.close_time[-1:])

    def test_an_hour_outside_the_panel_is_refused(self, scene: Scene) -> None:
        """Nothing is made up about an hour whose bars were not given."""
        panel = scene.panel(scene.window.serve_from, scene.stop)
        with pytest.raises(DataError, match="not within the panel"):
            scene.predictor.predict(panel, panel.close_time[-1:] + HOUR_MS)

    @pytest.mark.parametrize(
        "foreign", [b"", b"{}", b"[]", b"\x80\x04\x95", b"PAR1", b"\x00" * 64, b"null\n"]
    )
    def test_bytes_that_are_no_model_are_refused(self, family: str, foreign: bytes) -> None:
        """A pickle, a table, nothing: an error that names the source, not a crash."""
        with pytest.raises(DataError, match="from the bucket"):
            forecaster_of(family).load(foreign, "from the bucket")

    def test_a_model_that_was_cut_short_is_refused(self, family: str) -> None:
        """At a hundred lengths."""
        model = scene_of(family).model
        for cut in np.unique(np.linspace(0, len(model) - 1, 100).astype(int)).tolist():
            with pytest.raises(DataError):
                forecaster_of(family).load(model[:cut], "cut")

    def test_fewer_stages_of_a_fit_are_a_fit_of_fewer_stages(self, family: str) -> None:
        """Where a family grows in stages: by all of them it says what it says, and by few it says something else."""
        scene = scene_of(family)
        predictor = scene.predictor
        if not isinstance(predictor, StagedPredictor):
            return
        panel = scene.panel(scene.window.serve_from, scene.stop)
        hours = panel.close_time[-SERVED_HOURS:]
        most = space_of(scene.params).stages(scene.params.model)[-1]
        few, every = predictor.predict_stages(panel, hours, (2, most))
        assert every.tobytes() == predictor.predict(panel, hours).p_up.tobytes()
        assert few.tobytes() != every.tobytes()

    def test_contributions_add_up_to_what_was_said(self, family: str) -> None:
        """Where a family explains itself: the parts and the base are the log-odds of P(up)."""
        scene = scene_of(family)
        predictor = scene.predictor
        if not isinstance(predictor, Contributing):
            return
        panel = scene.panel(scene.window.serve_from, scene.stop)
        p_up = predictor.predict(panel, panel.close_time[-SERVED_HOURS:]).p_up
        shares = predictor.contributions(panel.X[0][-SERVED_HOURS:])
        assert shares.shape == (SERVED_HOURS, panel.X[0].shape[1] + 1)
        assert np.allclose(1 / (1 + np.exp(-shares.sum(axis=1))), p_up, atol=1e-5)
