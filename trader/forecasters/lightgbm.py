"""LightGBM: boosted trees grown leaf by leaf. A model is LightGBM's own text behind one line of JSON that says what it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trader.core.model_params import LightGBMParams
from trader.core.params import Params
from trader.core.types import Floats, Matrix
from trader.forecasters.lightgbm_onnx import trees_of
from trader.forecasters.lightgbm_trees import KIND, require_trees
from trader.forecasters.refusal import InvalidModel, not_a_model, symbols_of
from trader.forecasters.rows import RowForecaster, StagedRowPredictor
from trader.forecasters.trees import Trees
from trader.forecasters.trees_export import ExportsTrees

FAMILY = "lightgbm"
SCHEMA = "lightgbm/1"


@dataclass(frozen=True, slots=True)
class Grown:
    """A booster, and the symbols that it was grown for."""

    booster: Any
    symbols: tuple[str, ...]


class LightGBMPredictor(StagedRowPredictor):
    """A loaded model, asked on one thread."""

    def __init__(self, grown: Grown) -> None:
        self._booster, self.symbols = grown.booster, grown.symbols
        self.features = grown.booster.num_feature()

    def scores(self, X: Matrix) -> Matrix:
        """P(up) for each row: (n,) float32."""
        return np.asarray(self._booster.predict(X, num_threads=1), dtype=np.float32)

    def staged_scores(self, X: Matrix, stages: Sequence[int]) -> Matrix:
        """P(up) by the first trees, for each of these ascending numbers of them: (numbers, n) float32. Each is summed from
        the first tree on, for sums of other order differ in their last bits."""
        found = [self._booster.predict(X, num_iteration=trees, num_threads=1) for trees in stages]
        return np.asarray(found, dtype=np.float32)

    def contributions(self, X: Matrix) -> Matrix:
        """TreeSHAP values in log-odds, the base last: (n, k + 1) float32."""
        return np.asarray(self._booster.predict(X, pred_contrib=True, num_threads=1), dtype=np.float32)


class LightGBMForecaster(ExportsTrees, RowForecaster[Grown, LightGBMPredictor]):
    """Equal rows and parameters give equal bytes, on any number of processes."""

    family = FAMILY
    format = "lightgbm"
    libraries: Sequence[str] = ("lightgbm",)

    def train(self, X: Matrix, y: Floats, params: Params, seed: int, symbols: Sequence[str]) -> Grown:
        """On one thread, by columns: left to itself LightGBM chooses rows or columns by the clock."""
        import lightgbm as lgb

        settings = {**_own(params), "seed": seed, **_SETTINGS}
        booster = lgb.Booster(settings, lgb.Dataset(X, label=y, params=settings))
        for _ in range(params.model.n_estimators):  # type: ignore[union-attr]  # _own has looked
            if booster.update():  # no leaf can be split any more
                break
        return Grown(booster, tuple(symbols))

    def dump(self, native: Grown) -> bytes:
        """A line of JSON, then LightGBM's own text."""
        text: bytes = native.booster.model_to_string().encode()
        head = {
            "schema": SCHEMA,
            "symbols": list(native.symbols),
            "sha256": hashlib.sha256(text).hexdigest(),
        }
        return json.dumps(head, sort_keys=True).encode() + b"\n" + text

    def predictor(self, native: Grown) -> LightGBMPredictor:
        """The booster as it is."""
        return LightGBMPredictor(native)

    def load(self, model: bytes, source: str) -> LightGBMPredictor:
        """A predictor from such bytes. Raises DataError for others; LightGBM itself never reads them."""
        line, _, text = model.partition(b"\n")
        symbols = _symbols(line, text, source)
        require_trees(text, source)
        import lightgbm as lgb

        try:
            booster = lgb.Booster(model_str=text.decode())
        except lgb.basic.LightGBMError as error:
            raise not_a_model(source, KIND, model, str(error).splitlines()[0][:120]) from None
        return LightGBMPredictor(Grown(booster, symbols))

    def trees(self, model: bytes, source: str) -> Trees:
        """See `trader.forecasters.trees_export`."""
        line, _, text = model.partition(b"\n")
        _symbols(line, text, source)
        return trees_of(text, source)


def _symbols(line: bytes, text: bytes, source: str) -> tuple[str, ...]:
    """The symbols that a model's first line names. Raises DataError for another line, or one of another text."""
    try:
        return _named(json.loads(line), text)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise not_a_model(source, f"{KIND} of schema {SCHEMA}", text, repr(error)[:120]) from None
    except InvalidModel as error:
        raise not_a_model(source, f"{KIND} of schema {SCHEMA}", text, error) from None


def _named(head: Any, text: bytes) -> tuple[str, ...]:
    if head["schema"] != SCHEMA:
        raise InvalidModel("its first line is of another schema")
    if hashlib.sha256(text).hexdigest() != head["sha256"]:
        raise InvalidModel("its text is not the one that its first line names")
    return symbols_of(head["symbols"])


_SETTINGS = {
    "objective": "binary",
    "num_threads": 1,
    "deterministic": True,
    "force_col_wise": True,
    "bagging_freq": 1,
    "verbosity": -1,
}


def _own(params: Params) -> dict[str, Any]:
    """The family's own keys but the number of trees. Raises TypeError for another family's, a bug of the caller."""
    if not isinstance(params.model, LightGBMParams):
        raise TypeError(f"parameters of {params.model.family} were given to {FAMILY}")
    return params.model.model_dump(exclude={"family", "n_estimators"})
