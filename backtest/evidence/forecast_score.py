"""A walk-forward of distributions, scored: the family's windows and the naive ones in, one report out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from backtest.engine.forecast_forward import WindowForecast
from backtest.evidence.forecasts import (
    HourScores,
    Overall,
    StepScore,
    UpScore,
    outcomes,
    overall,
    step_score,
    up_score,
)
from trader.core.forecast import LEVELS
from trader.core.labels import label_of
from trader.core.params import Params
from trader.core.types import HOUR_MS, Bars, Floats, Ints, iso

FANS = 4
BEFORE_HOURS = 48
# Hours ahead that a table shows; a report holds every one.
SHOWN = (1, 2, 3, 6, 12, 24, 48, 72, 120, 168)


@dataclass(frozen=True, slots=True, eq=False)
class Fan:
    """One forecast beside what came: hour (UTC ms), its close, quantiles (h, level) and outcome (h,) of r, and the log
    returns of the BEFORE_HOURS closes before it relative to its own, oldest first."""

    hour: int
    close: float
    before: Floats
    quantiles: Floats
    outcome: Floats


@dataclass(frozen=True, slots=True, eq=False)
class ForecastReport:
    """What distributions of start <= T < stop (UTC ms) were worth. silent: hours without one. fans: some of them."""

    start: int
    stop: int
    hours: int
    silent: int
    by_h: tuple[StepScore, ...]
    overall: Overall
    up: UpScore
    fans: tuple[Fan, ...]

    @property
    def shown(self) -> list[StepScore]:
        """The rows of a table: hours ahead of SHOWN, and the last."""
        return [row for row in self.by_h if row.h in SHOWN or row.h == len(self.by_h)]

    def as_json(self) -> dict[str, Any]:
        """Plain values; losses and bias are of log returns."""
        return {
            "from": iso(self.start),
            "to": iso(self.stop),
            "hours": self.hours,
            "hours_without_forecast": self.silent,
            "levels": list(LEVELS),
            **self.overall.as_json(),
            "by_h": [row.as_json() for row in self.by_h],
            "p_up": self.up.as_json(),
        }


def score_forecasts(
    family: Iterable[WindowForecast],
    naive: Iterable[WindowForecast],
    bars: Bars,
    params: Params,
    start: int,
    stop: int,
) -> ForecastReport:
    """Both walks over start <= T < stop, a window at a time; what they say is forgotten once it is scored, so that memory
    grows with hours and steps, not with levels.

    An outcome counts where it closed at or before `stop`.
    """
    known = bars.until(stop)
    label = label_of(known, params)
    scores: list[HourScores] = []
    rivals: list[HourScores] = []
    told: list[Floats] = []
    fans: list[Fan] = []
    for own, other in zip(family, naive, strict=True):
        r = outcomes(known, own.hours, own.quantiles.shape[1], stop)
        scores.append(HourScores.of(own.hours, own.quantiles, r))
        rivals.append(HourScores.of(other.hours, other.quantiles, r))
        rows = (own.hours - known.first) // HOUR_MS
        told.append(np.stack([own.p_up.astype(float), other.p_up.astype(float), label[rows]]))
        fans += _fans(own, r, known, _places(start, stop, own.quantiles.shape[1]))
    mine, theirs = HourScores.joined(scores), HourScores.joined(rivals)
    p_up, p_naive, y = np.concatenate(told, axis=1)
    return ForecastReport(
        start=start,
        stop=stop,
        hours=len(mine.hours),
        silent=int(np.isnan(p_up).sum()),
        by_h=tuple(step_score(mine, theirs, h) for h in range(1, mine.steps + 1)),
        overall=overall(mine, theirs),
        up=up_score(p_up, p_naive, y, mine.hours, params.horizon_hours),
        fans=tuple(fans),
    )


def _places(start: int, stop: int, steps: int) -> Ints:
    """The hours whose forecasts are shown: evenly spread, each with an outcome."""
    hours = max(1, (stop - start) // HOUR_MS - steps)
    return start + np.unique((np.arange(FANS) + 0.5) * hours // FANS).astype(np.int64) * HOUR_MS


def _fans(told: WindowForecast, outcome: Floats, bars: Bars, places: Ints) -> Iterator[Fan]:
    for i in np.flatnonzero(np.isin(told.hours, places)).tolist():
        row = bars.row(int(told.hours[i]))
        if np.isnan(told.quantiles[i]).any() or bars.flagged[row]:
            continue
        closes = bars.close[max(0, row - BEFORE_HOURS) : row + 1]
        before = np.log(closes / closes[-1])
        yield Fan(int(told.hours[i]), float(closes[-1]), before, told.quantiles[i], outcome[i])
