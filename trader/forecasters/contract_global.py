"""What a family of scope global promises beside what every family does: it is fitted on several symbols, and predicts each by its
own bars. For any other family these checks find nothing to look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace

import numpy as np

from trader.core.lookahead import poisoned
from trader.core.panel import Panel
from trader.core.ports import FitsInMemory, Predictor
from trader.core.types import HOUR_MS, Bars, Floats
from trader.forecasters.contract_probes import p_up_of, require, require_same
from trader.forecasters.contract_scene import SERVED_HOURS, SOURCE, Scene


def every_symbol_of_the_fit_is_predicted(scene: Scene) -> None:
    """Also one that was listed within the training span: a P(up) within 0 to 1 for most of its hours."""
    for bars in scene.others:
        told = p_up_of(scene.predictor, *_asked(scene, bars))
        known = told[~np.isnan(told)]
        require(
            len(known) > SERVED_HOURS // 2,
            f"only {len(known)} of {SERVED_HOURS} hours of {bars.symbol} have a P(up)",
        )
        require(
            bool(((known >= 0) & (known <= 1)).all()),
            f"P(up) of {bars.symbol} is {known.min()} to {known.max()}",
        )


def a_prediction_reads_the_model_and_its_own_symbol_alone(scene: Scene) -> None:
    """With the bars of every other symbol poisoned after the fit, in place and in what is asked in between, nothing
    changes."""
    if not scene.others:
        return
    asked = scene.served()
    before = p_up_of(scene.predictor, *asked)
    for predictor, series in _fitted_on_copies(scene):
        for bars in series:
            if bars.symbol != scene.bars.symbol:
                _spoil(bars)
        for bars in scene.others:
            p_up_of(predictor, *_asked(scene, poisoned(bars, 0)))
        again = p_up_of(predictor, *asked)
        require_same(
            before, again, f"a prediction for {scene.bars.symbol} changes with the bars of another symbol"
        )


def a_fit_learns_from_the_other_symbols(scene: Scene) -> None:
    """With another symbol's bars changed within the window the model is another one."""
    if not scene.others:
        return
    panel, y = scene.training(scene.window.train_until + HOUR_MS)
    at = panel.symbols.index(scene.others[0].symbol)
    changed = list(panel.bars)
    changed[at] = poisoned(changed[at], len(panel) // 2)
    require(
        scene.fit(Panel.of(changed), y) != scene.model, "the model does not change with another symbol's bars"
    )


def _asked(scene: Scene, bars: Bars) -> tuple[Panel, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    """The served hours of a symbol."""
    panel = scene.panel(scene.window.serve_from, scene.stop, bars)
    return panel, panel.close_time[-SERVED_HOURS:]


def _fitted_on_copies(scene: Scene) -> list[tuple[Predictor, tuple[Bars, ...]]]:
    """Predictors of the window's model by each way that the family has, and the bars that each was fitted on."""
    found: list[tuple[Predictor, tuple[Bars, ...]]] = []
    panel, y = _copied(scene)
    found.append((scene.forecaster.load(scene.fit(panel, y), SOURCE), panel.bars))
    if isinstance(scene.forecaster, FitsInMemory):
        panel, y = _copied(scene)
        told = {
            "horizon": scene.params.horizon_hours,
            "until": scene.window.train_until,
            "seed": scene.params.seed,
        }
        found.append((scene.forecaster.fitted(panel, y, scene.params, **told), panel.bars))
    return found


def _copied(scene: Scene) -> tuple[Panel, Floats]:
    panel, y = scene.training(scene.window.train_until + HOUR_MS)
    return Panel.of(
        [replace(it, **{name: getattr(it, name).copy() for name in _columns(it)}) for it in panel.bars]
    ), y


def _columns(bars: Bars) -> list[str]:
    return [it.name for it in fields(bars) if it.name != "symbol" and getattr(bars, it.name) is not None]


def _spoil(bars: Bars) -> None:
    """Other prices and volumes, in the very arrays."""
    for name in _columns(bars):
        if name not in ("close_time", "flagged"):
            getattr(bars, name)[:] *= 7.0


GLOBAL_CHECKS: Sequence[Callable[[Scene], None]] = (
    every_symbol_of_the_fit_is_predicted,
    a_prediction_reads_the_model_and_its_own_symbol_alone,
    a_fit_learns_from_the_other_symbols,
)
