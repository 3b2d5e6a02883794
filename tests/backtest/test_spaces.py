"""The search space of every family: its keys are the family's own, and every point of it can be traded."""

from __future__ import annotations

import math
from typing import Any

import optuna
import pytest

from backtest.study.space import SPACES, Space, cost, plan_of
from backtest.study.spaces.family import LOOK_BACK_DAYS
from tests.contracts.forecaster_contract import QUICK
from trader.core.model_params import FAMILIES
from trader.core.params import DEFAULT_PARAMS, Params, params_of


def base(family: str) -> Params:
    """Parameters of a family."""
    return params_of({**DEFAULT_PARAMS, "model": {"family": family, **QUICK.get(family, {})}}, "tests")


def test_every_family_can_be_searched() -> None:
    """One space a family, under its own name."""
    assert set(SPACES) == set(FAMILIES)
    assert all(space.family == family for family, space in SPACES.items())


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_what_is_searched_are_the_familys_own_keys(family: str) -> None:
    """Both ends of each range are values that the family takes, and so is the key that counts its stages."""
    space, keys = SPACES[family], FAMILIES[family].model_fields.keys() - {"family"}
    assert {*space.ranges, *([space.stage_key] if space.stage_key else [])} <= keys
    for name, range_ in space.ranges.items():
        for value in (range_.least, range_.most):
            chosen = int(value) if range_.whole else value
            changed = {**base(family).model.model_dump(), name: chosen}
            assert getattr(params_of({**DEFAULT_PARAMS, "model": changed}, "x").model, name) == value


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_point_is_a_configuration_with_a_cost(family: str) -> None:
    """Drawn by Optuna, priced by the sampler and as planned alike; the nearest point to a planned one is itself."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    space = SPACES[family]
    for number in range(20):
        suggestion: dict[str, Any] = space.suggest(study.ask())
        plan = plan_of(number, suggestion, base(family), Space(), None)
        assert space.nearest(plan.params.model, plan.params.look_back_days) == suggestion
        assert cost(suggestion, base(family)) == plan.cost > 0
        assert math.isfinite(plan.cost)
        assert list(plan.stages) == sorted(set(plan.stages))


def test_a_family_that_learns_nothing_has_no_look_back_to_search() -> None:
    """So its trials are one and the same, and every other family's differ in it."""
    asked = {family: it.suggest(optuna.create_study().ask()) for family, it in SPACES.items()}
    assert {family for family, found in asked.items() if "look_back_days" not in found} == {"naive"}
    assert SPACES["xgboost"].nearest(base("xgboost").model, 10_000)["look_back_days"] == LOOK_BACK_DAYS.most


def test_a_range_of_steps_is_drawn_and_met_on_its_steps() -> None:
    """The width of a transformer is a multiple of 16, its context whole days; a learning rate is drawn by orders of magnitude."""
    ranges, study = SPACES["tft"].ranges, optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    drawn = [SPACES["tft"].suggest(study.ask()) for _ in range(60)]
    assert {it["hidden_size"] for it in drawn} == {16, 32, 48, 64}
    assert {it["encoder_hours"] for it in drawn} == {24 * day for day in range(1, 8)}
    assert sorted(it["learning_rate"] for it in drawn)[30] < 0.003
    assert [ranges["hidden_size"].nearest(value) for value in (8, 20, 45, 256)] == [16, 16, 48, 64]
    assert ranges["encoder_hours"].nearest(63) == 72
