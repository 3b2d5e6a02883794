"""What a study searches: the reference's space for Optuna, and what is swept on every fit.

A trial's `n_estimators` is the largest that it trains; fewer trees of the same fit are predicted with and looked at
too, and so are thresholds at quantiles of the out-of-fold P(up). Each of them is a configuration, and is counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from trader.core.params import Params, params_of

if TYPE_CHECKING:
    import optuna

LONGEST_LOOK_BACK_DAYS = 180

# Name -> least, largest. Whole numbers are searched as such.
TREES: dict[str, tuple[float, float]] = {
    "n_estimators": (350, 1000),
    "max_depth": (3, 10),
    "learning_rate": (0.01, 0.10),
    "subsample": (0.5, 0.9),
    "colsample_bytree": (0.5, 0.9),
    "gamma": (0, 20),
}
LOOK_BACK_DAYS = (30, LONGEST_LOOK_BACK_DAYS)
WHOLE = ("n_estimators", "max_depth", "gamma", "look_back_days")


@dataclass(frozen=True, slots=True)
class Space:
    """`fewest_trees` and `trees_step` say which smaller numbers of trees are swept. The quantiles of P(up) say where to
    enter and to leave, each with each; without them every trial keeps the thresholds of the base parameters.
    """

    fewest_trees: int = 350
    trees_step: int = 150
    enter_quantiles: tuple[float, ...] = (0.5, 0.7, 0.85, 0.95, 0.99)
    exit_quantiles: tuple[float, ...] = (0.5, 0.3, 0.15, 0.05, 0.01)

    def trees(self, largest: int) -> tuple[int, ...]:
        """The numbers of trees that a fit of `largest` is looked at with, ascending, `largest` last."""
        return (*range(self.fewest_trees, largest, self.trees_step), largest)

    def as_json(self) -> dict[str, Any]:
        """Plain values, for the study's own file."""
        values = asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


@dataclass(frozen=True, slots=True)
class Plan:
    """One trial as a worker gets it. `params` hold the largest number of trees. `exactly` is a configuration that is
    looked at as it is, beside the swept ones."""

    number: int
    params: Params
    trees: tuple[int, ...]
    exactly: Params | None = None

    @property
    def cost(self) -> float:
        """Beside that of another."""
        return cost({**self.params.xgboost.model_dump(), "look_back_days": self.params.look_back_days})


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """The reference's space, in the order of the reference's code."""
    found: dict[str, Any] = {}
    for name, (least, most) in {**TREES, "look_back_days": LOOK_BACK_DAYS}.items():
        if name in WHOLE:
            found[name] = trial.suggest_int(name, int(least), int(most))
        else:
            found[name] = trial.suggest_float(name, least, most)
    return found


def cost(suggestion: Mapping[str, Any]) -> float:
    """What a trial to its end costs beside another one: trees x sqrt(days trained on) x exp(2 / (1 + gamma)).

    A tree that may split for nothing grows to its depth; otherwise there are few splits, whatever the depth. Within a
    tenth of the seconds that 280 configurations drawn from the space took on BTCUSDT (ADR 11); no seconds of this
    machine, for what is looked at must not follow from them.
    """
    trees, days, gamma = (float(suggestion[name]) for name in ("n_estimators", "look_back_days", "gamma"))
    return trees * math.sqrt(days) * math.exp(2 / (1 + gamma))


def nearest(params: Params) -> dict[str, Any]:
    """Parameters as the nearest point of the space, to begin a search with."""
    values = {**params.xgboost.model_dump(), "look_back_days": params.look_back_days}
    limits = {**TREES, "look_back_days": LOOK_BACK_DAYS}
    inside = {name: min(max(values[name], least), most) for name, (least, most) in limits.items()}
    return {name: round(value) if name in WHOLE else value for name, value in inside.items()}


def plan_of(
    number: int, suggestion: Mapping[str, Any], base: Params, space: Space, exactly: Params | None
) -> Plan:
    """A suggestion, or in its stead a configuration as it is, on top of the base parameters."""
    if exactly is not None:
        most = exactly.xgboost.n_estimators
        return Plan(number, exactly, space.trees(most), exactly)
    trees = {name: suggestion[name] for name in TREES}
    params = params_of(
        {**base.as_json(), "xgboost": trees, "look_back_days": suggestion["look_back_days"]}, "a trial"
    )
    return Plan(number, params, space.trees(params.xgboost.n_estimators))
