"""The contract of families, over every one that the registry knows."""

from __future__ import annotations

import pytest

from tests.contracts.forecaster_contract import ForecasterContract
from trader.core.errors import ConfigError
from trader.core.model_params import FAMILIES
from trader.forecasters.registry import BUILDERS, forecaster_of, installed


class TestForecasters(ForecasterContract):
    """All of them: a new family is in this list by itself."""

    @pytest.fixture(params=installed())
    def family(self, request: pytest.FixtureRequest) -> str:
        """One of those whose library is there."""
        return str(request.param)


def test_the_registry_and_the_parameters_know_the_same_families() -> None:
    """A family can be named in P.json exactly where it can be fitted."""
    assert set(BUILDERS) == set(FAMILIES)


def test_an_unknown_family_is_refused_with_those_there_are() -> None:
    """By name."""
    with pytest.raises(ConfigError, match=r"no family of models 'crystal ball'; there are xgboost, "):
        forecaster_of("crystal ball")
