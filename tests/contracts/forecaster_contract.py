"""What every family of models promises. It is run over all that the registry knows and that are installed."""

from __future__ import annotations

import hashlib
import multiprocessing
from functools import lru_cache
from typing import Any

import pytest

from backtest.study.space import space_of
from tests.support.bars_made import bars_made
from trader.adapters.talib_features import register_shipped
from trader.core.model_params import FAMILIES
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.ports import StagedPredictor
from trader.core.types import Bars
from trader.forecasters.contract import CHECKS, Check, name_of
from trader.forecasters.contract_scene import HOURS, Scene
from trader.forecasters.registry import forecaster_of

# A family whose keys all have defaults needs no line here.
QUICK: dict[str, dict[str, Any]] = {
    "xgboost": {"n_estimators": 12, "max_depth": 3, "learning_rate": 0.2, "subsample": 0.8, "gamma": 0},
    "arima": {"max_p": 1, "max_q": 1},
    "prophet": {"n_changepoints": 8},
    "tft": {"encoder_hours": 24, "forecast_hours": 3, "hidden_size": 8, "attention_heads": 1, "epochs": 1},
}
# Families that `make families` tests, in tests/families, for nothing else can install their libraries.
APART = ("arima", "prophet", "tft")
GAPS = (400, 401, 1_300, 1_301, 1_302, 1_650)


def fitted_anew(family: str, horizon_hours: int, seed: int) -> bytes:
    """A model of a made market, fitted from scratch, also in a process that knows nothing yet."""
    register_shipped()
    return Scene.of(forecaster_of(family), _params(family, horizon_hours), _bars(seed)).model


def _params(family: str, horizon_hours: int) -> Params:
    model = {"family": family, **QUICK.get(family, {})}
    return params_of(
        {**DEFAULT_PARAMS, "model": model, "look_back_days": 30, "horizon_hours": horizon_hours},
        "the contract",
    )


def _bars(seed: int) -> Bars:
    return bars_made(HOURS, seed, missing=GAPS)


@lru_cache
def scene_of(family: str, horizon_hours: int = 1) -> Scene:
    """One of a family, made once."""
    return Scene.of(forecaster_of(family), _params(family, horizon_hours), _bars(5))


class ForecasterContract:
    """Subclasses give `family`. What a user's own family is checked by (trader/forecasters/contract.py), and three things
    more."""

    @pytest.fixture(params=[1, 4])
    def scene(self, family: str, request: pytest.FixtureRequest) -> Scene:
        """About the next hour, and about four hours ahead."""
        return scene_of(family, request.param)

    @pytest.mark.parametrize("check", CHECKS, ids=name_of)
    def test_it_keeps_what_every_family_promises(self, scene: Scene, check: Check) -> None:
        """One promise each, by the function that a user's own family is checked by."""
        check(scene)

    def test_its_parameters_name_the_family(self, family: str) -> None:
        """The class of its parameters is found by its name."""
        assert FAMILIES[family].model_fields["family"].default == family

    def test_equal_input_gives_equal_bytes_in_any_process(self, family: str) -> None:
        """Here, and in a process that was started for it."""
        mine = hashlib.sha256(fitted_anew(family, 1, 7)).hexdigest()
        with multiprocessing.get_context("forkserver").Pool(1) as pool:
            other = hashlib.sha256(pool.apply(fitted_anew, (family, 1, 7))).hexdigest()
        assert other == mine

    def test_fewer_stages_of_a_fit_are_a_fit_of_fewer_stages(self, family: str) -> None:
        """Where a family grows in stages: by all of them it says what it says, and by few it says something else."""
        scene = scene_of(family)
        predictor = scene.predictor
        if not isinstance(predictor, StagedPredictor):
            return
        panel, hours = scene.served()
        most = space_of(scene.params).stages(scene.params.model)[-1]
        few, every = predictor.predict_stages(panel, hours, (2, most))
        assert every.tobytes() == predictor.predict(panel, hours).p_up.tobytes()
        assert few.tobytes() != every.tobytes()
