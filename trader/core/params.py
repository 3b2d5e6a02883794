"""The parameters of a strategy (`P.json`): validated once, unknown keys refused, money as Decimal."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trader.core.costs import CostModel
from trader.core.errors import ConfigError
from trader.core.policy import Exposure, Limits, Thresholds

Share = Annotated[float, Field(gt=0, le=1)]
Label = Literal["direction", "direction_beyond_cost"]
Edge = Annotated[float, Field(ge=0, lt=0.5)]


class XGBoostParams(BaseModel):
    """The trees. Names and meaning are XGBoost's own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    n_estimators: int = Field(ge=1, le=10_000)
    max_depth: int = Field(ge=1, le=30)
    learning_rate: float = Field(gt=0, le=1)
    subsample: Share = 1.0
    colsample_bytree: Share = 1.0
    gamma: float = Field(ge=0, default=0)


class Params(BaseModel):
    """Everything that decides what is traded. Two hosts with equal Params and equal bars write equal hours.

    Rates and shares are fractions (0.001 is 0.1 %), `_bps` are 1/10,000, `_days` and `_hours` are spans of time.
    A call is about the close `horizon_hours` later: that it is higher (`label` direction), or higher by more than a round
    trip costs (direction_beyond_cost). A position is held for `horizon_hours` at least.
    `halt_cumulative_return` is negative (-0.2 halts at a loss of 20 % of the allocation), `halt_drawdown` positive.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    xgboost: XGBoostParams
    look_back_days: int = Field(ge=1, le=3650)
    step_days: int = Field(ge=1, le=3650)
    gap_hours: int = Field(ge=1, le=24 * 365)
    enter_edge: Edge
    exit_edge: float = Field(gt=-0.5, lt=0.5)
    exposure: Exposure = "long_flat"
    fee_rate: Decimal = Field(ge=0, lt=1)
    half_spread_bps: Decimal = Field(ge=0, lt=5000)
    slippage_bps: Decimal = Field(ge=0, lt=5000)
    allocation_usdt: Decimal = Field(gt=0)
    features: str = "seed"
    seed: int = Field(ge=0, lt=2**31)
    horizon_hours: int = Field(ge=1, le=24, default=1)
    label: Label = "direction"
    cash_buffer: Decimal = Field(ge=0, lt=1, default=Decimal("0.001"))
    rebalance_band: Decimal = Field(ge=0, le=1, default=Decimal("0.05"))
    halt_cumulative_return: Decimal | None = Field(gt=-1, lt=0, default=Decimal("-0.2"))
    halt_drawdown: Decimal | None = Field(gt=0, lt=1, default=None)
    promotion: Literal["always"] = "always"

    @property
    def costs(self) -> CostModel:
        """Fee, half spread and slippage as the cost model."""
        return CostModel(self.fee_rate, self.half_spread_bps, self.slippage_bps)

    @property
    def thresholds(self) -> Thresholds:
        """Where P(up) enters and leaves a side."""
        return Thresholds(self.enter_edge, self.exit_edge, self.exposure)

    def limits(self, *, freeze: bool) -> Limits:
        """The losses that halt, and whether a halt keeps what is held."""
        return Limits(self.halt_cumulative_return, self.halt_drawdown, freeze)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values that `parse_params` reads back to an equal object. The default label is left out, so that
        parameters that were written, hashed and counted before there was another stay the same."""
        values: dict[str, Any] = self.model_dump()
        if values["label"] == "direction":
            del values["label"]
        return {key: float(value) if isinstance(value, Decimal) else value for key, value in values.items()}


DEFAULT_PARAMS: dict[str, Any] = {
    "xgboost": {
        "n_estimators": 355,
        "max_depth": 5,
        "learning_rate": 0.0317,
        "subsample": 0.787,
        "colsample_bytree": 0.886,
        "gamma": 20,
    },
    "look_back_days": 59,
    "step_days": 30,
    "gap_hours": 1,
    "enter_edge": 0.01,
    "exit_edge": 0.0,
    "exposure": "long_flat",
    "fee_rate": 0.001,
    "half_spread_bps": 1,
    "slippage_bps": 1,
    "allocation_usdt": 10000,
    "features": "seed",
    "seed": 7,
}


def parse_params(text: str | bytes, source: str) -> Params:
    """Params from JSON text. `source` names the file in the error. Raises ConfigError that names every wrong key."""
    try:
        return Params.model_validate_json(text)
    except ValidationError as error:
        problems = "; ".join(_problem(item) for item in error.errors(include_url=False)[:8])
        raise ConfigError(f"{source}: {problems}") from None


def _problem(item: Any) -> str:
    name = ".".join(str(part) for part in item["loc"]) or "the file"
    if item["type"] == "extra_forbidden":
        known = XGBoostParams.model_fields if item["loc"][0] == "xgboost" else Params.model_fields
        return f"unknown key {name!r}; the keys are {', '.join(known)}"
    if item["type"] == "missing":
        return f"{name!r} is missing"
    if item["type"] == "json_invalid":
        return f"not valid JSON ({item['ctx']['error']})"
    return f"{name!r}: {item['msg'][0].lower()}{item['msg'][1:]}, not {item['input']!r}"


def params_of(values: dict[str, Any], source: str) -> Params:
    """Params from plain JSON values, by the same rules and messages as `parse_params`."""
    return parse_params(json.dumps(values), source)
