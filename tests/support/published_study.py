"""The slow, obvious twin of `simulate`: one `decide_hour` an hour, one line an hour."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

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
    state = HourState.fresh(rules.params.allocation_usdt)
    lines = []
    for i, hour in enumerate(range(start, stop, HOUR_MS)):
        line, state = hour_by_hour(bars, p_up[i], rules, hour, state)
        lines.append(line)
    return lines, state


def seen_at(bars: Bars, p_up: np.float32, rules: Rules, hour: int) -> HourInputs:
    """What is known at an hour (UTC ms)."""
    prices = PriceLookup(bars)
    price, known = prices.open_next(hour), bars.has(hour)
    p = shortest(p_up) if known and not np.isnan(p_up) else None
    return HourInputs(
        close_time=hour,
        close=prices.close(hour),
        quote=None if price is None else quote_at(price, rules.params.costs, rules.filters.tick_size),
        p_up=p,
        no_p_up="" if p is not None else WARM_UP if known else GAP,
        gap=not known,
        close_before=prices.close(hour - HOUR_MS) if hour > bars.first else None,
    )


def hour_by_hour(
    bars: Bars,
    p_up: np.float32,
    rules: Rules,
    hour: int,
    state: HourState,
    most_usdt: Decimal | None = None,
) -> tuple[HourLine, HourState]:
    """An hour's line and the state after it. most_usdt: what a purchase may cost."""
    seen = replace(seen_at(bars, p_up, rules, hour), most_usdt=most_usdt)
    decision = decide_hour(state, seen, rules)
    fills = [modelled_fill(decision.order, rules)] if decision.order else []
    after = settle(state, decision, fills)
    return line_of(decision, fills, after, seen.close), after
