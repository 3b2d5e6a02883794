"""What a family of models is tried on by its contract: made bars with gaps, a window, and a model that was fitted for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from trader.core.features import features, preset_named
from trader.core.lookahead import made_bars
from trader.core.panel import Panel
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.ports import Forecaster, Predictor
from trader.core.training import context_from, labels_between, train_panel, training_of
from trader.core.types import HOUR_MS, Bars, Floats, Ints
from trader.core.windows import Refit, refit_of

SOURCE = "the check"
SERVED_HOURS = 72
HOURS, WINDOW_FROM = 1_900, 1_600
LOOK_BACK_DAYS = 30
YOUNG_FROM = 1_150  # within the training span
# In the training span, at its end, and among the served hours.
HOLES = ((400, 2), (1_300, 3), (1_650, 1))


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A family, its parameters, bars with gaps, a window, and the bytes of a model that was fitted for the window.

    others: what a global family is fitted on beside the bars: two more symbols, one of them younger than the window.
    """

    forecaster: Forecaster
    params: Params
    bars: Bars
    window: Refit
    model: bytes
    others: tuple[Bars, ...] = ()

    @staticmethod
    def of(forecaster: Forecaster, params: Params, bars: Bars) -> Scene:
        """A family fitted once on bars of HOURS hours, a global one on two more symbols of the same hours too."""
        others = others_beside(bars) if forecaster.traits.scope == "global" else ()
        if others:
            symbols = tuple(sorted(it.symbol for it in (bars, *others)))
            params = params.model_copy(update={"train_symbols": symbols})
        window = refit_of(params, 0, bars.first + WINDOW_FROM * HOUR_MS)
        model = fitted_bytes(forecaster, params, (bars, *others), window)
        return Scene(forecaster, params, bars, window, model, others)

    @property
    def predictor(self) -> Predictor:
        """The model, loaded anew."""
        return self.forecaster.load(self.model, SOURCE)

    @property
    def stop(self) -> int:
        """The hour after the last that is predicted, UTC ms."""
        return self.window.serve_from + SERVED_HOURS * HOUR_MS

    def panel(self, first: int, stop: int, bars: Bars | None = None) -> Panel:
        """What a prediction of the hours first <= T < stop (UTC ms) reads, of these bars or of others."""
        series, traits = self.bars if bars is None else bars, self.forecaster.traits
        if traits.reads == "rows":
            return self._rows(first, stop, series)
        begin = min(context_from(traits, self.window.train_until, first), first)
        return Panel.of([series.span(max(begin, series.first), stop)])

    def served(self) -> tuple[Panel, Ints]:
        """The panel of all served hours, and these hours."""
        panel = self.panel(self.window.serve_from, self.stop)
        return panel, panel.close_time[-SERVED_HOURS:]

    def training(self, stop: int) -> tuple[Panel, Floats]:
        """The training hours up to `stop` (UTC ms), and their labels: it may go on after the window's last one."""
        traits, begin = self.forecaster.traits, self.window.train_from
        if traits.reads == "series":
            begin = max(self.bars.first, begin - traits.context_hours * HOUR_MS)
            panel = train_panel([self.bars, *self.others], begin, stop)
        else:
            panel = self._rows(begin, stop, self.bars)
        series = {it.symbol: it for it in (self.bars, *self.others)}
        return panel, np.stack([labels_between(series[it], self.params, begin, stop) for it in panel.symbols])

    def fit(self, panel: Panel, y: Floats) -> bytes:
        """A model of the window."""
        return self.forecaster.fit(
            panel, y, self.params,
            horizon=self.params.horizon_hours, until=self.window.train_until, seed=self.params.seed,
        )  # fmt: skip  # what is learnt from, then by which rules

    def _rows(self, first: int, stop: int, series: Bars) -> Panel:
        X = features(series, preset_named(self.params.features), first, stop)
        return Panel.of([series.span(first, stop)], [X])


def scene_of(forecaster: Forecaster, horizon_hours: int = 1) -> Scene:
    """A family with the defaults of its keys, on made bars. Raises ConfigError for a key without a default.

    Rows are those of the preset `reference`, or of the one that the family names as `checked_with`.
    """
    preset = getattr(forecaster, "checked_with", "reference")
    chosen = {"model": {"family": forecaster.family}, "features": preset, "horizon_hours": horizon_hours}
    params = params_of(
        {**DEFAULT_PARAMS, **chosen, "look_back_days": LOOK_BACK_DAYS}, f"the defaults of {forecaster.family}"
    )
    return Scene.of(forecaster, params, made_bars(HOURS, holes=HOLES))


def others_beside(bars: Bars) -> tuple[Bars, ...]:
    """Two more symbols of the same hours: one whose holes lie elsewhere, and one that is listed within the training span."""
    made = [
        made_bars(len(bars), seed=seed, holes=holes, symbol=symbol)
        for symbol, seed, holes in (("AAAUSDT", 11, ((50, 3), (1_350, 2))), ("ZZZUSDT", 12, ()))
    ]
    old, young = (replace(it, close_time=it.close_time + (bars.first - it.first)) for it in made)
    return old, young.rows(YOUNG_FROM, len(young))


def fitted_bytes(forecaster: Forecaster, params: Params, series: Sequence[Bars], window: Refit) -> bytes:
    """A window's model, as `trader retrain` fits it: of the first series' symbol, on all of them."""
    bars, *others = series
    rows = training_of(bars, window, params, forecaster.traits, others)
    return forecaster.fit(
        rows.panel, rows.y, params, horizon=params.horizon_hours, until=rows.until, seed=params.seed
    )
