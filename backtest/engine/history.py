"""Bars as a family of models reads them: features, labels and contexts, computed once for all windows that are fitted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backtest.executors.protocol import Array, Arrays, TaskSettings, reference_of, resolved
from trader.core.errors import DataError
from trader.core.families import own_family
from trader.core.features import features, preset_named
from trader.core.forecast import Forecast
from trader.core.long_training import LearnsInEpochs, Learnt
from trader.core.panel import Panel
from trader.core.params import Params
from trader.core.pooled_rows import learns_from, learnt, require_listed, whole_grid
from trader.core.ports import Forecaster, Predictor, StagedPredictor, fitted
from trader.core.training import (
    context_from,
    labels_between,
    require_hours,
    train_bars,
    train_panel,
    usable_hours,
    usable_rows,
)
from trader.core.types import HOUR_MS, OPTIONAL_COLUMNS, REQUIRED_COLUMNS, Bars, Floats, Matrix
from trader.core.weights import SaysWeights, Weights
from trader.core.windows import Refit

_COLUMNS = ("close_time", "flagged", *REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
BATCHED = 0.0  # a family of this tolerance predicts many hours at once as it predicts each alone, to the bit


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """panel: the hours of the traded symbol from the first that any window reads. y: (1 + others, n) labels of the same
    hours, the traded symbol's first, NaN while unknown.

    others: what a fit on several symbols sees beside it, by name; only fits read them, so that no prediction can. A symbol that
    is younger begins later, one that is delisted ends earlier. others_features: theirs where the family reads rows, (n, k) each,
    NaN where the symbol has no bar.
    """

    forecaster: Forecaster
    panel: Panel
    y: Floats
    others: tuple[Bars, ...] = ()
    others_features: tuple[Matrix, ...] = ()

    def arrays(self) -> dict[str, Array]:
        """All of it as arrays by name, for a task of an executor; `of_arrays` is the way back."""
        beside = {
            f"{it.symbol} {name}": column for it in self.others for name, column in _columns(it).items()
        }
        rows = {"X": self.panel.X[0]} if self.panel.X else {}
        rows |= {f"{it.symbol} X": X for it, X in zip(self.others, self.others_features, strict=False)}
        return {**_columns(self.panel.bars[0]), **rows, **beside, "y": self.y}

    def settings(self) -> dict[str, Any]:
        """What the arrays do not say. A user's own family also says the hash of its file, for a task's key digests it."""
        said = {
            "forecaster": reference_of(type(self.forecaster)),
            "symbol": self.panel.symbols[0],
            "others": [it.symbol for it in self.others],
        }
        own = own_family(self.forecaster.family)
        return said if own is None else {**said, "family_hash": own.code_hash}

    @staticmethod
    def of_arrays(arrays: Arrays, settings: TaskSettings) -> History:
        """The history that gave these arrays and settings. Raises DataError where they name no family of models."""
        family = resolved(settings["forecaster"])
        if not isinstance(family, type) or not hasattr(family, "traits"):
            raise DataError(f"a task names {settings['forecaster']!r}, which is no family of models")
        forecaster: Forecaster = family()
        X = [arrays["X"]] if "X" in arrays else []
        panel = Panel.of([_bars(settings["symbol"], arrays, "")], X)
        names = settings["others"]
        others = tuple(_bars(symbol, arrays, f"{symbol} ") for symbol in names)
        others_features = tuple(arrays[f"{symbol} X"] for symbol in names if f"{symbol} X" in arrays)
        return History(forecaster, panel, arrays["y"], others, others_features)

    @staticmethod
    def of(
        forecaster: Forecaster,
        bars: Bars,
        params: Params,
        begin: int,
        stop: int,
        others: Sequence[Bars] = (),
    ) -> History:
        """The hours begin <= T < stop (UTC ms), and before them the family's context as far as the bars go. Raises ConfigError
        and DataError as `train_bars`."""
        traits = forecaster.traits
        chosen = train_bars(bars, others, params, traits)
        for it in chosen:
            require_listed(it, stop - HOUR_MS)
        if traits.reads == "series":
            begin = max(bars.first, begin - traits.context_hours * HOUR_MS)
        X: list[Matrix] = []
        if traits.reads == "rows":
            preset = preset_named(params.features)
            X = [features(it, preset, begin, stop) for it in (bars, *chosen)]
        y = np.stack([labels_between(it, params, begin, stop) for it in (bars, *chosen)])
        beside = tuple(it.span(begin, stop) for it in chosen)
        return History(forecaster, Panel.of([bars.span(begin, stop)], X[:1]), y, beside, tuple(X[1:]))

    def of_each(self) -> Iterator[History]:
        """A history of every symbol that a fit sees, to predict it; nothing is fitted on these."""
        yield self
        for i, it in enumerate(self.others):
            X = []
            if self.others_features and len(it):
                first = self.panel.row(it.first)
                X = [self.others_features[i][first : first + len(it)]]
            yield History(self.forecaster, Panel.of([it], X), self.y, ())

    def training(self, window: Refit, params: Params) -> tuple[Panel, Floats]:
        """What a window's model is fitted on, sharing memory: (panel, y), of several symbols sorted by name. Raises DataError
        where another symbol is not listed yet or has too few bars."""
        begin, stop = window.train_from, window.train_until + HOUR_MS
        traits = self.forecaster.traits
        if traits.reads == "series":
            begin = max(int(self.panel.close_time[0]), begin - traits.context_hours * HOUR_MS)
        rows = slice(self.panel.row(begin), self.panel.row(stop))
        if not self.others:
            return self.panel.span(begin, stop), self.y[:, rows]
        reach = window.train_until + params.horizon_hours * HOUR_MS
        series = self._listed(reach)
        if traits.reads == "rows":
            return self._pooled(series, window, reach, rows)
        # As far as the last label's outcome, as when the bot trains; the rows of the panel end with the last label.
        whole = train_panel(learnt(series, window, reach), begin, reach + HOUR_MS)
        require_hours(whole, window.train_until, params, traits)
        names = [it.symbol for it in series]
        order = [names.index(symbol) for symbol in whole.symbols]
        return whole.span(begin, stop), self.y[order, rows]

    def _listed(self, reach: int) -> tuple[Bars, ...]:
        """The bars of all symbols, the traded one's first. Raises DataError for one that is not listed at the hour `reach`."""
        for it in self.others:
            if len(it):  # else it ended before the first hour here
                require_listed(it, reach)
        return (self.panel.bars[0], *self.others)

    def _pooled(self, series: Sequence[Bars], window: Refit, reach: int, rows: slice) -> tuple[Panel, Floats]:
        """The rows of all symbols that reach into the window, sorted by name."""
        begin, stop = window.train_from, window.train_until + HOUR_MS
        X = (self.panel.X[0], *self.others_features)
        order = sorted(
            (i for i, it in enumerate(series) if learns_from(it, window, reach)),
            key=lambda i: series[i].symbol,
        )
        panel = Panel.of([whole_grid(series[i], begin, stop) for i in order], [X[i][rows] for i in order])
        return panel, self.y[order, rows]

    def require_trainable(self, windows: Sequence[Refit], params: Params, source: str) -> None:
        """Raises DataError, naming `source`, where a family of rows has too few of them for a window, or of one outcome only, and
        where a symbol that is fitted beside the traded one has too few hours."""
        if self.others:
            for window in windows:
                self._require(window, params, source)
        if self.others or self.forecaster.traits.reads != "rows":
            return
        usable = usable_hours(self.panel.X[0], self.y[0])
        up_to = [np.concatenate([[0], np.cumsum(seen)]) for seen in (usable, usable & (self.y[0] > 0))]
        for window in windows:
            begin, stop = (
                max(0, self.panel.row(hour)) for hour in (window.train_from, window.train_until + HOUR_MS)
            )
            rows, rose = (int(counted[stop] - counted[begin]) for counted in up_to)
            if rows < 2 or rose in (0, rows):
                self._require(window, params, source)

    def _require(self, window: Refit, params: Params, source: str) -> None:
        try:
            panel, y = self.training(window, params)
            if panel.X:
                usable_rows(panel, y, window.train_until)
        except DataError as error:
            raise DataError(f"{source}: {error}") from None

    def fit(self, window: Refit, params: Params) -> Predictor:
        """A window's model, fitted here on one thread. Raises DataError where it cannot be trained."""
        panel, y = self.training(window, params)
        return fitted(
            self.forecaster,
            panel,
            y,
            params,
            horizon=params.horizon_hours,
            until=window.train_until,
            seed=params.seed,
        )

    def learn(self, window: Refit, params: Params, epochs: int, state: bytes) -> Learnt:
        """A window's training up to that epoch, from a state of an earlier one. Raises DataError where it cannot be trained, and
        TypeError for a family that does not learn in epochs."""
        if not isinstance(self.forecaster, LearnsInEpochs):
            raise TypeError(f"{self.forecaster.family} does not learn in epochs")
        panel, y = self.training(window, params)
        return self.forecaster.learn(
            panel, y, params,
            horizon=params.horizon_hours, until=window.train_until, seed=params.seed, epochs=epochs, state=state,
        )  # fmt: skip  # what it learns from, then how far

    def seen_by(self, train_until: int, start: int, stop: int) -> Panel:
        """What a model that was trained up to `train_until` reads to predict start <= T < stop (UTC ms)."""
        traits = self.forecaster.traits
        if traits.reads == "rows":
            return self.panel.span(start, stop)
        begin = min(context_from(traits, train_until, start), start)
        return self.panel.span(max(begin, int(self.panel.close_time[0])), stop)

    def forecast(self, model: Predictor, train_until: int, start: int, stop: int) -> Forecast:
        """What a model says of start <= T < stop (UTC ms). A family that predicts many hours at once otherwise than each alone is
        asked hour by hour, as the bot asks it."""
        hours = np.arange(start, stop, HOUR_MS, dtype=np.int64)
        if self.forecaster.traits.tolerance == BATCHED:
            return model.predict(self.seen_by(train_until, start, stop), hours)
        alone = [
            model.predict(self.seen_by(train_until, hour, hour + HOUR_MS), hours[i : i + 1])
            for i, hour in enumerate(hours.tolist())
        ]
        if not alone:
            return Forecast(np.zeros(0, np.float32))
        quantiles = [told.quantiles for told in alone if told.quantiles is not None]
        joined = np.concatenate(quantiles) if len(quantiles) == len(alone) else None
        return Forecast(np.concatenate([told.p_up for told in alone]), joined)

    def weights(self, model: Predictor, train_until: int, start: int, stop: int) -> Weights:
        """What a model looked at in start <= T < stop (UTC ms). Raises DataError where it can say nothing of any of these hours,
        and TypeError for a family that does not say what it looks at."""
        if not isinstance(model, SaysWeights):
            raise TypeError(f"{self.forecaster.family} does not say what it looks at")
        hours = np.arange(start, stop, HOUR_MS, dtype=np.int64)
        return model.weights(self.seen_by(train_until, start, stop), hours)

    def predict(self, model: Predictor, train_until: int, start: int, stop: int) -> Matrix:
        """P(up) of start <= T < stop (UTC ms): (n,) float32, NaN where nothing can be said."""
        return self.forecast(model, train_until, start, stop).p_up

    def predict_stages(
        self, model: Predictor, train_until: int, start: int, stop: int, stages: tuple[int, ...]
    ) -> Matrix:
        """The same by each number of stages, ascending: (numbers, n) float32. Raises TypeError for several numbers of a
        family that has no stages."""
        if isinstance(model, StagedPredictor):
            hours = np.arange(start, stop, HOUR_MS, dtype=np.int64)
            return model.predict_stages(self.seen_by(train_until, start, stop), hours, stages)
        if len(stages) > 1:
            raise TypeError(f"{self.forecaster.family} cannot predict with fewer of its stages")
        return self.predict(model, train_until, start, stop).reshape(1, -1)


def _columns(bars: Bars) -> dict[str, Array]:
    return {name: column for name in _COLUMNS if (column := getattr(bars, name)) is not None}


def _bars(symbol: str, arrays: Arrays, prefix: str) -> Bars:
    return Bars(symbol, **{name: arrays[prefix + name] for name in _COLUMNS if prefix + name in arrays})
