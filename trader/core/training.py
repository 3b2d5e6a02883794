"""What a model is fitted on: the hours of a window, by what was known when the window ended."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trader.core.errors import ConfigError, DataError
from trader.core.features import features, preset_named
from trader.core.forecast import Traits
from trader.core.labels import label_of
from trader.core.panel import Panel
from trader.core.params import Params
from trader.core.pooled_rows import learnt, whole_grid, with_symbol
from trader.core.text import plural
from trader.core.types import HOUR_MS, Bars, Bools, Floats, Matrix, iso
from trader.core.windows import Refit

_HASHED = ("close_time", "open", "high", "low", "close", "volume", "flagged")


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """A panel of one window, and y (symbols, n): 1.0 and 0.0, NaN while unknown. Fits read hours up to `until` only.

    X: (rows, k) the features of the hours that a family of rows is fitted on, of several symbols with the symbol's column
    last; (rows, 0) for a family that reads the series. data_hash: of every byte that the fit sees.
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


def training_of(
    bars: Bars, window: Refit, params: Params, traits: Traits, others: Sequence[Bars] = ()
) -> Training:
    """What a window's model is fitted on: bars of the traded symbol, and of the `others` that `train_symbols` names.

    Bars later than the window's last label are cut away before anything is computed, so nothing can leak. A symbol that is
    younger than the window has flagged rows up to its first bar, and one whose bars ended within it from its last bar on; one of
    which the window has no row is no part of the fit (`learns_from`). Raises ConfigError where `train_symbols` does not suit the
    symbol or the family, DataError where rows are too few or of one outcome, where a symbol has too few hours
    (`require_hours`), where its bars are missing.
    """
    reach = window.train_until + params.horizon_hours * HOUR_MS
    known = bars.until(reach)
    stop = known.last + HOUR_MS
    chosen = train_bars(bars, others, params, traits)
    if traits.reads == "series":
        start = max(window.train_from - traits.context_hours * HOUR_MS, known.first)
        if chosen:
            there = learnt([known, *(it.until(reach) for it in chosen)], window, reach)
            panel = train_panel(there, start, reach + HOUR_MS)
            require_hours(panel, window.train_until, params, traits)
        else:
            panel = Panel.of([known.span(start, stop)])
        return _of_series(panel, window, params)
    if chosen:
        return _pooled([known, *(it.until(reach) for it in chosen)], window, params)
    X = features(known, preset_named(params.features), window.train_from, stop)
    panel = Panel.of([known.span(window.train_from, stop)], [X])
    y = labels_between(known, params, window.train_from, stop).reshape(1, -1)
    rows, labels = usable_rows(panel, y, window.train_until)
    return Training(panel, y, window.train_until, rows, data_hash_of(rows, labels))


def _pooled(series: Sequence[Bars], window: Refit, params: Params) -> Training:
    """Rows of several symbols, each by its own history; bars end with the window's last label, or before it."""
    start, stop = window.train_from, window.train_until + (params.horizon_hours + 1) * HOUR_MS
    there = learnt(series, window, stop - HOUR_MS)
    preset = preset_named(params.features)
    X = [features(it, preset, start, stop) for it in there]
    panel = Panel.of([whole_grid(it, start, stop) for it in there], X)
    y = np.stack([labels_between(it, params, start, stop) for it in there])
    rows, labels = usable_rows(panel, y, window.train_until)
    return Training(panel, y, window.train_until, rows, data_hash_of(rows, labels))


def _of_series(panel: Panel, window: Refit, params: Params) -> Training:
    within = (panel.close_time >= window.train_from) & (panel.close_time <= window.train_until)
    rows = sum(int((within & ~part.flagged).sum()) for part in panel.bars)
    if not rows:
        raise DataError(
            f"{', '.join(panel.symbols)}: no bars between {iso(window.train_from)} and {iso(window.train_until)}; give older "
            "bars"
        )
    y = np.stack([label_of(part, params) for part in panel.bars])
    return Training(panel, y, window.train_until, np.zeros((rows, 0), np.float32), panel_hash(panel))


def train_symbols_of(params: Params, symbol: str, traits: Traits) -> tuple[str, ...]:
    """The symbols that a fit for `symbol` sees, sorted. Raises ConfigError where they do not name it, or where there are
    several and the family is neither a global one that reads the series nor one that pools rows."""
    named = params.train_symbols or (symbol,)
    if symbol not in named:
        raise ConfigError(
            f"train_symbols names {', '.join(named)} and not {symbol}, which is traded; add it, or trade one of them"
        )
    if len(named) > 1 and not traits.pools and (traits.scope, traits.reads) != ("global", "series"):
        raise ConfigError(
            f"family {params.model.family!r} is fitted on one symbol, and train_symbols names {len(named)}: leave the key out, "
            "or choose a family that learns from several (xgboost, lightgbm, tft). See: trader models families"
        )
    return named


def train_bars(bars: Bars, others: Sequence[Bars], params: Params, traits: Traits) -> tuple[Bars, ...]:
    """Of `others` those that a fit for the symbol of `bars` sees beside it, by name. Raises ConfigError as
    `train_symbols_of`, DataError that names those which are missing."""
    given = {it.symbol: it for it in others}
    wanted = [it for it in train_symbols_of(params, bars.symbol, traits) if it != bars.symbol]
    if missing := [symbol for symbol in wanted if symbol not in given]:
        raise DataError(
            f"train_symbols names {', '.join(missing)}, whose bars are not there: give them beside those of {bars.symbol}"
        )
    return tuple(given[symbol] for symbol in wanted)


def train_panel(series: Sequence[Bars], start: int, stop: int) -> Panel:
    """The hours start <= close_time < stop (UTC ms) of several symbols on one grid, sorted by symbol. Hours before the first bar
    of a symbol and after its last are flagged rows."""
    return Panel.of([whole_grid(it, start, stop) for it in sorted(series, key=lambda it: it.symbol)])


def require_hours(panel: Panel, until: int, params: Params, traits: Traits) -> None:
    """Raises DataError that names a symbol of which not even one example can be made: with fewer hours up to `until` (UTC ms)
    than a context, the hour itself and its outcome take."""
    needed = traits.context_hours + 1 + params.horizon_hours
    for part in panel.bars:
        hours = int((~part.until(until).flagged).sum())
        if hours < needed:
            raise DataError(
                f"{part.symbol}: {plural(hours, 'hour')} of bars between {iso(part.first)} and {iso(until)}; a fit of "
                f"{params.model.family} needs {needed}. Give older bars, lengthen look_back_days, or leave it out of "
                "train_symbols"
            )


def usable_hours(X: Matrix, y: Floats) -> Bools:
    """(n,) the hours that a family of rows learns from: those with a label and every feature. X (n, k), y (n,)."""
    usable: Bools = ~np.isnan(y)
    usable[np.flatnonzero(np.isnan(X)) // X.shape[1]] = False
    return usable


def usable_rows(panel: Panel, y: Floats, until: int) -> tuple[Matrix, Floats]:
    """X (m, k) and labels (m,) of the hours up to `until` (UTC ms) that have a label and every feature. Of several symbols their
    rows one symbol after the other, X (m, k + 1) with the symbol's place in the panel as the last column.

    Raises DataError for symbols without features, if fewer than two rows, or one outcome only, remain, and for a symbol of
    several that has no row.
    """
    if len(panel.X) != len(panel.bars):
        raise DataError(
            f"{', '.join(panel.symbols)}: a family of rows is fitted on one symbol and its features"
        )
    after = min(len(panel), panel.row(until) + 1)
    parts = [_usable(X[:after], labels[:after]) for X, labels in zip(panel.X, y, strict=True)]
    if len(parts) == 1:
        X, labels = parts[0]
    else:
        _require_rows_of_each(panel, parts, until)
        X = np.concatenate([with_symbol(rows, number) for number, (rows, _) in enumerate(parts)])
        labels = np.concatenate([known for _, known in parts])
    if len(labels) < 2 or labels.min() == labels.max():
        raise DataError(
            f"{', '.join(panel.symbols)}: {len(labels)} labelled rows between {iso(int(panel.close_time[0]))} and "
            f"{iso(until)}; a model needs both outcomes. Lengthen look_back_days or give older bars"
        )
    return X, labels


def _usable(X: Matrix, labels: Floats) -> tuple[Matrix, Floats]:
    """Of one symbol; without a copy where every row is usable."""
    usable = usable_hours(X, labels)
    if usable.all():
        return X, labels
    rows = np.flatnonzero(usable)
    return X.take(rows, axis=0), labels[rows]


def _require_rows_of_each(panel: Panel, parts: Sequence[tuple[Matrix, Floats]], until: int) -> None:
    """Raises DataError that names the symbols of which a fit on several would see no row."""
    unseen = [symbol for symbol, (_, labels) in zip(panel.symbols, parts, strict=True) if not len(labels)]
    if unseen:
        raise DataError(
            f"{', '.join(unseen)}: no hour between {iso(int(panel.close_time[0]))} and {iso(until)} has a label and every "
            "feature, so that a fit on all symbols would not see it. Give older bars, begin later, or leave it out"
        )


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


def panel_hash(panel: Panel) -> str:
    """Of every byte of all series; that of the only one is `bars_hash`."""
    each = [bars_hash(part) for part in panel.bars]
    return each[0] if len(each) == 1 else hashlib.sha256(" ".join(each).encode()).hexdigest()[:16]


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
