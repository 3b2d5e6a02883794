"""The contract of all families, over those whose libraries only `make families` installs."""

from __future__ import annotations

import pytest

from tests.contracts.forecaster_contract import ForecasterContract, scene_of
from tests.contracts.test_mutated_models import test_no_mutated_model_ends_the_process as mutants_are_refused
from trader.core.params import params_of
from trader.forecasters.contract import CHECKS, Check, name_of
from trader.forecasters.contract_scene import Scene

LOCAL = ("arima", "prophet")


class TestLocalFamilies(ForecasterContract):
    """Each by the defaults of its keys."""

    @pytest.fixture(params=LOCAL)
    def family(self, request: pytest.FixtureRequest) -> str:
        """One of them."""
        return str(request.param)


@pytest.fixture(scope="module")
def multiplicative() -> Scene:
    """Prophet with seasons that are shares of the trend, four hours ahead."""
    other = scene_of("prophet", 4)
    changed = {
        **other.params.as_json(),
        "model": {"family": "prophet", "seasonality": "multiplicative", "n_changepoints": 5},
    }
    return Scene.of(other.forecaster, params_of(changed, "the contract"), other.bars)


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_multiplicative_seasons_keep_the_promises(multiplicative: Scene, check: Check) -> None:
    """The same functions once more."""
    check(multiplicative)


@pytest.mark.parametrize("family", LOCAL)
def test_no_mutated_model_ends_the_process(family: str) -> None:
    """Bytes and values of a genuine model are changed 250 times: each is refused by name, or predicts."""
    mutants_are_refused(family, 250)
