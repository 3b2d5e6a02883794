"""Bars as they have hardly ever been: the newest bar moved by standard deviations, a crash, a spike, no volume, a gap."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from trader.core.types import Bars

DEVIATIONS = (3, 5, 10)
CRASH, SPIKE = 0.5, 2.0
# The newest hours whose returns say what a standard deviation is.
MEASURED_HOURS = 720

Kind = Literal["moved", "crash", "spike", "no volume", "gap"]


@dataclass(frozen=True, slots=True, eq=False)
class Shock:
    """bars: up to the hour, the last of them changed. log_move: by how much its log close moved. may_be_silent: whether a model
    may say nothing of it, as of a bar that is none."""

    name: str
    kind: Kind
    bars: Bars
    log_move: float
    may_be_silent: bool = False


def deviation_of(bars: Bars) -> float:
    """The standard deviation of the newest MEASURED_HOURS hourly log returns without flagged hours; 0.01 where nothing moved."""
    part = bars.rows(max(0, len(bars) - MEASURED_HOURS), len(bars))
    close = np.where(part.flagged, np.nan, part.close)
    moves = np.diff(np.log(close))
    moves = moves[~np.isnan(moves)]
    found = float(moves.std()) if len(moves) else 0.0
    return found if found > 0 else 0.01


def shocks(bars: Bars) -> list[Shock]:
    """Every shock of the last of these bars, which must be genuine."""
    deviation = deviation_of(bars)
    found = [
        _moved(bars, f"close moved by {sign * k:+d} standard deviations", "moved", sign * k * deviation)
        for k in DEVIATIONS
        for sign in (1, -1)
    ]
    found.append(_moved(bars, f"a crash to {CRASH:.0%} of the close", "crash", float(np.log(CRASH))))
    found.append(_moved(bars, f"a spike to {SPIKE:.0%} of the close", "spike", float(np.log(SPIKE))))
    found.append(Shock("no volume", "no volume", _amounts(bars, 0.0), 0.0, may_be_silent=True))
    found.append(Shock("a gap in place of the bar before", "gap", _gap(bars), 0.0, may_be_silent=True))
    return found


def _moved(bars: Bars, name: str, kind: Kind, log_move: float) -> Shock:
    """The last close moved; high and low still hold open and close."""
    close = bars.close.copy()
    close[-1] *= np.exp(log_move)
    high, low = bars.high.copy(), bars.low.copy()
    high[-1], low[-1] = max(high[-1], close[-1]), min(low[-1], close[-1])
    return Shock(name, kind, replace(bars, close=close, high=high, low=low), log_move)


def _amounts(bars: Bars, times: float) -> Bars:
    """The last bar's amounts multiplied."""
    changed = {}
    for name in ("volume", "quote_volume", "trades", "taker_buy_base", "taker_buy_quote"):
        column = getattr(bars, name)
        if column is not None:
            column = column.copy()
            column[-1] *= times
            changed[name] = column
    return replace(bars, **changed)


def _gap(bars: Bars) -> Bars:
    """The bar before the last is one that the exchange did not have: flat at the close before it, flagged."""
    if len(bars) < 3:
        return bars
    changed = {
        name: getattr(bars, name).copy() for name in ("open", "high", "low", "close", "volume", "flagged")
    }
    for name in ("open", "high", "low", "close"):
        changed[name][-2] = bars.close[-3]
    changed["volume"][-2], changed["flagged"][-2] = 0.0, True
    return replace(bars, **changed)


def scaled(bars: Bars, times: float) -> Bars:
    """Every price multiplied, as in another unit of quote."""
    return replace(bars, **{name: getattr(bars, name) * times for name in ("open", "high", "low", "close")})
