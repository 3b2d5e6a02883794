"""What each family of models is told: one class a family, joined to the tagged union that `P.json` calls `model`.

A new family adds its class here and to `ModelParams`; names and meaning of its keys are its library's own.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(gt=0, le=1)]


class FamilyParams(BaseModel):
    """What all families have in common: unknown keys are refused, nothing is changed after it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    family: str


class XGBoostParams(FamilyParams):
    """Boosted trees by XGBoost."""

    family: Literal["xgboost"] = "xgboost"
    n_estimators: int = Field(ge=1, le=10_000)
    max_depth: int = Field(ge=1, le=30)
    learning_rate: float = Field(gt=0, le=1)
    subsample: Share = 1.0
    colsample_bytree: Share = 1.0
    gamma: float = Field(ge=0, default=0)


class LightGBMParams(FamilyParams):
    """Boosted trees by LightGBM."""

    family: Literal["lightgbm"] = "lightgbm"
    n_estimators: int = Field(ge=1, le=10_000, default=150)
    num_leaves: int = Field(ge=2, le=1_024, default=15)
    learning_rate: float = Field(gt=0, le=1, default=0.03)
    min_data_in_leaf: int = Field(ge=1, le=10_000, default=80)
    feature_fraction: Share = 0.9
    bagging_fraction: Share = 0.8
    lambda_l2: float = Field(ge=0, le=1_000, default=5.0)


class NaiveParams(FamilyParams):
    """The rolling distribution of the newest returns: it is told nothing, and is what every other family must beat."""

    family: Literal["naive"] = "naive"


ModelParams = Annotated[
    # one a line
    XGBoostParams | LightGBMParams | NaiveParams,
    Field(discriminator="family"),
]

FAMILIES: dict[str, type[FamilyParams]] = {
    kind.model_fields["family"].default: kind for kind in get_args(get_args(ModelParams)[0])
}

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
