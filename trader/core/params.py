"""The parameters of a strategy (`P.json`): validated once, unknown keys refused, money as Decimal."""

from __future__ import annotations

import json
from collections.abc import Collection
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trader.core.costs import CostModel
from trader.core.errors import ConfigError
from trader.core.model_params import DEFAULT_MODEL, FAMILIES, ModelParams
from trader.core.policy import Exposure, LossLimits, Thresholds
from trader.core.presets import EARLIER_NAMES

Label = Literal["direction", "direction_beyond_cost"]
MOST_USDT = Decimal(10) ** 12  # beyond it a quantity needs more digits than a Decimal keeps
Edge = Annotated[float, Field(ge=0, lt=0.5)]
_FIRST_NAMES = {name: earlier for earlier, name in EARLIER_NAMES.items()}
# Keys that came after parameters were first written and hashed, each with its default.
LATER_KEYS: dict[str, Any] = {"label": "direction", "price_band": None, "fee_discount": None}


class Params(BaseModel):
    """Everything that decides what is traded. Two hosts with equal Params and equal bars write equal hours.

    Rates and shares are fractions (0.001 is 0.1 %), `_bps` are 1/10,000, `_days` and `_hours` are spans of time.
    A prediction is about the close `horizon_hours` later: that it is higher (`label` direction), or higher by more than a round
    trip costs (direction_beyond_cost). A position is held for `horizon_hours` at least.
    `fee_discount` is the share by which the fee is less because it is paid in a third asset (BNB): with it commission is
    fee_rate x (1 - fee_discount) of what is traded, in quote; without it commission is taken from what is received.
    `halt_cumulative_return` is negative (-0.2 halts at a loss of 20 % of the allocation), `halt_drawdown` positive.
    `price_band` is how far a price of the venue may lie from the newest close (0.02 is 2 %): beyond it nothing is sent, and
    a close is no mark until it is confirmed. None leaves the backtest without a band, and the bot with its setting's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model: ModelParams
    look_back_days: int = Field(ge=1, le=3650)
    step_days: int = Field(ge=1, le=3650)
    gap_hours: int = Field(ge=1, le=24 * 365)
    enter_edge: Edge
    exit_edge: float = Field(gt=-0.5, lt=0.5)
    exposure: Exposure = "long_flat"
    fee_rate: Decimal = Field(ge=0, lt=1)
    half_spread_bps: Decimal = Field(ge=0, lt=5000)
    slippage_bps: Decimal = Field(ge=0, lt=5000)
    fee_discount: Decimal | None = Field(ge=0, lt=1, default=None)
    allocation_usdt: Decimal = Field(gt=0, le=MOST_USDT)
    features: str = "reference"
    seed: int = Field(ge=0, lt=2**31)
    horizon_hours: int = Field(ge=1, le=24, default=1)
    label: Label = "direction"
    cash_buffer: Decimal = Field(ge=0, lt=1, default=Decimal("0.001"))
    rebalance_band: Decimal = Field(ge=0, le=1, default=Decimal("0.05"))
    halt_cumulative_return: Decimal | None = Field(gt=-1, lt=0, default=Decimal("-0.2"))
    halt_drawdown: Decimal | None = Field(gt=0, lt=1, default=None)
    price_band: Decimal | None = Field(gt=0, le=1, default=None)

    @property
    def costs(self) -> CostModel:
        """Fee, half spread and slippage as the cost model."""
        return CostModel(self.fee_rate, self.half_spread_bps, self.slippage_bps, self.fee_discount)

    @property
    def thresholds(self) -> Thresholds:
        """Where P(up) enters and leaves a side."""
        return Thresholds(self.enter_edge, self.exit_edge, self.exposure)

    def limits(self, *, freeze: bool) -> LossLimits:
        """The losses that halt, and whether a halt keeps what is held."""
        return LossLimits(self.halt_cumulative_return, self.halt_drawdown, freeze)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values that `parse_params` reads back to an equal object. Keys that came later are left out at their
        default, so that parameters that were written before stay the same."""
        values: dict[str, Any] = self.model_dump()
        for key, default in LATER_KEYS.items():
            if values[key] == default:
                del values[key]
        return {key: float(value) if isinstance(value, Decimal) else value for key, value in values.items()}

    def identity(self) -> dict[str, Any]:
        """The plain values that hashes are made of. Presets have their first names there, and for XGBoost the keys are those
        of before there were other families, so that what was counted then is still the same configuration."""
        values = self.as_json()
        values["features"] = _FIRST_NAMES.get(self.features, self.features)
        if self.model.family != "xgboost":
            return values
        chosen = {key: value for key, value in values.pop("model").items() if key != "family"}
        return {"xgboost": chosen, **values, "promotion": "always"}


DEFAULT_PARAMS: dict[str, Any] = {
    "model": DEFAULT_MODEL,
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
    "features": "reference",
    "seed": 7,
}


def parse_params(text: str | bytes, source: str) -> Params:
    """Params from JSON text. `source` names the file in the error. Raises ConfigError that names every wrong key.

    Files of before there were families say `"xgboost": {...}` in place of `model`, and may name a promotion.
    """
    current, earlier = _current(text, source)
    try:
        return Params.model_validate_json(current)
    except ValidationError as error:
        found = error.errors(include_url=False)[:8]
        raise ConfigError(f"{source}: {'; '.join(_problem(item, earlier) for item in found)}") from None


def _current(text: str | bytes, source: str) -> tuple[str | bytes, bool]:
    """The text in today's form, and whether it was of an earlier one. What is no JSON object is left as it is."""
    try:
        values = json.loads(text)
    except ValueError:
        return text, False
    if not isinstance(values, dict) or not {"xgboost", "promotion"} & values.keys():
        return text, False
    promotion = values.pop("promotion", "always")
    if promotion != "always":
        raise ConfigError(f"{source}: 'promotion' can only be 'always', not {promotion!r}; leave the key out")
    if "xgboost" not in values:
        return json.dumps(values), False
    if "model" in values:
        raise ConfigError(f"{source}: 'model' and 'xgboost' both say which model; leave 'xgboost' out")
    chosen = values.pop("xgboost")
    if isinstance(chosen, dict):
        chosen = {**chosen, "family": chosen.get("family", "xgboost")}
    return json.dumps({"model": chosen, **values}), True


def _problem(item: Any, earlier: bool) -> str:
    where = [str(part) for part in item["loc"]]
    known: Collection[str] = Params.model_fields
    if where[:1] == ["model"]:
        # The tag of the union, the family, stands between `model` and its key.
        known = FAMILIES[where[1]].model_fields if where[1:2] and where[1] in FAMILIES else FAMILIES
        where = ["xgboost" if earlier else "model", *where[2:]]
    name = ".".join(where) or "the file"
    if item["type"] == "extra_forbidden":
        return f"unknown key {name!r}; the keys are {', '.join(known)}"
    if item["type"] in ("union_tag_not_found", "union_tag_invalid"):
        return f"{name!r} must name its family; there are {', '.join(FAMILIES)}. See: trader models families"
    if item["type"] == "missing":
        return f"{name!r} is missing"
    if item["type"] == "json_invalid":
        return f"not valid JSON ({item['ctx']['error']})"
    return f"{name!r}: {item['msg'][0].lower()}{item['msg'][1:]}, not {item['input']!r}"


def params_of(values: dict[str, Any], source: str) -> Params:
    """Params from plain JSON values, by the same rules and messages as `parse_params`."""
    return parse_params(json.dumps(values), source)
