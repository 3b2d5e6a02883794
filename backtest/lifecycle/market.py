"""What a walk under a lifecycle rule is shown: features, labels and outcomes, fitted models, drift."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from backtest.engine.history import History
from trader.core.drift import DRIFT_HOURS, calibration_decay, feature_drift
from trader.core.features import preset_named
from trader.core.hours import Rules
from trader.core.lifecycle import Champion, Drift, RunningTotals
from trader.core.model import RANGE_QUANTILES, drift_limits_of, ranges_of
from trader.core.panel import Panel
from trader.core.params import Params
from trader.core.ports import Forecaster, Predictor
from trader.core.training import labels_between, usable_rows
from trader.core.types import HOUR_MS, Bars, Floats, Ints, Matrix
from trader.core.windows import Refit, refit_of, require_history


@dataclass(frozen=True, slots=True, eq=False)
class FittedModel:
    """A champion, its parameters, and what its card holds to see drift against; without drift `ranges` is empty."""

    champion: Champion
    params: Params
    predictor: Predictor
    train_until: int
    ranges: dict[str, list[float]]
    limits: dict[str, float]


@dataclass(frozen=True)
class LifecycleMarket:
    """What is traded: hours start <= T < stop, UTC ms. longest_look_back_days: of any model that may be fitted. others: bars of
    the further symbols that a fit sees."""

    forecaster: Forecaster
    bars: Bars
    rules: Rules
    start: int
    stop: int
    source: str
    longest_look_back_days: int
    others: tuple[Bars, ...] = ()

    @cached_property
    def _begin(self) -> int:
        widest = self.rules.params.model_copy(update={"look_back_days": self.longest_look_back_days})
        first = refit_of(widest, 0, self.start)
        require_history(self.bars, first, widest, self.source)
        return first.train_from

    @cached_property
    def _history(self) -> History:
        params = self.rules.params
        return History.of(self.forecaster, self.bars, params, self._begin, self.stop, self.others)

    @cached_property
    def _rows(self) -> Matrix:
        """The features of every hour of the history; without columns for a family that reads the series itself."""
        panel = self._history.panel
        return panel.X[0] if panel.X else np.zeros((len(panel), 0), np.float32)

    @cached_property
    def _rose(self) -> Floats:
        return labels_between(self.bars, self.rules.params, self.start, self.stop)

    @cached_property
    def _shown(self) -> Matrix:
        """The features that an hour's record holds: none where the hour has no bar of its own."""
        shown = self._rows.copy()
        shown[self._history.panel.bars[0].flagged] = np.nan
        return shown

    def shut(self, hour: int) -> bool:
        """True where the venue has no bar that opens at an hour."""
        return not self.bars.has(hour + HOUR_MS)

    def fitted(self, champion: Champion, params: Params, *, with_drift: bool) -> FittedModel:
        """Fit for the hours from champion.valid_from on, by what was known `gap` before. Raises DataError."""
        window = refit_of(params, 0, champion.valid_from)
        self._history.require_trainable([window], params, self.source)
        predictor = self._history.fit(window, params)
        ranges, limits = self._known(window, params) if with_drift else ({}, {})
        return FittedModel(champion, params, predictor, window.train_until, ranges, limits)

    def _known(self, window: Refit, params: Params) -> tuple[dict[str, list[float]], dict[str, float]]:
        """The ranges of a model's training rows and the limits of drift, as its card would hold them."""
        panel, y = self._history.training(window, params)
        if not panel.X:
            return {}, {}
        own = panel.symbols.index(self.bars.symbol)
        alone = Panel.of([panel.bars[own]], [panel.X[own]])
        X, _ = usable_rows(alone, y[own : own + 1], window.train_until)
        ranges = ranges_of(X, preset_named(params.features).columns)
        return ranges, drift_limits_of(X, ranges)

    def predicted(self, model: FittedModel, start: int, stop: int) -> Matrix:
        """P(up) of start <= T < stop, (n,) float32, NaN where a feature is undefined."""
        return self._history.predict(model.predictor, model.train_until, start, stop)

    def scored(self, p_up: Floats) -> tuple[Ints, Ints]:
        """How many predictions turned out right, and how many were scored, as is known at each hour: p_up (n,) from `start` on,
        NaN where there is none yet -> (n,) each. A call is scored `horizon_hours` later."""
        known = ~(np.isnan(p_up) | np.isnan(self._rose))
        right = known & ((p_up >= 0.5) == (self._rose == 1.0))
        unscored = np.zeros(min(self.rules.params.horizon_hours, len(p_up)), np.int64)
        closed = len(p_up) - len(unscored)
        right, known = np.cumsum(right[:closed]), np.cumsum(known[:closed])
        return np.concatenate([unscored, right]), np.concatenate([unscored, known])

    def drift(self, model: FittedModel, p_up: Floats, start: int, stop: int) -> list[Drift]:
        """What the DRIFT_HOURS up to each hour start <= T < stop show; `p_up` (n,) from the market's start on."""
        before = max(self.start, start - (DRIFT_HOURS - 1) * HOUR_MS)
        rows = self._shown[self._row(before) : self._row(stop)]
        psi, ks = feature_drift(rows, list(model.ranges.values()), RANGE_QUANTILES, DRIFT_HOURS)
        begun, ended = (start - self.start) // HOUR_MS, (stop - self.start) // HOUR_MS
        # At an hour the newest call with an outcome is that of `horizon` hours before.
        horizon = self.rules.params.horizon_hours
        known = slice(max(0, begun - horizon - DRIFT_HOURS + 1), max(0, ended - horizon))
        decay = calibration_decay(p_up[known], self._rose[known], DRIFT_HOURS)
        n = (stop - start) // HOUR_MS
        limits = model.limits.get("psi"), model.limits.get("ks")
        shown = zip(_last(psi, n), _last(ks, n), _last(decay, n), strict=True)
        return [Drift(*values, *limits) for values in shown]

    def _row(self, hour: int) -> int:
        return self._history.panel.row(hour)


@dataclass(frozen=True, slots=True, eq=False)
class RunningRecord:
    """What is known after each hour from `start` (UTC ms) on: equity, and counts of right and scored predictions, (n,)."""

    start: int
    equity: Floats
    right: Ints
    scored: Ints

    def totals(self, i: int) -> RunningTotals:
        """Of hour i."""
        return RunningTotals(
            self.start + i * HOUR_MS, float(self.equity[i]), int(self.right[i]), int(self.scored[i])
        )


def _last(values: Floats, n: int) -> list[float | None]:
    """The last n, None where there are none or they are NaN."""
    kept: list[float | None] = [
        None if value != value else value for value in values[max(0, len(values) - n) :].tolist()
    ]
    return [None] * (n - len(kept)) + kept
