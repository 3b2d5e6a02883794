"""Exports of trees: what the proof of an ensemble takes, and a single row by the library and by the export, in this process."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.figure import Figure
from trader.core.exports import TOLERANCE, ExportFacts, ProofScene
from trader.core.model_params import default_model
from trader.core.panel import Panel
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.types import HOUR_MS, Matrix, flat_bars, parse_hour
from trader.forecasters.lightgbm import LightGBMForecaster
from trader.forecasters.onnx_runtime import INPUT, OUTPUT, OnnxRowPredictor, row_predictor
from trader.forecasters.rows import RowPredictor
from trader.forecasters.trees_export import ExportsTrees
from trader.forecasters.xgboost import XGBoostForecaster

FORECASTERS: dict[str, ExportsTrees] = {"xgboost": XGBoostForecaster(), "lightgbm": LightGBMForecaster()}
TOLD: dict[str, dict[str, Any]] = {
    "xgboost": {"max_depth": 5, "learning_rate": 0.03, "subsample": 0.8, "gamma": 0},
    "lightgbm": {"num_leaves": 31, "min_data_in_leaf": 20},
}
HOURS, FEATURES = 1_416, 40  # 59 days, as the default parameters look back
MOST_PROOF_S, MOST_ROW_US = 60, 50


@dataclass(frozen=True, slots=True, eq=False)
class _Exported:
    """A model, its ONNX file, and what a proof of it is asked."""

    forecaster: ExportsTrees
    model: bytes
    data: bytes
    facts: ExportFacts
    scene: ProofScene


def run() -> list[Figure]:
    """A thousand trees of each family are proved; a row is asked of a model of each family's default parameters too."""
    return [
        figure
        for family, told in TOLD.items()
        for figure in (
            *_proof(family, {**told, "n_estimators": 1_000}, 1_000),
            *_row(family, default_model(family), "default parameters", 5_000),
        )
    ]


def run_small() -> list[Figure]:
    """Thirty trees of each."""
    return [
        figure
        for family, told in TOLD.items()
        for figure in (
            *_proof(family, {**told, "n_estimators": 30}, 100),
            *_row(family, {**told, "n_estimators": 30}, "30 trees", 200),
        )
    ]


def _proof(family: str, told: dict[str, Any], times: int) -> list[Figure]:
    it, trees = _exported(family, told), told["n_estimators"]
    began = time.process_time()
    proof = it.forecaster.prove(it.model, it.data, "onnx", it.facts, it.scene)
    cpu_s = time.process_time() - began
    note = f"{proof.splits:,} splits, {proof.rows:,} rows, {len(it.data):,} bytes; by the clock {proof.seconds:.1f} s"
    row_us, scores_us, _ = _onnx_us(row_predictor(it.data, "a file"), it.scene, times)
    apart = proof.p_up_difference
    return [
        Figure(
            f"{family}: {trees:,} trees proved, of processor time", cpu_s, "at most", MOST_PROOF_S, "s", note
        ),
        Figure(f"{family}: P(up) apart", apart, "at most", TOLERANCE, is_result=True),
        Figure(
            f"{family}: {trees:,} trees, a row",
            scores_us,
            unit="us",
            note=f"onnxruntime alone {row_us:.1f} us",
        ),
    ]


def _row(family: str, told: dict[str, Any], title: str, times: int) -> list[Figure]:
    it = _exported(family, told)
    native, exported = it.forecaster.load(it.model, "a model"), row_predictor(it.data, "a file")
    row_us, scores_us, predict_us = _onnx_us(exported, it.scene, times)
    native_us = _median_us(_scores(native, it.scene.drawn[:1]), times // 5)
    note = f"onnxruntime alone {row_us:.1f} us, predict {predict_us:.1f} us, the library {native_us:.1f} us"
    return [Figure(f"{family}: {title}, a row", scores_us, "at most", MOST_ROW_US, "us", note)]


def _onnx_us(exported: OnnxRowPredictor, scene: ProofScene, times: int) -> tuple[float, float, float]:
    """The run of the session alone with a prepared array, the predictor's scores, and the whole way of an hour."""
    feed, hour = {INPUT: scene.drawn[:1].copy()}, scene.hours[-1:]
    return (
        _median_us(lambda: exported.session.run((OUTPUT,), feed), times),
        _median_us(_scores(exported, scene.drawn[:1]), times),
        _median_us(lambda: exported.predict(scene.panel, hour), times),
    )


def _scores(predictor: RowPredictor, X: Matrix) -> Callable[[], object]:
    return lambda: predictor.scores(X)


def _median_us(ask: Callable[[], object], times: int) -> float:
    for _ in range(20):
        ask()
    found = []
    for _ in range(times):
        before = time.perf_counter_ns()
        ask()
        found.append(time.perf_counter_ns() - before)
    return float(np.median(found)) / 1e3


def _exported(family: str, model_params: dict[str, Any]) -> _Exported:
    """A model of made rows whose label follows from some of them."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(HOURS, FEATURES)).astype(np.float32)
    y = (X[:, 0] + X[:, 3] * X[:, 4] + rng.normal(size=HOURS) > 0).astype(np.float64)
    params = params_of({**DEFAULT_PARAMS, "model": {"family": family, **model_params}}, "the benchmark")
    panel = Panel.of([flat_bars("BTCUSDT", 1.0, parse_hour("2021-01-01"), HOURS)], [X])
    forecaster = FORECASTERS[family]
    until = int(panel.close_time[-1])
    model: bytes = forecaster.fit(  # type: ignore[attr-defined]  # every family of trees fits
        panel, y.reshape(1, -1), params, horizon=1, until=until - HOUR_MS, seed=1
    )
    digest = hashlib.sha256(model).hexdigest()
    columns = tuple(f"c{i}" for i in range(FEATURES))
    facts = ExportFacts("a-model", digest, "card", family, ("BTCUSDT",), "made", columns, 1)
    scene = ProofScene(panel, panel.close_time, is_real=True, drawn=X[:1_000] * np.float32(1.5))
    return _Exported(forecaster, model, forecaster.export(model, "onnx", facts), facts, scene)
