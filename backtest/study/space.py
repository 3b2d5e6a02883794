"""What a study searches: a family's own space for Optuna, and what is swept on every fit.

A trial trains a model with all of its stages; fewer stages of the same fit are predicted with and looked at too, and so
are thresholds at quantiles of the out-of-fold P(up). Each of them is a configuration, and is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from backtest.study.spaces import arima, lightgbm, naive, prophet, tft, xgboost
from backtest.study.spaces.family import LOOK_BACK_DAYS, FamilySpace, space_of_keys
from trader.core.params import Params, params_of

if TYPE_CHECKING:
    import optuna

LONGEST_LOOK_BACK_DAYS = int(LOOK_BACK_DAYS.most)

# A new family's space is added here.
_ALL = (
    xgboost.SPACE,
    lightgbm.SPACE,
    naive.SPACE,
    arima.SPACE,
    prophet.SPACE,
    tft.SPACE,
)
SPACES: Mapping[str, FamilySpace] = {it.family: it for it in _ALL}


def space_of(params: Params) -> FamilySpace:
    """The search space of the family that these parameters name; a user's own family is searched within its keys' bounds."""
    return SPACES.get(params.model.family) or space_of_keys(params.model.family)


@dataclass(frozen=True, slots=True)
class Space:
    """`fewest_stages` and `stage_step` say which smaller numbers of stages are swept; None is the family's own. The
    quantiles of P(up) say where to enter and to leave, each with each; without them every trial keeps the thresholds of the
    base parameters.
    """

    fewest_stages: int | None = None
    stage_step: int | None = None
    enter_quantiles: tuple[float, ...] = (0.5, 0.7, 0.85, 0.95, 0.99)
    exit_quantiles: tuple[float, ...] = (0.5, 0.3, 0.15, 0.05, 0.01)

    def stages(self, params: Params) -> tuple[int, ...]:
        """The numbers of stages that a fit is looked at with, ascending, all of them last."""
        return space_of(params).stages(params.model, self.fewest_stages, self.stage_step)

    def as_json(self) -> dict[str, Any]:
        """Plain values, for the study's own file."""
        values = asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """One trial as a worker gets it. `params` hold the largest number of stages. `exactly` is a configuration that is
    looked at as it is, beside the swept ones."""

    number: int
    params: Params
    stages: tuple[int, ...]
    exactly: Params | None = None

    @property
    def cost(self) -> float:
        """Beside that of another."""
        return space_of(self.params).cost(self.params.model, self.params.look_back_days)


def suggest(trial: optuna.Trial, base: Params) -> dict[str, Any]:
    """A point of the family's space."""
    return space_of(base).suggest(trial)


def cost(suggestion: Mapping[str, Any], base: Params) -> float:
    """What a trial to its end costs beside another one. Keys that the suggestion does not name, such as ARIMA's season, are
    those of the base parameters."""
    kept = base.model.model_dump(exclude={"family"})
    return space_of(base).fit_cost({**kept, "look_back_days": base.look_back_days, **suggestion})


def nearest(params: Params) -> dict[str, Any]:
    """Parameters as the nearest point of the space, to begin a search with."""
    return space_of(params).nearest(params.model, params.look_back_days)


def plan_of(
    number: int, suggestion: Mapping[str, Any], base: Params, space: Space, exactly: Params | None
) -> TrialPlan:
    """A suggestion, or in its stead a configuration as it is, on top of the base parameters."""
    if exactly is not None:
        return TrialPlan(number, exactly, space.stages(exactly), exactly)
    chosen = {name: suggestion[name] for name in space_of(base).ranges}
    model = {**base.model.model_dump(), **chosen}
    days = suggestion.get("look_back_days", base.look_back_days)
    params = params_of({**base.as_json(), "model": model, "look_back_days": days}, "a trial")
    return TrialPlan(number, params, space.stages(params))
