"""The slow, obvious twin of `simulate`: one `decide_hour` an hour, one line an hour."""

from __future__ import annotations

import numpy as np

from trader.core.costs import quote_at
from trader.core.hours import (
    GAP,
    WARM_UP,
    HourInputs,
    HourLine,
    HourState,
    Rules,
    decide_hour,
    line_of,
    modelled_fill,
    settle,
)
from trader.core.probability import shortest
from trader.core.summary import PriceLookup
from trader.core.types import HOUR_MS, Bars, Matrix


def simulate_hour_by_hour(
    bars: Bars, p_up: Matrix, rules: Rules, start: int, stop: int
) -> tuple[list[HourLine], HourState]:
    """The lines of start <= T < stop and the state after them."""
    tape = PriceLookup(bars)
    state = HourState.fresh(rules.params.allocation_usdt)
    lines = []
    tick = rules.filters.tick_size
    for i, hour in enumerate(range(start, stop, HOUR_MS)):
        close, price = tape.close(hour), tape.open_next(hour)
        known = bars.has(hour)
        before = tape.close(hour - HOUR_MS) if hour > bars.first else None
        p = shortest(p_up[i]) if known and not np.isnan(p_up[i]) else None
        seen = HourInputs(
            close_time=hour,
            close=close,
            quote=None if price is None else quote_at(price, rules.params.costs, tick),
            p_up=p,
            no_p_up="" if p is not None else WARM_UP if known else GAP,
            gap=not known,
            close_before=before,
        )
        decision = decide_hour(state, seen, rules)
        fills = [modelled_fill(decision.order, rules)] if decision.order else []
        state = settle(state, decision, fills)
        lines.append(line_of(decision, fills, state, close))
    return lines, state
