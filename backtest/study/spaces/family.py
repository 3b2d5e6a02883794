"""What a study may vary of one family of models: its keys and their ranges, its stages, and what a fit costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from trader.core.model_params import FAMILIES, FamilyParams, ModelParams, keys_of

if TYPE_CHECKING:
    import optuna

# A family without stages has this one: the whole model.
WHOLE_MODEL = 1


@dataclass(frozen=True, slots=True)
class Range:
    """least <= value <= most; whole numbers only where `whole`, `step` apart. by_size: drawn by orders of magnitude."""

    least: float
    most: float
    whole: bool = False
    step: int = 1
    by_size: bool = False

    def nearest(self, value: float) -> float:
        """The nearest value within the range."""
        inside = min(max(value, self.least), self.most)
        if not self.whole:
            return inside
        return int(self.least) + self.step * round((inside - self.least) / self.step)

    def suggested(self, trial: optuna.Trial, name: str) -> float:
        """A value that Optuna chooses."""
        if self.whole:
            return trial.suggest_int(name, int(self.least), int(self.most), step=self.step)
        return trial.suggest_float(name, self.least, self.most, log=self.by_size)


LOOK_BACK_DAYS = Range(30, 180, whole=True)


@dataclass(frozen=True, slots=True)
class FamilySpace:
    """The search space of one family.

    ranges: the keys of the family's parameters that are searched, in the order in which they are drawn.
    stage_key: the key that says how many stages (boosting rounds) a model has; a fit predicts with fewer of them too, from
    `fewest_stages` on in steps of `stage_step`. "" for a family that does not grow in stages.
    fit_cost: what one fit costs beside another, from the family's keys and `look_back_days`; only ratios matter. No seconds
    of any machine, for what is looked at must not follow from them. learns: False for a family that no look-back changes,
    so that none is searched.
    """

    family: str
    ranges: Mapping[str, Range]
    fit_cost: Callable[[Mapping[str, float]], float]
    stage_key: str = ""
    fewest_stages: int = WHOLE_MODEL
    stage_step: int = 1
    learns: bool = True

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """A point of the space: the family's keys, then the look-back of a family that learns."""
        return {name: range_.suggested(trial, name) for name, range_ in self.points().items()}

    def nearest(self, model: ModelParams, look_back_days: int) -> dict[str, Any]:
        """Parameters as the nearest point of the space, to begin a search with."""
        values = model.model_dump()
        values["look_back_days"] = look_back_days
        return {name: range_.nearest(values[name]) for name, range_ in self.points().items()}

    def points(self) -> Mapping[str, Range]:
        """What is searched, by name, in the order in which it is drawn."""
        return {**self.ranges, "look_back_days": LOOK_BACK_DAYS} if self.learns else self.ranges

    def cost(self, model: ModelParams, look_back_days: int) -> float:
        """`fit_cost` of parameters, whether or not they lie within the space."""
        return self.fit_cost({**model.model_dump(exclude={"family"}), "look_back_days": look_back_days})

    def stages(
        self, model: ModelParams, fewest: int | None = None, step: int | None = None
    ) -> tuple[int, ...]:
        """The numbers of stages that a fit is looked at with, ascending, all of them last. `fewest` and `step` replace the
        family's own."""
        if not self.stage_key:
            return (WHOLE_MODEL,)
        most = int(getattr(model, self.stage_key))
        return (*range(fewest or self.fewest_stages, most, step or self.stage_step), most)

    def at_stage(self, model: ModelParams, stages: int) -> ModelParams:
        """The parameters of a model that has only so many stages."""
        return model.model_copy(update={self.stage_key: stages}) if self.stage_key else model


def space_of_keys(family: str) -> FamilySpace:
    """The space of a family without one of its own: every numeric key that has a least and a most value is searched between them,
    and a fit costs as many days as it is trained on."""
    return _space_of_keys(family, FAMILIES[family])


@lru_cache(maxsize=16)
def _space_of_keys(family: str, kind: type[FamilyParams]) -> FamilySpace:
    ranges = {
        key.name: Range(key.least, key.most, whole=kind.model_fields[key.name].annotation is int)
        for key in keys_of(family)
        if key.least is not None and key.most is not None
    }
    return FamilySpace(family=family, ranges=ranges, fit_cost=lambda values: values["look_back_days"])
