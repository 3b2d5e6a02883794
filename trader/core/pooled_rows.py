"""Rows of several symbols in one fit: each symbol's features by its own history, and one more column that says whose a row is.

The column holds the symbol's place (0, 1, 2, ...) among the symbols of the fit in alphabetical order. One column is enough
for trees, however many symbols there are: a split on it separates groups of symbols, and few splits single one out, while a
column of zeros and ones a symbol would make a split see one symbol's rows alone, and would thin out every sampling of
columns. It stands beside the preset's features, never among them, so that features stay what they are everywhere else.
"""

from __future__ import annotations

import numpy as np

from trader.core.errors import ConfigError
from trader.core.forecast import Traits
from trader.core.panel import on_grid
from trader.core.types import HOUR_MS, Bars, Matrix
from trader.core.windows import Refit

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


def whole_grid(bars: Bars, start: int, stop: int) -> Bars:
    """The hours start <= T < stop (UTC ms), flagged where the symbol was not listed yet, or is no more."""
    return on_grid(bars.extended_to(stop - HOUR_MS), start, stop)
