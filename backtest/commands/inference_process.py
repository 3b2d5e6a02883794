"""The process that `backtest time-inference` starts for each form of a model: it loads the form, asks it, prints what that took.

python -m backtest.commands.inference_process FOLDER native|onnx|torchscript SECONDS [FILE OF A FAMILY]
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from trader import own_families, terminal
from trader.adapters.talib_features import register_shipped
from trader.core.export_scene import scene_of
from trader.core.exports import FORMS, ProofScene
from trader.core.model import own_card
from trader.core.ports import Exportable, Predictor
from trader.forecasters.registry import reader_of
from trader.forecasters.rows import RowPredictor
from trader.forecasters.tft_head import WindowPredictor

ROWS = (1, 32, 1_024)
FEWEST, MOST = 20, 10_000
_WARM_UP = 10


def main(folder: Path, form: str, seconds: float) -> list[dict[str, Any]]:
    """A row of figures for each number of rows, each of which is asked for so many seconds."""
    register_shipped()
    card = own_card((folder / "card").read_bytes(), None, folder.name, str(folder))
    forecaster = reader_of(card.family)
    scene = scene_of(card, forecaster.traits, None)
    began = time.perf_counter()
    predictor = _loaded(forecaster, folder, form)
    predictor.predict(scene.panel, scene.hours[-1:])
    cold_ms = (time.perf_counter() - began) * 1e3
    asked = {rows: _times(_question(predictor, scene, rows), seconds) for rows in ROWS}
    whole = _times(lambda: predictor.predict(scene.panel, scene.hours[-1:]), seconds)
    shared = {
        "predict_us": _us(whole, 0.5),
        "cold_load_ms": round(cold_ms, 1),
        "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    return [
        {
            "form": form,
            "rows": rows,
            "median_us": _us(times, 0.5),
            "p99_us": _us(times, 0.99),
            "times": len(times),
            **shared,
        }
        for rows, times in asked.items()
    ]


def _loaded(forecaster: Any, folder: Path, form: str) -> Predictor:
    if form not in FORMS or not isinstance(forecaster, Exportable):
        native: Predictor = forecaster.load((folder / "model").read_bytes(), str(folder))
        return native
    return forecaster.load_exported((folder / f"export-{form}").read_bytes(), form, str(folder))


def _question(predictor: Predictor, scene: ProofScene, rows: int) -> Callable[[], object]:
    """So many rows at once, ready in arrays where the family takes such."""
    if isinstance(predictor, RowPredictor):
        X = np.resize(scene.drawn, (rows, scene.drawn.shape[1]))
        return lambda: predictor.scores(X)
    if isinstance(predictor, WindowPredictor):
        windows = predictor.windows(scene.panel, scene.hours)
        observed, known = (np.resize(it, (rows, *it.shape[1:])) for it in (windows.observed, windows.known))
        return lambda: predictor.raw(0, observed, known)
    hours = np.resize(scene.hours, rows)
    return lambda: predictor.predict(scene.panel, hours)


def _times(ask: Callable[[], object], seconds: float) -> list[int]:
    """Nanoseconds of single calls, warm: FEWEST at least, MOST at most."""
    for _ in range(_WARM_UP):
        ask()
    found: list[int] = []
    end = time.perf_counter() + seconds
    while len(found) < MOST and (len(found) < FEWEST or time.perf_counter() < end):
        before = time.perf_counter_ns()
        ask()
        found.append(time.perf_counter_ns() - before)
    return found


def _us(times: list[int], quantile: float) -> float:
    return round(float(np.quantile(times, quantile)) / 1e3, 2)


if __name__ == "__main__":
    for own_family in sys.argv[4:]:
        own_families.load(Path(own_family), check=False)
    terminal.emit(main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
