"""What a model is fitted on: the hours of a window, by what was known when the window ended."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from trader.core.errors import DataError
from trader.core.features import features, preset_named
from trader.core.forecast import Traits
from trader.core.labels import label_of
from trader.core.panel import Panel
from trader.core.params import Params
from trader.core.types import HOUR_MS, Bars, Bools, Floats, Matrix, iso
from trader.core.windows import Refit

_HASHED = ("close_time", "open", "high", "low", "close", "volume", "flagged")


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """A panel of one window, and y (symbols, n): 1.0 and 0.0, NaN while unknown. Fits read hours up to `until` only.

    X: (rows, k) the features of the hours that a family of rows is fitted on; (rows, 0) for a family that reads the
    series. data_hash: of every byte that the fit sees.
    """

    panel: Panel
    y: Floats
    until: int
    X: Matrix
    data_hash: str

    @property
    def rows(self) -> int:
        """How many hours are learnt from."""
        return len(self.X)


def training_of(bars: Bars, window: Refit, params: Params, traits: Traits) -> Training:
    """What a window's model is fitted on. Raises DataError where rows are too few or of one outcome.

    Bars later than the window's last label are cut away before anything is computed, so nothing can leak.
    """
    known = bars.until(window.train_until + params.horizon_hours * HOUR_MS)
    stop = known.last + HOUR_MS
    if traits.reads == "series":
        start = max(window.train_from - traits.context_hours * HOUR_MS, known.first)
        return _of_series(known.span(start, stop), window, params)
    X = features(known, preset_named(params.features), window.train_from, stop)
    panel = Panel.of([known.span(window.train_from, stop)], [X])
    y = labels_between(known, params, window.train_from, stop).reshape(1, -1)
    rows, labels = usable_rows(panel, y, window.train_until)
    return Training(panel, y, window.train_until, rows, data_hash_of(rows, labels))


def _of_series(part: Bars, window: Refit, params: Params) -> Training:
    within = (part.close_time >= window.train_from) & (part.close_time <= window.train_until)
    rows = int((within & ~part.flagged).sum())
    if not rows:
        raise DataError(
            f"{part.symbol}: no bars between {iso(window.train_from)} and {iso(window.train_until)}; give older bars"
        )
    y = label_of(part, params).reshape(1, -1)
    return Training(Panel.of([part]), y, window.train_until, np.zeros((rows, 0), np.float32), bars_hash(part))


def usable_hours(X: Matrix, y: Floats) -> Bools:
    """(n,) the hours that a family of rows learns from: those with a label and every feature. X (n, k), y (n,)."""
    usable: Bools = ~np.isnan(y)
    usable[np.flatnonzero(np.isnan(X)) // X.shape[1]] = False
    return usable


def usable_rows(panel: Panel, y: Floats, until: int) -> tuple[Matrix, Floats]:
    """X (m, k) and labels (m,) of the hours up to `until` (UTC ms) that have a label and every feature.

    Raises DataError for several symbols, and if fewer than two rows, or one outcome only, remain.
    """
    if len(panel.X) != 1:
        raise DataError(
            f"{', '.join(panel.symbols)}: a family of rows is fitted on one symbol and its features"
        )
    after = min(len(panel), panel.row(until) + 1)
    X, labels = panel.X[0][:after], y[0, :after]
    usable = usable_hours(X, labels)
    if not usable.all():
        rows = np.flatnonzero(usable)
        X, labels = X.take(rows, axis=0), labels[rows]
    if len(labels) < 2 or labels.min() == labels.max():
        raise DataError(
            f"{panel.symbols[0]}: {len(labels)} labelled rows between {iso(int(panel.close_time[0]))} and "
            f"{iso(until)}; a model needs both outcomes. Lengthen look_back_days or give older bars"
        )
    return X, labels


def data_hash_of(X: Matrix, y: Floats) -> str:
    """Of every byte that a fit of rows sees."""
    digest = hashlib.sha256(np.ascontiguousarray(X).tobytes())
    digest.update(y.tobytes())
    return digest.hexdigest()[:16]


def bars_hash(bars: Bars) -> str:
    """Of every byte of a series."""
    digest = hashlib.sha256(bars.symbol.encode())
    for name in _HASHED:
        digest.update(np.ascontiguousarray(getattr(bars, name)).tobytes())
    return digest.hexdigest()[:16]


def labels_between(bars: Bars, params: Params, start: int, stop: int) -> Floats:
    """`label_of` for start <= close_time < stop, NaN where there are no bars: shape ((stop - start) / 1 h,)."""
    result = np.full((stop - start) // HOUR_MS, np.nan)
    part = bars.span(start, stop)
    if len(part):
        offset = (part.first - start) // HOUR_MS
        first = bars.row(part.first)
        result[offset : offset + len(part)] = label_of(bars, params)[first : first + len(part)]
    return result


def context_from(traits: Traits, train_until: int, hour: int) -> int:
    """The first hour (UTC ms) that a family of series reads to predict `hour`: its context before the hour, or before the
    end of its training where a prediction follows from all bars since."""
    return (train_until if traits.refresh == "filter" else hour) - traits.context_hours * HOUR_MS
