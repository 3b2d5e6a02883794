"""A family of models in a file of its own, as a user writes one, and ways in which one may be wrong."""

from __future__ import annotations

from pathlib import Path

CENTROID = '''\
"""P(up) by the distance from the mean hour before a rise and before a fall."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from trader.core.model_params import FamilyParams
from trader.forecasters.arrays import ArrayForecaster


class CentroidParams(FamilyParams):
    """The distance from two means."""

    family: Literal["centroid"] = "centroid"
    steepness: float = Field(1.0, ge=0.1, le=10, description="how fast P(up) leaves a half")
    least_rows: int = Field(2, ge=2, description="rows that a fit needs")


class Centroid(ArrayForecaster):
    """A weight for each column."""

    family = "centroid"

    def learn(self, X, y, model, seed):
        step = X[y == 1].mean(axis=0) - X[y == 0].mean(axis=0)
        return {"weights": model.steepness * step / X.var(axis=0), "middle": X.mean(axis=0)}

    def score(self, arrays, X):
        log_odds = ((X - arrays["middle"]) * arrays["weights"]).sum(axis=1)
        return 1 / (1 + np.exp(-log_odds))
'''


def written(folder: Path, changes: tuple[tuple[str, str], ...] = (), more: str = "") -> Path:
    """The file, with parts of it replaced and more below it."""
    text = CENTROID
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "my_family.py"
    path.write_text(text + more)
    return path


_FIT = "    def fit(self, panel, y, params, *, horizon, until, seed):\n"
_LOAD = "\n    def load(self, model, source):\n"
# What is wrong -> (what is written below the class, the check that finds it, a word of what it says).
BROKEN: dict[str, tuple[str, str, str]] = {
    "random": (
        "\n    def train(self, X, y, params, seed, symbols):\n"
        "        return super().train(X, np.random.default_rng().permutation(y), params, seed, symbols)\n",
        "equal input gives equal bytes",
        "seed whatever is random",
    ),
    "random in each process": (
        "\n    def learn(self, X, y, model, seed):\n"
        '        return {"weights": np.ones(X.shape[1]), "middle": X.mean(axis=0) + hash("a") % 1_000_003 * 1e-9}\n',
        "another process fits the same bytes",
        "iterate over sets in sorted order",
    ),
    "reads after until": (
        "\n" + _FIT + "        last = int(panel.close_time[-1])\n"
        "        return super().fit(panel, y, params, horizon=horizon, until=last, seed=seed)\n",
        "a fit reads no hour after until",
        "hours after `until`",
    ),
    "ranks within the batch": (
        "\n    def score(self, arrays, X):\n        return X[:, 0].argsort().argsort() / len(X)\n",
        "one by one is as in a batch",
        "an hour alone",
    ),
    "counts its calls": (
        "\n    calls = 0\n"
        "\n    def score(self, arrays, X):\n"
        "        Centroid.calls += 1\n"
        "        return np.full(len(X), 1 / (1 + Centroid.calls))\n",
        "a prediction changes nothing",
        "answers differently",
    ),
    "no probability": (
        "\n    def score(self, arrays, X):\n        return (X * arrays['weights']).sum(axis=1) * 1e6\n",
        "probabilities are probabilities",
        "score must give 0 to 1",
    ),
    "fills what is undefined": (
        "\n    def predictor(self, native):\n        return Filling(native)\n"
        + _LOAD
        + "        return Filling(super().load(model, source))\n"
        "\n\nclass Filling:\n"
        "    def __init__(self, inner):\n        self.inner = inner\n"
        "\n    def predict(self, panel, hours):\n"
        "        from trader.core.panel import Panel\n"
        "        return self.inner.predict(Panel.of(panel.bars, [np.nan_to_num(panel.X[0])]), hours)\n",
        "an undefined feature gives no p up",
        "has P(up)",
    ),
    "takes any bytes": (
        _LOAD + "        return self.predictor(super().load(model if b'}' in model[-1:] else MADE, source))\n"
        "\n\nMADE = Centroid().dump(__import__('trader.forecasters.arrays').forecasters.arrays.ArrayPredictor("
        "{'weights': [0.0] * 9, 'middle': [0.0] * 9}, ['MADEUSDT'], 9, None))\n",
        "bytes that are no model are refused",
        "raise DataError instead",
    ),
    "cannot be fitted": (
        "\n    def learn(self, X, y, model, seed):\n        return X[:, 400]\n",
        "a model is fitted",
        "IndexError",
    ),
}
