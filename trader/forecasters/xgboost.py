"""XGBoost through its native Booster API: one fit, one thread, UBJSON bytes in and out.

One thread also where the library would start its own in spite of `nthread`, to convert labels or to read a model:
threads that wait for OpenMP spin, and take the cores from other fits.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np

from trader.core.model_params import XGBoostParams
from trader.core.params import Params
from trader.core.types import Floats, Matrix
from trader.forecasters.refusal import not_a_model
from trader.forecasters.rows import RowForecaster, StagedRowPredictor
from trader.forecasters.trees import Trees
from trader.forecasters.trees_export import ExportsTrees
from trader.forecasters.xgboost_onnx import trees_of
from trader.forecasters.xgboost_trees import KIND, require_trees

FAMILY = "xgboost"


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C waits until the block is over: XGBoost calls Python back from C there, and what is raised in such a call
    is printed and lost."""
    heard = callable(signal.getsignal(signal.SIGINT))  # a worker may ignore it
    if not heard or threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[bool] = []
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


class XGBoostPredictor(StagedRowPredictor):
    """A loaded model. NaN features, where a row has one, take the trees' default branches."""

    def __init__(self, booster: Any) -> None:
        self._booster = booster
        said = booster.attr("symbols")  # models of earlier versions did not say
        self.symbols = tuple(said.split(",")) if said else ()
        self.features = booster.num_features()

    def scores(self, X: Matrix) -> Matrix:
        """P(up) for each row: (n,) float32."""
        scores: Matrix = self._booster.inplace_predict(X)
        return scores

    def staged_scores(self, X: Matrix, stages: Sequence[int]) -> Matrix:
        """P(up) by the first trees, for each of these ascending numbers of them: what fits of only so many predict, to
        the bit. (numbers, n) float32.

        Each tree is walked once: XGBoost goes on from the margin of the trees before, in float32. Its own sigmoid of all the
        margins is a prediction by none of the trees.
        """
        margins: Matrix = np.empty((len(stages), len(X)), np.float32)
        before: dict[str, Matrix] = {}
        for i, trees in enumerate(pairwise((0, *stages))):
            margins[i] = self._booster.inplace_predict(
                X, iteration_range=trees, predict_type="margin", **before
            )
            before = {"base_margin": margins[i]}
        nothing = np.zeros((margins.size, X.shape[1]), np.float32)
        none_of_them = (stages[-1], stages[-1])
        scores: Matrix = self._booster.inplace_predict(
            nothing, iteration_range=none_of_them, base_margin=margins.ravel()
        )
        return scores.reshape(margins.shape)

    def contributions(self, X: Matrix) -> Matrix:
        """TreeSHAP values in log-odds, the base last: (n, k + 1) float32."""
        import xgboost as xgb

        shares: Matrix = self._booster.predict(xgb.DMatrix(X, nthread=1), pred_contribs=True)
        return shares


class XGBoostForecaster(ExportsTrees, RowForecaster[Any, XGBoostPredictor]):
    """The default family. Equal rows and parameters give equal bytes, on any number of processes."""

    family = FAMILY
    format = "ubjson"
    libraries: Sequence[str] = ("xgboost", "xgboost-cpu")

    def train(self, X: Matrix, y: Floats, params: Params, seed: int, symbols: Sequence[str]) -> Any:
        """A booster, on one thread."""
        import xgboost as xgb

        chosen = _own(params)
        settings = {
            "objective": "binary:logistic",
            "max_depth": chosen.max_depth,
            "learning_rate": chosen.learning_rate,
            "subsample": chosen.subsample,
            "colsample_bytree": chosen.colsample_bytree,
            "gamma": chosen.gamma,
            "seed": seed,
            "nthread": 1,
        }
        with _undisturbed(), xgb.config_context(nthread=1):
            rows = xgb.QuantileDMatrix(X, label=y, nthread=1)
        # xgb.train asks its callbacks before and after each round; without any, that is a fifth of a small fit.
        booster = xgb.Booster(settings, [rows])
        for round_ in range(chosen.n_estimators):
            booster.update(rows, round_)
        if symbols:
            booster.set_attr(symbols=",".join(symbols))
        return booster

    def dump(self, native: Any) -> bytes:
        """UBJSON, XGBoost's own format."""
        return bytes(native.save_raw("ubj"))

    def predictor(self, native: Any) -> XGBoostPredictor:
        """The booster as it is."""
        return XGBoostPredictor(native)

    def load(self, model: bytes, source: str) -> XGBoostPredictor:
        """A predictor from UBJSON bytes. Raises DataError for bytes that are not such a model; XGBoost never reads them."""
        require_trees(model, source)
        import xgboost as xgb

        booster = xgb.Booster({"nthread": 1})
        try:
            with xgb.config_context(nthread=1):
                booster.load_model(bytearray(model))
        except xgb.core.XGBoostError as error:
            raise not_a_model(source, KIND, model, str(error).strip().splitlines()[0][:120]) from None
        return XGBoostPredictor(booster)

    def trees(self, model: bytes, source: str) -> Trees:
        """See `trader.forecasters.trees_export`."""
        return trees_of(model, source)


def _own(params: Params) -> XGBoostParams:
    """The parameters of this family. Raises TypeError for another's, which is a bug of the caller."""
    if not isinstance(params.model, XGBoostParams):
        raise TypeError(f"parameters of {params.model.family} were given to {FAMILY}")
    return params.model
