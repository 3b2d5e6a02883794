"""What each family of models is told: one class a family, joined to the tagged union that `P.json` calls `model`.

A new family adds its class here and to `_Shipped`; names and meaning of its keys are its library's own. A family of a
user's own file is registered by `trader/core/families.py` and validated by the same rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from trader.core.param_keys import Key, keys_in

Share = Annotated[float, Field(gt=0, le=1)]
LONGEST_FORECAST_HOURS = 168
LONGEST_ENCODER_HOURS = 168
ForecastHours = Annotated[int, Field(ge=1, le=LONGEST_FORECAST_HOURS)]


class FamilyParams(BaseModel):
    """What all families have in common: unknown keys are refused, nothing is changed after it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    family: str


class XGBoostParams(FamilyParams):
    """Boosted trees by XGBoost."""

    family: Literal["xgboost"] = "xgboost"
    n_estimators: int = Field(ge=1, le=10_000, description="boosting rounds, a tree each")
    max_depth: int = Field(ge=1, le=30, description="splits above a leaf, at most")
    learning_rate: float = Field(gt=0, le=1, description="what a tree's answer is multiplied by")
    subsample: Share = Field(default=1.0, description="share of the rows that a tree sees")
    colsample_bytree: Share = Field(default=1.0, description="share of the features that a tree sees")
    gamma: float = Field(ge=0, default=0, description="the least loss that a split must save")


class LightGBMParams(FamilyParams):
    """Boosted trees by LightGBM."""

    family: Literal["lightgbm"] = "lightgbm"
    n_estimators: int = Field(ge=1, le=10_000, default=150, description="boosting rounds, a tree each")
    num_leaves: int = Field(ge=2, le=1_024, default=15, description="leaves of a tree, at most")
    learning_rate: float = Field(
        gt=0, le=1, default=0.03, description="what a tree's answer is multiplied by"
    )
    min_data_in_leaf: int = Field(ge=1, le=10_000, default=80, description="rows in a leaf, at least")
    feature_fraction: Share = Field(default=0.9, description="share of the features that a tree sees")
    bagging_fraction: Share = Field(default=0.8, description="share of the rows that a tree sees")
    lambda_l2: float = Field(ge=0, le=1_000, default=5.0, description="L2 penalty on a leaf's answer")


class NaiveParams(FamilyParams):
    """The rolling distribution of the newest returns: it is told nothing, and is what every other family must beat."""

    family: Literal["naive"] = "naive"
    forecast_hours: ForecastHours | None = Field(
        default=None, description="hours ahead that its distribution reaches; null: the horizon"
    )


class ArimaParams(FamilyParams):
    """ARIMA on log closes, its order chosen by statsforecast's AutoARIMA at every fit."""

    family: Literal["arima"] = "arima"
    season_length: int = Field(
        ge=1, le=24, default=1, description="steps of a season: 24 is a day of hours; 1 is none"
    )
    max_p: int = Field(ge=0, le=10, default=5, description="autoregressive terms, at most")
    max_q: int = Field(ge=0, le=10, default=5, description="moving-average terms, at most")
    max_d: int = Field(ge=0, le=2, default=2, description="times that closes are differenced, at most")
    forecast_hours: ForecastHours = Field(default=24, description="hours ahead that its distribution reaches")


class ProphetParams(FamilyParams):
    """Prophet on closes: a trend with changepoints, and the seasons of day, week and year."""

    family: Literal["prophet"] = "prophet"
    seasonality: Literal["additive", "multiplicative"] = Field(
        default="additive", description="seasons are added to the trend, or are shares of it"
    )
    changepoint_prior_scale: float = Field(
        gt=0, le=10, default=0.05, description="how readily the trend bends at a changepoint"
    )
    seasonality_prior_scale: float = Field(gt=0, le=100, default=10.0, description="how large seasons may be")
    n_changepoints: int = Field(
        ge=0, le=200, default=25, description="changepoints in the first 80 % of a fit"
    )
    forecast_hours: ForecastHours = Field(default=24, description="hours ahead that its distribution reaches")


class TFTParams(FamilyParams):
    """One Temporal Fusion Transformer over all symbols."""

    family: Literal["tft"] = "tft"
    encoder_hours: int = Field(
        ge=24, le=LONGEST_ENCODER_HOURS, default=63, description="hours before T that a forecast reads"
    )
    forecast_hours: ForecastHours = Field(default=24, description="hours ahead that its distribution reaches")
    hidden_size: int = Field(
        ge=8, le=256, multiple_of=8, default=32, description="numbers that an hour is described by"
    )
    attention_heads: Literal[1, 2, 4, 8] = Field(default=4, description="heads that look back at the hours")
    dropout: float = Field(ge=0, lt=1, default=0.1, description="share of numbers left out while learning")
    learning_rate: float = Field(gt=0, le=1, default=0.001, description="step of the optimiser (Adam)")
    batch_size: int = Field(ge=2, le=65_536, default=256, description="windows of a step")
    epochs: int = Field(
        ge=1, le=1_000, default=10, description="times that every window is learnt from, at most"
    )
    patience: int = Field(
        ge=1,
        le=1_000,
        default=3,
        description="epochs without a better loss on held-back hours, then it stops",
    )
    shards: int = Field(
        ge=1,
        le=64,
        default=2,
        description="parts of a batch whose gradients are added in order; at most so many workers share a fit",
    )
    device: Literal["cpu", "cuda"] = Field(
        default="cpu", description="where it learns; a forecast runs on the cpu"
    )


# Keys of a family that came after its parameters were first written and hashed, each with its default.
LATER_MODEL_KEYS: dict[str, dict[str, Any]] = {"naive": {"forecast_hours": None}, "tft": {"shards": 2}}
# The family that every other must beat.
NAIVE = "naive"

_Shipped = Annotated[
    # one a line
    XGBoostParams | LightGBMParams | NaiveParams | ArimaParams | ProphetParams | TFTParams,
    Field(discriminator="family"),
]

SHIPPED: dict[str, type[FamilyParams]] = {
    kind.model_fields["family"].default: kind for kind in get_args(get_args(_Shipped)[0])
}
# Every family that `model` can name in this process: the shipped ones, and those that `accept` added.
FAMILIES: dict[str, type[FamilyParams]] = dict(SHIPPED)


def accept(family: str, kind: type[FamilyParams]) -> None:
    """Let `model` name a family of a user's own file from now on, in this process."""
    FAMILIES[family] = kind


def _by_family(value: Any, shipped: ValidatorFunctionWrapHandler) -> FamilyParams:
    """`model` as its family's class. The union of the shipped families is compiled once; a union that also holds a user's own
    is made when such a family is named."""
    family = value.get("family") if isinstance(value, dict) else getattr(value, "family", None)
    if not isinstance(family, str) or family in SHIPPED or family not in FAMILIES:
        known: FamilyParams = shipped(value)
        return known
    return _union_of(tuple(FAMILIES.values())).validate_python(value)


@lru_cache(maxsize=4)
def _union_of(kinds: tuple[type[FamilyParams], ...]) -> TypeAdapter[FamilyParams]:
    """The tagged union of these families, compiled when it is first needed."""
    union: Any = Annotated[Union[kinds], Field(discriminator="family")]  # noqa: UP007  # made at run time
    return TypeAdapter(union)


ModelParams = Annotated[SerializeAsAny[_Shipped], WrapValidator(_by_family)]

# The published study's best trees.
DEFAULT_MODEL: dict[str, Any] = {
    "family": "xgboost",
    "n_estimators": 355,
    "max_depth": 5,
    "learning_rate": 0.0317,
    "subsample": 0.787,
    "colsample_bytree": 0.886,
    "gamma": 20,
}


def keys_of(family: str) -> Iterator[Key]:
    """The keys that `model` may hold beside the family, in their order."""
    return (key for key in keys_in(FAMILIES[family]) if key.name != "family")


def default_model(family: str) -> dict[str, Any]:
    """What `model` is where only its family is named: of XGBoost the published study's trees, else each key's default."""
    if family == DEFAULT_MODEL["family"]:
        return dict(DEFAULT_MODEL)
    return {"family": family, **{key.name: key.default for key in keys_of(family)}}


def completed(model: dict[str, Any]) -> dict[str, Any]:
    """A `model` that names only what differs from `default_model`, with the rest of it.

    One that names every key without a default of its own is whole: what it leaves out are those keys' own defaults, as
    files were read before anything could be left out. Other keys, and unknown families, are left to whoever validates.
    """
    kind = FAMILIES.get(str(model.get("family")))
    if kind is None or all(name in model for name, field in kind.model_fields.items() if field.is_required()):
        return model
    return {**default_model(model["family"]), **model}


def told_in_words(model: FamilyParams) -> str:
    """What a family is told, beside its name: "max_depth 5, learning_rate 0.0317"; "" where it is told nothing."""
    told = {name: value for name, value in model.model_dump(exclude={"family"}).items() if value is not None}
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, int | float) else f"{name} {value}"
        for name, value in told.items()
    )
