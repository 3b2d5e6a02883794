"""Why a run placed no order, in a sentence: what the highest P(up) was beside the threshold, or what refused the orders."""

from __future__ import annotations

from collections import Counter

import numpy as np

from backtest.engine.simulate import Run
from trader.core.hours import PRICE_BAND, VENUE_CLOSED, Rules
from trader.core.policy import FLAT, Signals
from trader.core.text import plural
from trader.core.track import REASONS
from trader.core.types import Bools, iso, plain

# Fewer different probabilities in a run than this, and the model hardly tells hours apart.
FEW_VALUES = 10
REFUSED = {
    "dust": "it would have been below the minimum order",
    VENUE_CLOSED: "the exchange was closed",
    PRICE_BAND: "the price lay beyond the price band",
}


def why_no_order(run: Run, rules: Rules) -> str | None:
    """The reason and the way out; None where an order was placed. Every number is of the run's own hours."""
    if run.state.ledger.orders:
        return None
    p_up = run.track.p_up
    if np.isnan(p_up).all():
        return "No order was placed: no hour has a prediction. Begin later, after the features' warm-up, or mend the bars' gaps."
    enters = Signals.of(p_up, rules.thresholds).targets(FLAT) != FLAT
    return _refused(run, rules, enters) if enters.any() else _never_reached(run, rules)


def _never_reached(run: Run, rules: Rules) -> str:
    p_up, at = run.track.p_up, rules.thresholds
    highest, lowest = int(np.nanargmax(p_up)), int(np.nanargmin(p_up))
    said = f"the highest was {p_up[highest]:.4f} ({_hour(run, highest)}), a long needs {at.enter_long:.4f}"
    if at.exposure == "long_short":
        said += (
            f"; the lowest was {p_up[lowest]:.4f} ({_hour(run, lowest)}), a short needs {at.enter_short:.4f}"
        )
    values = len(np.unique(p_up[~np.isnan(p_up)]))
    if values == 1:
        return (
            f"No order was placed: P(up) was {p_up[highest]:.4f} in every hour, a long needs {at.enter_long:.4f}. To this model "
            "all hours are alike (to ARIMA a random walk, to trees no split): that is its answer, and no threshold finds a "
            "trade in it. Search other parameters with backtest tune, or choose another family: trader models families."
        )
    few = ""
    if values < FEW_VALUES:
        few = f" The model gave only {plural(values, 'value')} of P(up), so it hardly tells hours apart."
    return (
        f"No order was placed: P(up) never reached an entry threshold; {said}.{few} "
        "Search other parameters with backtest tune, or lower enter_edge."
    )


def _refused(run: Run, rules: Rules, enters: Bools) -> str:
    """Of the hours whose P(up) enters, what they ended with."""
    track = run.track
    ended = Counter(
        track.events[i].reason if i in track.events else REASONS[track.reason[i]]
        for i in np.flatnonzero(enters).tolist()
    )
    counted = "; ".join(f"{REFUSED.get(reason, reason)} ({n:,} h)" for reason, n in ended.most_common())
    filters, allocation = rules.filters, rules.params.allocation_usdt
    dust = (
        f" The minimum order is {plain(filters.min_notional)} USDT and {plain(filters.min_qty)} of the base asset, in steps "
        f"of {plain(filters.step_size)}; allocation_usdt is {plain(allocation)}: raise it, or give the symbol's own --filters."
    )
    return (
        f"No order was placed: P(up) reached an entry threshold in {plural(int(enters.sum()), 'hour')}, and no order could "
        f"leave: {counted}.{dust if 'dust' in ended else ''}"
    )


def _hour(run: Run, i: int) -> str:
    return f"{iso(int(run.track.hours[i]))[:16]}Z"
