"""The parameters of a strategy (`P.json`): validated once, unknown keys refused, money as Decimal."""

from __future__ import annotations

import json
from collections.abc import Collection
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from trader.core.costs import CostModel
from trader.core.errors import ConfigError
from trader.core.model_params import (
    DEFAULT_MODEL,
    FAMILIES,
    LATER_MODEL_KEYS,
    ModelParams,
    XGBoostParams,
    completed,
    default_model,
)
from trader.core.param_keys import plain_default
from trader.core.policy import Exposure, LossLimits, Thresholds
from trader.core.presets import EARLIER_NAMES
from trader.core.train_symbols import TrainSymbols

Label = Literal["direction", "direction_beyond_cost"]
MOST_USDT = Decimal(10) ** 12  # beyond it a quantity needs more digits than a Decimal keeps
Edge = Annotated[float, Field(ge=0, lt=0.5)]
_FIRST_NAMES = {name: earlier for earlier, name in EARLIER_NAMES.items()}
# Keys that came after parameters were first written and hashed, each with its default.
LATER_KEYS: dict[str, Any] = {
    "label": "direction",
    "price_band": None,
    "fee_discount": None,
    "train_symbols": None,
}


class Params(BaseModel):
    """Everything that decides what is traded. A backtest and a bot with equal Params and equal bars write equal hours.

    Rates and shares are fractions (0.001 is 0.1 %), `_bps` are 1/10,000, `_days` and `_hours` are spans of time.
    A prediction is about the close `horizon_hours` later: that it is higher (`label` direction), or higher by more than a round
    trip costs (direction_beyond_cost). A position is held for `horizon_hours` at least.
    `fee_discount` is the share by which the fee is less because it is paid in a third asset (BNB): with it commission is
    fee_rate x (1 - fee_discount) of what is traded, in quote; without it commission is taken from what is received.
    `halt_cumulative_return` is negative (-0.2 halts at a loss of 20 % of the allocation), `halt_drawdown` positive.
    `price_band` is how far a price of the venue may lie from the newest close (0.02 is 2 %): beyond it nothing is sent, and
    a close is no mark until it is confirmed. None leaves the backtest without a band, and the bot with its setting's.
    `train_symbols` are the symbols whose bars a fit sees, the traded one among them; None is the traded one alone. They are
    kept sorted, so that the order in which they are named changes nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model: ModelParams = Field(
        default_factory=lambda: XGBoostParams(**DEFAULT_MODEL), description="family of models, and its keys"
    )
    look_back_days: int = Field(
        ge=1, le=3650, default=59, description="days of bars that a model is trained on"
    )
    step_days: int = Field(ge=1, le=3650, default=30, description="days from one refit to the next")
    gap_hours: int = Field(
        ge=1,
        le=24 * 365,
        default=1,
        description="hours from the newest bar of a fit to the model's first hour",
    )
    enter_edge: Edge = Field(default=0.01, description="enter a position at P(up) of 0.5 plus this")
    exit_edge: float = Field(
        gt=-0.5, lt=0.5, default=0.0, description="leave it at P(up) of 0.5 minus this; in between it is kept"
    )
    exposure: Exposure = Field(
        default="long_flat", description="positions that are taken; long_short in backtests only"
    )
    fee_rate: Decimal = Field(
        ge=0, lt=1, default=Decimal("0.001"), description="commission of a fill, a share: 0.001 is 0.1 %"
    )
    half_spread_bps: Decimal = Field(
        ge=0, lt=5000, default=Decimal(1), description="half of ask minus bid, in 1/10,000 of the price"
    )
    slippage_bps: Decimal = Field(
        ge=0, lt=5000, default=Decimal(1), description="slippage of a market order, in 1/10,000 of the price"
    )
    fee_discount: Decimal | None = Field(
        ge=0,
        lt=1,
        default=None,
        description="share that commission is less by because a third asset (BNB) pays it; null: it is taken "
        "from what is received",
    )
    allocation_usdt: Decimal = Field(
        gt=0, le=MOST_USDT, default=Decimal(10_000), description="capital of the strategy, USDT"
    )
    features: str = Field(
        default="reference", description="feature preset; of your own, see docs/features.md"
    )
    seed: int = Field(ge=0, lt=2**31, default=7, description="random seed of every fit")
    horizon_hours: int = Field(
        ge=1, le=24, default=1, description="hours ahead of a prediction, and minimum holding period"
    )
    label: Label = Field(
        default="direction",
        description="what is predicted: a higher close, or one that is higher by more than a round trip costs",
    )
    cash_buffer: Decimal = Field(
        ge=0, lt=1, default=Decimal("0.001"), description="share of the cash that a purchase leaves"
    )
    rebalance_band: Decimal = Field(
        ge=0,
        le=1,
        default=Decimal("0.05"),
        description="share of equity that may be missing from a position before an order completes it",
    )
    halt_cumulative_return: Decimal | None = Field(
        gt=-1, lt=0, default=Decimal("-0.2"), description="trading halts at this return; null: never"
    )
    halt_drawdown: Decimal | None = Field(
        gt=0, lt=1, default=None, description="trading halts at this fall from the peak; null: never"
    )
    price_band: Decimal | None = Field(
        gt=0,
        le=1,
        default=None,
        description="largest gap between the venue's price and the newest close, a share; null: none, or the bot's setting",
    )
    train_symbols: TrainSymbols | None = Field(
        default=None,
        description="symbols that a fit of a global family sees, the traded one among them; null: it alone",
    )

    @model_validator(mode="after")
    def _reaches_its_horizon(self) -> Self:
        if self.forecast_hours < self.horizon_hours:
            raise ValueError(
                f"model.forecast_hours ({self.forecast_hours}) must be at least horizon_hours ({self.horizon_hours})"
            )
        return self

    @property
    def costs(self) -> CostModel:
        """Fee, half spread and slippage as the cost model."""
        return CostModel(self.fee_rate, self.half_spread_bps, self.slippage_bps, self.fee_discount)

    @property
    def forecast_hours(self) -> int:
        """How many hours ahead a family that gives a distribution says one: its own key, else the horizon."""
        own: int | None = getattr(self.model, "forecast_hours", None)
        return own or self.horizon_hours

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
        later = [(values, LATER_KEYS), (values["model"], LATER_MODEL_KEYS.get(self.model.family, {}))]
        for part, defaults in later:
            for key, default in defaults.items():
                if part[key] == default:
                    del part[key]
        return {key: _json_value(value) for key, value in values.items()}

    def identity(self) -> dict[str, Any]:
        """The plain values that hashes are made of. Presets have their first names there, and for XGBoost the keys are those
        of before there were other families, so that what was counted then is still the same configuration."""
        values = self.as_json()
        values["features"] = _FIRST_NAMES.get(self.features, self.features)
        if self.model.family != "xgboost":
            return values
        chosen = {key: value for key, value in values.pop("model").items() if key != "family"}
        return {"xgboost": chosen, **values, "promotion": "always"}


def _json_value(value: Any) -> Any:
    """A field's value as JSON has it."""
    if isinstance(value, Decimal):
        return float(value)
    return list(value) if isinstance(value, tuple) else value


# What every file of parameters had to name once, and so what every stored object holds.
FIRST_KEYS = (
    "model",
    "look_back_days",
    "step_days",
    "gap_hours",
    "enter_edge",
    "exit_edge",
    "fee_rate",
    "half_spread_bps",
    "slippage_bps",
    "allocation_usdt",
    "seed",
)


def template(family: str = DEFAULT_MODEL["family"]) -> dict[str, Any]:
    """Every key of `P.json` with its default, as plain JSON values, the model one of this family."""
    values = {name: plain_default(field) for name, field in Params.model_fields.items()}
    return {**values, "model": default_model(family)}


# The documented defaults, as files of parameters were first written.
DEFAULT_PARAMS: dict[str, Any] = {
    name: value for name, value in template().items() if name in (*FIRST_KEYS, "exposure", "features")
}


def parse_params(text: str | bytes, source: str) -> Params:
    """Params from the JSON text of a file, which names what differs from the defaults. `source` names the file in the error.
    Raises ConfigError that names every wrong key.

    Files of before there were families say `"xgboost": {...}` in place of `model`, and may name a promotion.
    """
    return _read(text, source, complete=True)


def params_of(values: dict[str, Any], source: str) -> Params:
    """Params from plain JSON values, by the same rules and messages as `parse_params`. What a store holds is whole, so that
    nothing is filled in here."""
    there = values.keys() | ({"model"} if "xgboost" in values else set())
    if missing := [repr(name) for name in FIRST_KEYS if name not in there]:
        raise ConfigError(f"{source}: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    return _read(json.dumps(values), source, complete=False)


def _read(text: str | bytes, source: str, *, complete: bool) -> Params:
    current, earlier = _current(text, source, complete)
    try:
        return Params.model_validate_json(current)
    except ValidationError as error:
        found = error.errors(include_url=False)[:8]
        raise ConfigError(f"{source}: {'; '.join(_problem(item, earlier) for item in found)}") from None


def _current(text: str | bytes, source: str, complete: bool) -> tuple[str | bytes, bool]:
    """The text in today's form, its model completed where that is wanted, and whether it was of an earlier form. What is no JSON
    object is left as it is."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return text, False
    if not isinstance(values, dict):
        return text, False
    promotion = values.pop("promotion", "always")
    if promotion != "always":
        raise ConfigError(f"{source}: 'promotion' can only be 'always', not {promotion!r}; leave the key out")
    earlier = "xgboost" in values
    if earlier and "model" in values:
        raise ConfigError(f"{source}: 'model' and 'xgboost' both say which model; leave 'xgboost' out")
    chosen = values.pop("xgboost") if earlier else values.get("model")
    if earlier and isinstance(chosen, dict):
        chosen = {**chosen, "family": chosen.get("family", "xgboost")}
    if complete and isinstance(chosen, dict):
        chosen = completed(chosen)
    if earlier or "model" in values:
        values = {"model": chosen, **{key: value for key, value in values.items() if key != "model"}}
    return json.dumps(values), earlier


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
        said = f", not {item['ctx']['tag']!r}" if item["type"] == "union_tag_invalid" else ""
        return (
            f"{name!r} must name its family; there are {', '.join(FAMILIES)}{said}. See: trader models families. A family of "
            "your own needs its file: model_module in trader.toml (docs/families.md)"
        )
    if item["type"] == "missing":
        return f"{name!r} is missing"
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    if item["type"] == "json_invalid":
        return f"not valid JSON ({item['ctx']['error']})"
    return f"{name!r}: {item['msg'][0].lower()}{item['msg'][1:]}, not {item['input']!r}"
