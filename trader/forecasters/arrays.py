"""The shortest way to a family of rows: a model is a few named arrays of numbers, and two functions say all that is special.

`learn` gives the arrays, `score` predicts with them. How they become bytes, and how foreign bytes are refused, is here: plain
JSON whose floats read back to the same bits, checked value by value.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from trader.core.errors import DataError
from trader.core.model_params import FamilyParams
from trader.core.params import Params
from trader.core.types import Floats, Matrix
from trader.forecasters.refusal import InvalidModel, not_a_model, symbols_of
from trader.forecasters.rows import RowForecaster, RowPredictor

Arrays = Mapping[str, Floats]
MOST_BYTES = 1 << 26
MOST_DIMENSIONS = 8
_KEYS = {"schema", "symbols", "features", "arrays"}


class ArrayPredictor(RowPredictor):
    """The arrays of a model, and the function that scores rows by them. The arrays are read-only: a prediction changes
    nothing."""

    def __init__(
        self,
        arrays: Arrays,
        symbols: Sequence[str],
        features: int,
        score: Callable[[Arrays, Matrix], Floats],
    ) -> None:
        self.arrays = {name: _frozen(values) for name, values in arrays.items()}
        self.symbols, self.features, self._score = tuple(symbols), features, score

    def scores(self, X: Matrix) -> Matrix:
        """P(up) of each row: (n,) float32. Raises DataError where `score` gave anything that is no probability."""
        p_up = np.asarray(self._score(self.arrays, X), np.float32)
        if not ((p_up >= 0) & (p_up <= 1)).all():
            odd = p_up[~((p_up >= 0) & (p_up <= 1))][0]
            raise DataError(
                f"a model of {', '.join(self.symbols)} gave P(up) {odd}; score must give 0 to 1 for every row without NaN. "
                "Correct the family, then train again: trader retrain"
            )
        return p_up


class ArrayForecaster(RowForecaster[ArrayPredictor, ArrayPredictor]):
    """A subclass gives `family`, `learn` and `score`; both are pure functions of what they are given."""

    family: str
    format = "json"
    libraries: Sequence[str] = ("numpy",)

    @abstractmethod
    def learn(self, X: Matrix, y: Floats, model: Any, seed: int) -> Arrays:
        """Fit X (n, k) float32 without NaN and y (n,) of 0.0 and 1.0, on one thread. `model` is what P.json says of the family.

        Returns named arrays of finite numbers, kept as float64.
        """

    @abstractmethod
    def score(self, arrays: Arrays, X: Matrix) -> Floats:
        """P(up) of each row of X (n, k) float32: (n,) within 0..1. A row's value must not depend on the other rows."""

    def train(
        self, X: Matrix, y: Floats, params: Params, seed: int, symbols: Sequence[str]
    ) -> ArrayPredictor:
        """Raises TypeError for parameters of another family, ValueError where what was learnt is not finite."""
        model: FamilyParams = params.model
        if model.family != self.family:
            raise TypeError(f"parameters of {model.family} were given to {self.family}")
        arrays = {
            name: np.asarray(values, np.float64) for name, values in self.learn(X, y, model, seed).items()
        }
        if odd := [name for name, values in arrays.items() if not np.isfinite(values).all()]:
            raise ValueError(f"{self.family}: what was learnt is not finite: {', '.join(odd)}")
        return ArrayPredictor(arrays, symbols, X.shape[1], self.score)

    def dump(self, native: ArrayPredictor) -> bytes:
        """JSON with sorted keys; every float by its shortest decimal."""
        arrays = {
            name: {"shape": list(a.shape), "values": a.ravel().tolist()} for name, a in native.arrays.items()
        }
        values = {
            "schema": self._schema,
            "symbols": list(native.symbols),
            "features": native.features,
            "arrays": arrays,
        }
        return json.dumps(values, sort_keys=True).encode()

    def predictor(self, native: ArrayPredictor) -> ArrayPredictor:
        """Itself."""
        return native

    def load(self, model: bytes, source: str) -> ArrayPredictor:
        """Raises DataError, naming `source`, for bytes that are not such a model, or that `score` cannot predict with."""
        try:
            found = self._read(model)
        except (ValueError, TypeError, RecursionError) as error:
            raise self._refused(source, model, repr(error)[:120]) from None
        except InvalidModel as error:
            raise self._refused(source, model, error) from None
        self._require_scores(found, model, source)
        return found

    @property
    def _schema(self) -> str:
        return f"{self.family}/1"

    def _refused(self, source: str, model: bytes, why: object) -> DataError:
        return not_a_model(source, f"a model of family {self.family}", model, why)

    def _read(self, model: bytes) -> ArrayPredictor:
        """Raises InvalidModel, ValueError, TypeError or RecursionError for what is no such model."""
        if len(model) > MOST_BYTES:
            raise InvalidModel(f"more than {MOST_BYTES:,} bytes")
        values = json.loads(model)
        if not isinstance(values, dict) or values.keys() != _KEYS:
            raise InvalidModel("it has other keys")
        if values["schema"] != self._schema:
            raise InvalidModel(f"its schema is not {self._schema}")
        features, arrays = values["features"], values["arrays"]
        if type(features) is not int or not 1 <= features <= 10_000 or not isinstance(arrays, dict):
            raise InvalidModel("its features or arrays are missing")
        read = {name: _array_of(name, value) for name, value in arrays.items()}
        return ArrayPredictor(read, symbols_of(values["symbols"]), features, self.score)

    def _require_scores(self, found: ArrayPredictor, model: bytes, source: str) -> None:
        """Arrays that are missing or of a wrong shape show on a row of zeros. Raises DataError."""
        try:
            with np.errstate(all="ignore"):
                told = found.scores(np.zeros((1, found.features), np.float32))
        except Exception as error:  # whatever a user's function may raise on foreign arrays
            raise self._refused(source, model, f"score failed: {error!r}"[:120]) from None
        if told.shape != (1,):
            raise self._refused(source, model, f"score gave the shape {told.shape} for one row")


def _frozen(values: Floats) -> Floats:
    copied = np.array(values, np.float64)
    copied.flags.writeable = False
    return copied


def _array_of(name: str, value: object) -> Floats:
    """An array of finite numbers. Raises InvalidModel for what is none."""
    if not isinstance(value, dict) or value.keys() != {"shape", "values"}:
        raise InvalidModel(f"{name} is no array")
    shape, values = value["shape"], value["values"]
    if not isinstance(shape, list) or not isinstance(values, list) or len(shape) > MOST_DIMENSIONS:
        raise InvalidModel(f"{name} is no array")
    if not all(type(size) is int and 0 <= size <= MOST_BYTES for size in shape):
        raise InvalidModel(f"the shape of {name} is none")
    if not all(type(number) in (int, float) for number in values) or int(np.prod(shape, dtype=object)) != len(
        values
    ):
        raise InvalidModel(f"the values of {name} do not have its shape")
    try:
        found = np.array(values, np.float64).reshape(shape)
    except OverflowError:
        raise InvalidModel(f"a value of {name} is too large") from None
    if not np.isfinite(found).all():
        raise InvalidModel(f"a value of {name} is not finite")
    return found
