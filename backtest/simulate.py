"""Bars + probabilities + core -> hours. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from trader.core.costs import quote_at
from trader.core.decision import shortest
from trader.core.errors import ConfigError
from trader.core.features import Matrix
from trader.core.hours import (
    GAP,
    WARM_UP,
    Rules,
    Seen,
    State,
    decide_hour,
    line_of,
    modelled_fill,
    settle,
)
from trader.core.summary import Tape
from trader.core.types import HOUR_MS, Bars, iso


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Lines of consecutive hours, and the state after the last."""

    lines: list[dict[str, Any]]
    state: State


def require_span(bars: Bars, start: int, stop: int, source: str) -> None:
    """Raises ConfigError unless every hour start <= T < stop, and the bar that opens at the last one, is within."""
    if stop <= start:
        raise ConfigError(f"--to {iso(stop)} must be later than --from {iso(start)}")
    if start < bars.first or stop > bars.last:
        raise ConfigError(
            f"the hours {iso(start)} to {iso(stop)} need bars that close from {iso(start)} to {iso(stop)}; {source} holds "
            f"{iso(bars.first)} to {iso(bars.last)}. Choose hours within it, or collect more bars"
        )


def simulate(bars: Bars, p_up: Matrix, rules: Rules, start: int, stop: int) -> Run:
    """Trade the hours start <= T < stop (UTC ms), flat at first with the whole allocation.

    p_up: ((stop - start) / 1 h,) float32, NaN without a prediction. Every order fills whole, at the price that the
    cost model predicts from the open of the bar that opens at T.
    """
    tape = Tape(bars)
    state = State.fresh(rules.params.allocation_usdt)
    lines = []
    tick = rules.filters.tick_size
    for i, hour in enumerate(range(start, stop, HOUR_MS)):
        close, price = tape.close(hour), tape.open_next(hour)
        known = bars.has(hour)
        p = shortest(p_up[i]) if known and not np.isnan(p_up[i]) else None
        seen = Seen(
            close_time=hour,
            close=close,
            quote=None if price is None else quote_at(price, rules.params.costs, tick),
            p_up=p,
            no_p_up="" if p is not None else WARM_UP if known else GAP,
        )
        decision = decide_hour(state, seen, rules)
        fills = [modelled_fill(decision.order, rules)] if decision.order else []
        state = settle(state, decision, fills)
        lines.append(line_of(decision, fills, state, close))
    return Run(lines, state)
