"""Rows of several symbols in one fit: each symbol's features by its own history, and one more column that says whose a row is.

The column holds the symbol's place (0, 1, 2, ...) among the symbols of the fit in alphabetical order. One column is enough
for trees, however many symbols there are: a split on it separates groups of symbols, and few splits single one out, while a
column of zeros and ones a symbol would make a split see one symbol's rows alone, and would thin out every sampling of
columns. It stands beside the preset's features, never among them, so that features stay what they are everywhere else.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from trader.core.errors import ConfigError, DataError
from trader.core.forecast import Traits
from trader.core.panel import on_grid
from trader.core.types import DAY_MS, HOUR_MS, Bars, Matrix, iso
from trader.core.windows import Refit

# A symbol without bars for so long is traded no more.
ENDED_MS = DAY_MS
# What the column is called where features are told by their names.
SYMBOL_COLUMN = "symbol"


def with_symbol(X: Matrix, number: int) -> Matrix:
    """X (n, k) with the symbol's number as a further, last column: (n, k + 1) float32."""
    result = np.empty((X.shape[0], X.shape[1] + 1), np.float32)
    result[:, :-1] = X
    result[:, -1] = number
    return result


def require_pools(family: str, traits: Traits) -> None:
    """Raises ConfigError for a family that cannot be fitted on rows of several symbols."""
    if not traits.pools:
        raise ConfigError(
            f"pool = true: a fit of {family} does not take rows of several symbols. Choose a family of rows (xgboost, lightgbm), "
            "or leave pool out; a family of scope global, such as tft, learns from the train_symbols that its P.json names"
        )


def newest_bar(bars: Bars, at: int) -> int | None:
    """The newest hour up to `at` (UTC ms) of which a symbol has a bar of its own; None before its first. Flagged rows are none:
    they tell that the exchange had no bar, however far they reach."""
    there = np.flatnonzero(~bars.until(at).flagged)
    return int(bars.close_time[there[-1]]) if len(there) else None


def learns_from(bars: Bars, window: Refit, reach: int) -> bool:
    """Whether a window's fit has a row of a symbol, by what is known at `reach`, the hour of the newest outcome that it reads,
    UTC ms. A symbol whose bars ended before the window, or that is not listed yet, is no part of the fit."""
    newest = newest_bar(bars, reach)
    return newest is not None and newest - (reach - window.train_until) >= window.train_from


def learnt(series: Iterable[Bars], window: Refit, reach: int) -> list[Bars]:
    """The symbols that are part of a window's fit (`learns_from`), in alphabetical order."""
    return sorted((it for it in series if learns_from(it, window, reach)), key=lambda it: it.symbol)


def require_listed(bars: Bars, reach: int) -> None:
    """Raises DataError for a symbol whose first bar is later than `reach` (UTC ms), or that has none."""
    if not len(bars) or bars.first > reach:
        raise DataError(
            f"{bars.symbol}: there are no bars up to {iso(reach)}; leave it out of train_symbols, or begin later"
        )


def awaits(bars: Bars, reach: int, now_ms: int) -> bool:
    """Whether a fit that needs the bar of `reach` waits for a symbol whose bars, as far as its source tells them, are these; all
    times UTC ms.

    A source of klines tells a quarter past an hour that there is no bar of it (a flagged row), and the fit waits no longer; a
    database never tells that. A symbol of which nothing is told for ENDED_MS is traded no more: what it had is learnt from.
    """
    return bars.last < reach and now_ms - bars.last < ENDED_MS


def whole_grid(bars: Bars, start: int, stop: int) -> Bars:
    """The hours start <= T < stop (UTC ms), flagged where the symbol was not listed yet, or is no more."""
    return on_grid(bars.extended_to(stop - HOUR_MS), start, stop)
