"""A book of ideal accounts: what many configurations of a book are compared by, quickly.

Each symbol's worth follows from P(up) alone, and at each rebalance the book's equity is parted anew by its shares, as if a symbol
could give what it holds; the book's limits halt all of them. Floats, and no filter: `simulate_book` is what is traded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backtest.engine.ideal import Quotes, account, halted, quotes, signals
from trader.core.book import BookRules
from trader.core.params import Params
from trader.core.policy import first_breach
from trader.core.shares import shares_at
from trader.core.types import HOUR_MS, Bars, Bools, Floats, Matrix


@dataclass(frozen=True, slots=True, eq=False)
class Resharing:
    """A move of cash. at: its hour, by index. moving: (s,) the symbols that give and take. weights: (s,) of what these are
    worth."""

    at: int
    moving: Bools
    weights: Floats


@dataclass(frozen=True, slots=True, eq=False)
class IdealBook:
    """n hours of a book of s symbols in alphabetical order: the quotes of each, and every move of cash."""

    rules: BookRules
    quotes: Sequence[Quotes]
    moves: Sequence[Resharing]
    hours: int

    @staticmethod
    def of(bars: Sequence[Bars], strategies: Sequence[Params], rules: BookRules, hours: int) -> IdealBook:
        """Over the first so many hours; bars reach over all hours of the book, flagged where a symbol has none. strategies: the
        parameters of each symbol, of which spread, slippage and price band count."""
        stop = rules.start + hours * HOUR_MS
        at = [quotes(it, params, rules.start, stop) for it, params in zip(bars, strategies, strict=True)]
        step = rules.params.rebalance_hours
        return IdealBook(rules, at, [_resharing(bars, rules, i) for i in range(0, hours, step)], hours)

    def equity(self, strategies: Sequence[Params], p_up: Matrix) -> Floats:
        """(n,) the book's equity in USDT after each hour, from p_up (s, n) traded by the parameters of each symbol."""
        rows = zip(self.quotes, strategies, p_up, strict=True)
        index = np.array([_worth(at, params, row) for at, params, row in rows])
        capital = float(self.rules.params.capital_usdt)
        equity, value, reserve = np.empty(self.hours), np.zeros(len(index)), capital
        stops = [*(it.at for it in self.moves[1:]), self.hours]
        for move, stop in zip(self.moves, stops, strict=True):
            pot = reserve + float(value[move.moving].sum())
            value = np.where(move.moving, move.weights * pot, value)
            reserve = pot - float(value[move.moving].sum())
            before = index[:, move.at - 1 : move.at] if move.at else np.ones((len(index), 1))
            worth = value[:, np.newaxis] * (index[:, move.at : stop] / before)
            equity[move.at : stop] = reserve + worth.sum(axis=0)
            value = worth[:, -1]
        breach = first_breach(equity, capital, self.rules.limits)
        if breach is not None:
            equity[breach:] = equity[breach]
        return equity


def _resharing(bars: Sequence[Bars], rules: BookRules, i: int) -> Resharing:
    """At hour i; a symbol whose exchange was closed before it keeps what it has."""
    hour = rules.start + i * HOUR_MS
    moving = np.array([it.has(hour) or i == 0 for it in bars])
    there = [it for it, moves in zip(bars, moving, strict=True) if moves]
    weights = shares_at(there, hour, rules.params.share_settings).weights if there else {}
    return Resharing(i, moving, np.array([float(weights.get(it.symbol, 0)) for it in bars]))


def _worth(at: Quotes, params: Params, row: Matrix) -> Floats:
    """What 1 USDT of a symbol is worth after each hour."""
    told = signals(at, row, params)
    return halted(account(told, params), told, params) / float(params.allocation_usdt)
