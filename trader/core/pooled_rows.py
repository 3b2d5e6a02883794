"""Rows of several symbols in one fit: each symbol's features by its own history, and one more column that says whose a row is.

The column holds the symbol's place (0, 1, 2, ...) among the symbols of the fit in alphabetical order. One column is enough
for trees, however many symbols there are: a split on it separates groups of symbols, and few splits single one out, while a
column of zeros and ones a symbol would make a split see one symbol's rows alone, and would thin out every sampling of
columns. It stands beside the preset's features, never among them, so that features stay what they are everywhere else.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trader.core.errors import ConfigError
from trader.core.forecast import Traits
from trader.core.panel import on_grid
from trader.core.types import DAY_MS, HOUR_MS, Bars, Matrix
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


def learns_from(bars: Bars, window: Refit) -> bool:
    """Whether bars of a symbol reach into a window's training. One that was delisted before it is no part of the fit, and its
    hours are traded no more."""
    return len(bars) > 0 and bars.last >= window.train_from


def awaits(bars: Bars, reach: int, now_ms: int) -> bool:
    """Whether a fit that needs the bar of `reach` waits for a symbol whose bars up to now are these, all times UTC ms. A symbol
    without bars for ENDED_MS is traded no more: what it had is learnt from, and it is waited for no longer."""
    return bars.last < reach and now_ms - bars.last < ENDED_MS


def trained_at(series: Sequence[Bars], window: Refit, reach: int) -> int:
    """The hour (UTC ms) at which a window's model can be trained: that of the newest bar that its labels need (`reach`), or later
    where a symbol's exchange was closed then, as `awaits` says of every hour between."""
    return max(
        [reach, *(_had_at(it, reach) for it in series if learns_from(it, window) and it.first <= reach)]
    )


def _had_at(bars: Bars, reach: int) -> int:
    """The hour at which `awaits` ends for a symbol: as soon as a bar opens after those that are missing, they are known to be
    none."""
    genuine = bars.close_time[~bars.flagged]
    at = int(np.searchsorted(genuine, reach))
    if at == 0:
        return reach
    ended = int(genuine[at - 1]) + ENDED_MS
    again = int(genuine[at]) - HOUR_MS if at < len(genuine) else ended
    return max(reach, min(again, ended))


def whole_grid(bars: Bars, start: int, stop: int) -> Bars:
    """The hours start <= T < stop (UTC ms), flagged where the symbol was not listed yet, or is no more."""
    return on_grid(bars.extended_to(stop - HOUR_MS), start, stop)
